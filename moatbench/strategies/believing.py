"""Whether restored answers serve better than the same answers as they were told."""

from collections.abc import Callable, Mapping

import numpy as np

from moatbench.client import Answers
from moatbench.reply import Predict
from moatbench.types import Labels, Mask, Rows

HELD_OUT = 5  # every fifth purchase whose label is known judges
LEAST = 8  # of these, to judge at all

Fit = Callable[[Answers], Predict]


def best_of(
    options: Mapping[str, Answers], fit: Fit, labels: Labels, known: Mask, otherwise: str
) -> str:
    """Return the answers, by name, that a fit to some of them foretells the labels of others with.

    Of equals the first one is meant. The restored answers were chosen by a model of all, held-out
    ones among them, which favours them a little.

    Args:
        options: the same purchases, as they may be taken.
        fit: trains on some of them.
        labels: (n,) of the purchases.
        known: (n,) which of these labels are the model's own.
        otherwise: what is believed where too few are.
    """
    held = np.flatnonzero(known)[HELD_OUT - 1 :: HELD_OUT]
    if len(held) < LEAST:
        return otherwise
    right = {name: _right(answers, fit, labels, held) for name, answers in options.items()}
    return max(right, key=lambda name: right[name])


def _right(answers: Answers, fit: Fit, labels: Labels, held: Rows) -> int:
    """Return how many held-out labels a fit to the others foretells."""
    rest = np.ones(len(labels), bool)
    rest[held] = False
    outputs = None if answers.outputs is None else answers.outputs[rest]
    path = None if answers.path is None else answers.path[rest]
    train = Answers(answers.x[rest], answers.rows[rest], answers.labels[rest], outputs, path)
    return int((fit(train)(answers.x[held]).labels == labels[held]).sum())
