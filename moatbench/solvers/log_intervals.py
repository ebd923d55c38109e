"""Bounds on the logs of probabilities."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import expit, log_softmax

from moatbench.types import Array


@dataclass(frozen=True)
class LogIntervals:
    """The penalty of `Intervals` on logs of probabilities, where steps are the finer near zero.

    Args:
        low: (n, k) logs of the least probabilities; minus infinity is no bound.
        high: (n, k) logs of the greatest.
        softness: the annealing parameter.
    """

    low: Array
    high: Array
    softness: float

    def value(self, scores: Array) -> tuple[float, Array]:
        log_p = np.asarray(log_softmax(scores, axis=1))
        above, below = self._beyond(log_p)
        cost = np.logaddexp(0, above) + np.logaddexp(0, below)
        by_log = (expit(above) - expit(below)) / self._half
        gradient = (by_log - np.exp(log_p) * by_log.sum(axis=1, keepdims=True)) / len(scores)
        return self.softness * float(cost.sum()) / len(scores), gradient

    def curvature(self, scores: Array) -> Array:
        log_p = np.asarray(log_softmax(scores, axis=1))
        above, below = (expit(z) for z in self._beyond(log_p))
        bend = above * (1 - above) + below * (1 - below)
        bend /= self.softness * self._half**2 * len(scores)
        jacobian = np.eye(log_p.shape[1]) - np.exp(log_p)[:, None, :]
        curvature: Array = jacobian.transpose(0, 2, 1) @ (bend[:, :, None] * jacobian)
        return curvature

    @property
    def rows(self) -> int:
        """Number of answers."""
        return len(self.low)

    def broken(self, scores: Array) -> float:
        """Share of the answers that the scores do not explain, as `Intervals.broken`."""
        above, below = self._beyond(np.asarray(log_softmax(scores, axis=1)))
        return float(np.mean(np.maximum(above, below) * self.softness > 0.1))

    @cached_property
    def _half(self) -> Array:
        bounded = np.isfinite(self.low)
        half: Array = np.where(bounded, (self.high - np.where(bounded, self.low, 0)) / 2, 1.0)
        return half

    def _beyond(self, log_p: Array) -> tuple[Array, Array]:
        """How far log p lies above and below its interval, in units of half * softness."""
        scale = self._half * self.softness
        return (log_p - self.high) / scale, (self.low - log_p) / scale
