"""How well a model's scores explain the answers that were bought.

A model gives each row k scores; its class probabilities are their softmax. An objective is a number
on scores (n, k), averaged over the rows; it knows its gradient and a positive semidefinite
curvature (Gauss-Newton), both by score.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.special import expit, log_softmax, softmax

from moatbench.types import Array, Mask

LEAST = 1e-6  # weight of an answer that rounding has made zero: little, but still a score


class Objective(Protocol):
    """A loss of scores (n, k), averaged over the rows, that a fit makes small."""

    def value(self, scores: Array) -> tuple[float, Array]:
        """The loss, and its gradient (n, k)."""

    def curvature(self, scores: Array) -> Array:
        """(n, k, k), or (1, k, k) where all rows have the same."""


@dataclass(frozen=True)
class CrossEntropy:
    """Negative log-likelihood of labels or soft labels: `targets` (n, k), rows summing to one."""

    targets: Array

    def value(self, scores: Array) -> tuple[float, Array]:
        log_p: Array = log_softmax(scores, axis=1)
        gradient: Array = (np.exp(log_p) - self.targets) / len(scores)
        return float(-np.vdot(self.targets, log_p)) / len(scores), gradient

    def curvature(self, scores: Array) -> Array:
        p: Array = softmax(scores, axis=1)
        return spread(p, p) / len(scores)


@dataclass(frozen=True)
class LogOdds:
    """Squared gap between the model's log-odds and the answered ones; zero where they are exact.

    Every pair of classes that a row reports with a probability above zero keeps its log-odds, even
    if the others were cut off. Answers: (n, k).

    Source: Tramèr et al. 2016, sec. 4.1.
    """

    answers: Array

    @cached_property
    def reported(self) -> Mask:
        """(n, k) the classes whose probability was told."""
        reported: Mask = self.answers > np.finfo(np.float64).tiny
        return reported

    @cached_property
    def logs(self) -> Array:
        """(n, k) logarithms of the answers; 0 where nothing was told."""
        logs: Array = np.log(self.answers, out=np.zeros_like(self.answers), where=self.reported)
        return logs

    @cached_property
    def equations(self) -> int:
        """Number of independent equations between scores."""
        return int(np.maximum(self.reported.sum(axis=1) - 1, 0).sum())

    def value(self, scores: Array) -> tuple[float, Array]:
        gap = np.where(self.reported, scores - self.logs, 0.0)
        gap -= self.reported * gap.sum(axis=1, keepdims=True) / self._count
        return 0.5 * float(np.vdot(gap, gap)) / len(gap), gap / len(gap)

    def curvature(self, scores: Array) -> Array:
        n, k = scores.shape
        if self.reported.all():
            centring: Array = (np.eye(k) - 1 / k)[None] / n
            return centring
        told: Array = self.reported.astype(np.float64)
        curvature: Array = spread(told, told / np.sqrt(self._count)) / n
        return curvature

    @cached_property
    def _count(self) -> Array:
        count: Array = np.maximum(self.reported.sum(axis=1, keepdims=True), 1.0)
        return count


@dataclass(frozen=True)
class RoundedOdds:
    """Squared gap in log-odds, the less weighted the more rounding may have moved an answer.

    An error of `half` in P is one of half / P in log P, whose inverse square weighs it; no weight
    exceeds half of all beyond P = half * sqrt(cap), so that a low cap smooths the search.

    Args:
        answers: (n, k), rounded to a unit of 2 `half`.
        half: half the unit of rounding.
        cap: weight, before it is scaled to 1, at which weights level off.
    """

    answers: Array
    half: float
    cap: float

    def value(self, scores: Array) -> tuple[float, Array]:
        gap = scores - np.log(np.maximum(self.answers, self.half))
        gap -= (self._weights * gap).sum(axis=1, keepdims=True) / self._total
        return 0.5 * float((self._weights * gap**2).sum()) / len(gap), self._weights * gap / len(
            gap
        )

    def curvature(self, scores: Array) -> Array:
        return spread(self._weights, self._weights / np.sqrt(self._total)) / len(scores)

    @cached_property
    def _weights(self) -> Array:
        clear = (self.answers / self.half) ** 2
        weights: Array = np.maximum(clear / (self.cap + clear), LEAST)
        return weights

    @cached_property
    def _total(self) -> Array:
        total: Array = self._weights.sum(axis=1, keepdims=True)
        return total


@dataclass(frozen=True)
class Intervals:
    """Penalty on probabilities that rounding would not have turned into the answers.

    An answer P, rounded to a unit of 2 `half`, tells that p lies in [P - half, P + half]. The
    penalty is softplus of the distance to that interval, in units of `half`, over `softness`; as
    softness falls it nears the distance itself.

    Args:
        answers: (n, k); where a row lacks more than rounding can explain, zeros were cut off, and
            tell only that their classes are not above the least that was reported.
        half: half the unit of rounding; or (n, k) half of each interval, of which the answers are
            then the middles.
        softness: the annealing parameter.
    """

    answers: Array
    half: float | Array
    softness: float

    def value(self, scores: Array) -> tuple[float, Array]:
        p = softmax(scores, axis=1)
        above, below = self._beyond(p)
        n, cost = len(p), np.logaddexp(0, above) + np.logaddexp(0, below)
        by_p = (expit(above) - expit(below)) / self.half
        gradient = p * (by_p - (by_p * p).sum(axis=1, keepdims=True)) / n
        return self.softness * float(cost.sum()) / n, gradient

    def curvature(self, scores: Array) -> Array:
        p = softmax(scores, axis=1)
        above, below = (expit(z) for z in self._beyond(p))
        bend = (above * (1 - above) + below * (1 - below)) / (self.softness * self.half**2 * len(p))
        jacobian = spread(p, p)
        curvature: Array = jacobian @ (bend[:, :, None] * jacobian)
        return curvature

    @property
    def rows(self) -> int:
        """Number of answers."""
        return len(self.answers)

    def broken(self, scores: Array) -> float:
        """Share of the answers that the scores do not explain, with a tenth of `half` to spare."""
        above, below = self._beyond(softmax(scores, axis=1))
        return float(np.mean(np.maximum(above, below) * self.softness > 0.1))

    @cached_property
    def _ceiling(self) -> Array:
        """(n, k) the largest answers that the probabilities may round to."""
        total = self.answers.sum(axis=1, keepdims=True)
        lacking = ((self.answers == 0) & (total < 1 - self.half * self.answers.shape[1])).any()
        cut = (self.answers == 0) & lacking  # in rows, too, that lack too little to show it
        least = np.where(self.answers > 0, self.answers, 1.0).min(axis=1, keepdims=True)
        return np.where(cut, least, self.answers)

    def _beyond(self, p: Array) -> tuple[Array, Array]:
        """How far p lies above and below its interval, in units of half * softness."""
        above = ((p - self._ceiling) / self.half - 1) / self.softness
        return above, ((self.answers - p) / self.half - 1) / self.softness


def spread(diagonal: Array, p: Array) -> Array:
    """Return diag(diagonal) - p p^T for each row: (n, k) to (n, k, k)."""
    matrices: Array = -p[:, :, None] * p[:, None, :]
    places = np.arange(p.shape[1])
    matrices[:, places, places] += diagonal
    return matrices
