"""Whether restored answers serve better than the same answers as they were told."""

from collections.abc import Callable, Mapping

import numpy as np

from moatbench.client import Answers
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.reply import Predict
from moatbench.types import Array, Labels, Mask, Rows

HELD_OUT = 5  # every fifth purchase judges
LEAST = 8  # of these, to judge at all
CLEARLY = 0.8  # times as far from held-out answers as a rival, at most

Fit = Callable[[str, Answers], Predict]  # of answers by their name


def held_out(known: Mask) -> Rows | None:
    """Return which purchases judge, of some (n,); None where these are too few to say."""
    held = np.flatnonzero(known)[HELD_OUT - 1 :: HELD_OUT]
    return held if len(held) >= LEAST else None


def best_of(options: Mapping[str, Answers], fit: Fit, labels: Labels, held: Rows) -> str:
    """Return the answers, by name, that a fit to some of them foretells the labels of others with.

    Of equals the first one is meant. The restored answers were chosen by a model of all, held-out
    ones among them, which favours them a little.

    Args:
        options: the same purchases, as they may be taken.
        fit: trains on some of them.
        labels: (n,) of the purchases, those that are held out the model's own.
        held: which are held out.
    """
    right = {
        name: (fit(name, _without(answers, held))(answers.x[held]).labels == labels[held]).sum()
        for name, answers in options.items()
    }
    return max(right, key=lambda name: int(right[name]))


def supported(
    restored: Answers, told: Answers, rival: Answers, fit: Fit, origins: Origins, held: Rows
) -> bool:
    """Return whether held-out answers speak for the choice among the origins of the others.

    What a fit to restored answers says must be nearer (in L1) to something that each held-out one
    may have been than what a fit to told ones says, and clearly nearer than after the opposite
    choice, a `rival`: where that explains them as well, nothing has been found out.
    """

    def far(name: str, answers: Answers) -> float:
        said = fit(name, _without(answers, held))(answers.x).outputs
        assert said is not None
        gaps: Array = np.abs(nearest(origins, said)[0] - said).sum(axis=1)[held]
        return float(gaps.mean())

    ours = far("restored", restored)
    return ours < far("told", told) and ours < CLEARLY * far("rival", rival)


def _without(answers: Answers, held: Rows) -> Answers:
    """Return what is not held out."""
    rest = np.ones(len(answers.rows), bool)
    rest[held] = False
    outputs = None if answers.outputs is None else answers.outputs[rest]
    path = None if answers.path is None else answers.path[rest]
    return Answers(answers.x[rest], answers.rows[rest], answers.labels[rest], outputs, path)
