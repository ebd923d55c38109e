"""Whether a defense's inverse tells the truth: who believes a false one finds nothing."""

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import ALL
from moatbench.reply import Reply, has_outputs
from moatbench.runner.checks.twin import nobody, told, twin
from moatbench.runner.secret import stream_of
from moatbench.victim import Victim

ROWS = 100  # uniform inputs, as an attacker's are
CLOSE = 1e-6  # as the contract asks


def lost(victim: Victim, layer: Defense, seed: int) -> str:
    """Say of how many answers the inverse loses the truth; '' where of none.

    Beyond ten classes an inverse may want a guess, and nothing is asked of it.
    """
    few = victim.full and 1 < len(victim.classes) <= ALL
    inverse = inverse_of(layer) if few and hasattr(layer, "inverse") else None
    if inverse is None:
        return ""
    x = victim.space.sample(ROWS, stream_of(layer, seed, "inverse"))
    true = victim.predict(x).outputs
    answers = told(twin(victim, layer, seed), x, nobody(seed, "inverse"))
    rows = np.flatnonzero(has_outputs(answers[:, 1:]))
    if true is None or not len(rows):
        return ""
    reply = Reply(answers[rows, 0].astype(np.int64), answers[rows, 1:])
    held = inverse(Origins.of(reply), None).holds(true[rows], CLOSE)
    if held.all():
        return ""
    return f"the truth is not among what its inverse says of {(~held).sum()} of {len(rows)} answers"
