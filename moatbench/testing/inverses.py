"""Whether the true answer is among what a defense says that an answer may have been."""

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import ALL
from moatbench.reply import Reply
from moatbench.victim import Victim

CLOSE = 1e-6  # half of it is the solvers', half ours
ELSEWHERE = frozenset({"moves_inputs", "off_data", "marks", "noisy", "tells_nothing", "other"})


def check_inverse(defense: Defense, answers: Reply, victim: Victim, truth: Reply) -> None:
    """Hold an inverse, where the defense has one, against answers whose truth is known.

    Beyond ten classes a guess may be needed, and nothing is checked.
    """
    if not victim.full or not 1 < len(victim.classes) <= ALL or truth.outputs is None:
        return
    if defense.traits.kinds & ELSEWHERE and not hasattr(defense, "inverse"):
        return
    inverse = inverse_of(defense)
    if inverse is None:
        return
    told = Origins.of(answers)
    found = inverse(told, None).holds(truth.outputs, CLOSE)[told.rows]
    if not found.all():
        row = told.rows[int(np.argmin(found))]
        name, outputs = type(defense).__name__, answers.outputs
        assert outputs is not None
        raise AssertionError(
            f"{name}: the truth is not among the origins of an answer. Row {row} was "
            f"{truth.outputs[row]} and told {outputs[row]}; its inverse must return it, or a box "
            "that holds it"
        )
