"""Whether the true answer is among what a defense says that an answer may have been."""

from collections.abc import Iterator

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.layers import Inverse, inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.steps import ALL
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import Victim

CLOSE = 1e-6  # half of it is the solvers', half ours
ELSEWHERE = frozenset({"moves_inputs", "off_data", "marks", "noisy", "tells_nothing", "other"})


def check_inverse(defense: Defense, answers: Reply, victim: Victim, truth: Reply, x: Array) -> None:
    """Hold an inverse, where the defense has one, against answers whose truth is known.

    Those of rows x (n, d) as the victim answers them, and as if it were certain of some classes.

    Beyond ten classes a guess may be needed, and nothing is checked.
    """
    if not victim.full or not 1 < len(victim.classes) <= ALL or truth.outputs is None:
        return
    if defense.traits.kinds & ELSEWHERE and not hasattr(defense, "inverse"):
        return
    inverse = inverse_of(defense)
    if inverse is None:
        return
    _check_among(defense, inverse, answers, truth)
    if hasattr(defense, "inverse"):
        for certain in _certain(victim, len(x)):
            told = defense.respond(x[: len(certain)], certain, "alice")
            _check_among(defense, inverse, told, certain)


def _certain(victim: Victim, most: int) -> Iterator[Reply]:
    """Yield true answers that are 0 and 1 to the last bit, and such as are so but for one class."""
    k = len(victim.classes)
    labels = np.arange(min(most, k), dtype=np.int64)
    sure = np.eye(k)[labels]
    yield Reply(labels, sure)
    yield Reply(labels, 0.75 * sure + 0.25 * np.roll(sure, 1, axis=1))


def _check_among(defense: Defense, inverse: Inverse, answers: Reply, truth: Reply) -> None:
    assert truth.outputs is not None
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
