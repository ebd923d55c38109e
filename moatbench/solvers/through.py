"""Fits of a model to answers as a known function changes them, whatever the function is."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from moatbench.numerics.minimise import Model, levenberg_marquardt
from moatbench.types import Array

STEP = 1e-6  # of a finite difference, in scores
REACHES = (0.3, 0.03, 0.003)  # in turn: gaps beyond weigh less, as they may lead elsewhere
ITERATIONS = 25  # at each
STALL = 1e-3
RIDGE = 1e-12  # decides between fits where the answers are too few

Change = Callable[[Array], Array]  # true answers (n, k) to what is told in their place (n, k)


@dataclass(frozen=True)
class Changed:
    """Distance of the answers told from those that the model's own would be changed to.

    The loss of a row grows with the square of its distance up to about `reach`, and linearly
    beyond: where the change has several origins, a row that is near a wrong one must not lead.

    Args:
        change: the function; it is known by what it does alone.
        told: (n, k) answers, changed.
        reach: distance at which the loss turns linear.
    """

    change: Change
    told: Array
    reach: float

    def value(self, scores: Array) -> tuple[float, Array]:
        gap, slope = self._gap(scores), self.slope(scores)
        square = (gap**2).sum(axis=1) / self.reach**2
        loss = self.reach**2 * (np.sqrt(1 + square) - 1)
        gradient = np.einsum("noj,no->nj", slope, gap / np.sqrt(1 + square)[:, None])
        return float(loss.mean()), gradient / len(gap)

    def curvature(self, scores: Array) -> Array:
        gap, slope = self._gap(scores), self.slope(scores)
        weight = 1 / np.sqrt(1 + (gap**2).sum(axis=1) / self.reach**2)
        curvature: Array = np.einsum("noj,nok,n->njk", slope, slope, weight) / len(gap)
        return curvature

    def _gap(self, scores: Array) -> Array:
        return self.change(np.asarray(softmax(scores, axis=1))) - self.told

    def slope(self, scores: Array) -> Array:
        """(n, k, k) derivatives of what is told (first) by the scores (second)."""
        here, slopes = self._gap(scores), []
        for j in range(scores.shape[1]):
            there = scores.copy()
            there[:, j] += STEP
            slopes.append((self._gap(there) - here) / STEP)
        return np.stack(slopes, axis=2)


class Through(NamedTuple):
    """Unknowns, and the largest gap (over rows and classes) that they leave to what is told."""

    theta: Array
    gap: float


def fit_through(model: Model, change: Change, told: Array, starts: Sequence[Array]) -> Through:
    """Fit from each start, and keep the fit with the least median distance to what is told.

    Args:
        model: of the true answers' scores, on n rows.
        change: what is done to true answers.
        told: (n, k) the results.
        starts: unknowns to start from, at least one.
    """
    found = []
    for theta in starts:
        for reach in REACHES:
            objective = Changed(change, told, reach)
            theta = levenberg_marquardt(
                model, objective, theta, iterations=ITERATIONS, ridge=RIDGE, stall=STALL
            ).theta
        gap = np.abs(change(np.asarray(softmax(model.scores(theta), axis=1))) - told).max(axis=1)
        found.append((float(np.median(gap)), Through(theta, float(gap.max()))))
    return min(found, key=lambda pair: pair[0])[1]
