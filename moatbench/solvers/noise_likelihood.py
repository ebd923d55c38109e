"""The likelihood of answers to which noise of a known law was added, clipped and normalised.

The service answers y = u / sum u, where u = clip(p + noise, 0, 1). Neither the sum s of u nor what
was clipped off is told, but both can be integrated over: u = s y, wherever it was not clipped.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from math import ceil, log, pi, sqrt
from typing import Protocol

import numpy as np
from scipy.special import log_ndtr, logsumexp, softmax

from moatbench.types import Array, Mask

SPAN = 4  # standard deviations of the sum on either side that are integrated over
NODES = 2.5  # of the quadrature, for each sigma of that span
LIFT = 0.4  # of a sigma, by which clipping at zero raises an entry on average, at most


class Law(Protocol):
    """Noise symmetric about zero, of a known standard deviation."""

    @property
    def sigma(self) -> float:
        """Standard deviation."""

    @property
    def information(self) -> float:
        """Fisher information of one entry about its place."""

    def log_density(self, t: Array) -> Array:
        """Log of the density at t."""

    def slope(self, t: Array) -> Array:
        """Derivative of `log_density`."""

    def log_tail(self, t: Array) -> Array:
        """Log of the chance to exceed t."""

    def tail_slope(self, t: Array) -> Array:
        """Derivative of `log_tail`."""


@dataclass(frozen=True)
class Gaussian:
    """Normal noise."""

    sigma: float

    @property
    def information(self) -> float:
        return self.sigma**-2

    def log_density(self, t: Array) -> Array:
        density: Array = -0.5 * (t / self.sigma) ** 2 - log(self.sigma * sqrt(2 * pi))
        return density

    def slope(self, t: Array) -> Array:
        return -t / self.sigma**2

    def log_tail(self, t: Array) -> Array:
        return np.asarray(log_ndtr(-t / self.sigma))

    def tail_slope(self, t: Array) -> Array:
        slope: Array = -np.exp(self.log_density(t) - self.log_tail(t))
        return slope


@dataclass(frozen=True)
class Laplace:
    """Double exponential noise of scale sigma / sqrt 2."""

    sigma: float

    @property
    def information(self) -> float:
        return 2 * self.sigma**-2

    def log_density(self, t: Array) -> Array:
        density: Array = -sqrt(2) / self.sigma * np.abs(t) - log(self.sigma * sqrt(2))
        return density

    def slope(self, t: Array) -> Array:
        slope: Array = -sqrt(2) / self.sigma * np.sign(t)
        return slope

    def log_tail(self, t: Array) -> Array:
        beyond = np.exp(-sqrt(2) / self.sigma * np.abs(t)) / 2
        return np.where(t > 0, -sqrt(2) / self.sigma * np.abs(t) - log(2), np.log1p(-beyond))

    def tail_slope(self, t: Array) -> Array:
        slope: Array = -np.exp(self.log_density(t) - self.log_tail(t))
        return slope


LAWS: dict[str, Callable[[float], Law]] = {"gaussian": Gaussian, "laplace": Laplace}


@dataclass(frozen=True)
class NoisyAnswers:
    """Negative log-likelihood of answers with noise of a known law; averaged over the rows.

    An entry of zero was clipped there; the largest may have been clipped at one, or not. The sum
    is integrated over by Gauss-Legendre quadrature. Rows that clipped to nothing, which a service
    answers as uniform, are too few to tell apart.

    Args:
        answers: (n, k) rows summing to one.
        law: of the noise.
    """

    answers: Array
    law: Law

    def value(self, scores: Array) -> tuple[float, Array]:
        p: Array = softmax(scores, axis=1)
        logs, weights = self._weighted(p)
        cost = logs + self._clipped(p)
        by_p = self._by_p(p, weights)
        gradient = p * (by_p - (by_p * p).sum(axis=1, keepdims=True)) / len(p)
        return -float(cost.mean()), gradient

    def curvature(self, scores: Array) -> Array:
        """Fisher information of the entries that are told, and what is left of it of the others.

        Less the direction of the answer itself, about which the unknown sum leaves the less.
        """
        p: Array = softmax(scores, axis=1)
        places = np.arange(p.shape[1])
        hidden = np.minimum(self.law.tail_slope(p) ** 2, self.law.information)
        bend = np.zeros((*p.shape, p.shape[1]))
        bend[:, places, places] = np.where(self._told, self.law.information, hidden)
        unit = self.answers / np.linalg.norm(self.answers, axis=1, keepdims=True)
        unknown = 1 - self._weighted(p)[1][:, -1]  # the sum is known where the top was clipped
        bend -= (unknown * self.law.information)[:, None, None] * _outer(unit)
        jacobian = -_outer(p)
        jacobian[:, places, places] += p
        curvature: Array = jacobian @ bend @ jacobian / len(p)
        return curvature

    @cached_property
    def _told(self) -> Mask:
        told: Mask = self.answers > 0
        return told

    @cached_property
    def _top(self) -> Array:
        """(n, k) marks the largest entry of each row."""
        top = np.zeros_like(self.answers)
        top[np.arange(len(top)), self.answers.argmax(axis=1)] = 1
        return top

    @cached_property
    def _nodes(self) -> tuple[Array, Array]:
        """(n, q + 1) sums, and logs of their weights; the last is that of a top clipped at one."""
        k, sigma = self.answers.shape[1], self.law.sigma
        least = max(1 - SPAN * sigma * sqrt(k), 1e-2)
        most = 1 + (SPAN * sqrt(k) + LIFT * k) * sigma
        at, weight = np.polynomial.legendre.leggauss(ceil(NODES * (most - least) / sigma))
        last = 1 / self.answers.max(axis=1, keepdims=True)
        half = (np.clip(last, least * (1 + 1e-9), most) - least) / 2
        sums = np.hstack([least + half * (1 + at), last])
        count = self._told.sum(axis=1, keepdims=True)
        logs = (count - 1) * np.log(sums)
        logs[:, :-1] += np.log(half * weight)
        logs[:, -1:] += np.log(last)
        return sums, logs

    def _weighted(self, p: Array) -> tuple[Array, Array]:
        """(n,) logs of the integral over the sum, and (n, q + 1) each node's share of it."""
        sums, logs = self._nodes
        logs = logs.copy()
        for c in range(p.shape[1]):
            told, top = self._told[:, c, None], self._top[:, c].astype(bool)
            gap = sums * self.answers[:, c, None] - p[:, c, None]
            part = self.law.log_density(gap)
            part[top, -1] = self.law.log_tail(1 - p[top, c])
            logs += np.where(told, part, 0.0)
        total: Array = logsumexp(logs, axis=1)
        return total, np.exp(logs - total[:, None])

    def _clipped(self, p: Array) -> Array:
        """(n,) logs of the chance that the entries of zero were clipped there."""
        return np.asarray(np.where(self._told, 0.0, self.law.log_tail(p)).sum(axis=1))

    def _by_p(self, p: Array, weights: Array) -> Array:
        """(n, k) derivative of the negative log-likelihood."""
        sums, by_p = self._nodes[0], -self.law.tail_slope(p)
        for c in range(p.shape[1]):
            told, top = self._told[:, c], self._top[:, c].astype(bool)
            slope = -self.law.slope(sums * self.answers[:, c, None] - p[:, c, None])
            slope[top, -1] = -self.law.tail_slope(1 - p[top, c])
            by_p[told, c] = -(weights * slope).sum(axis=1)[told]
        return by_p


def _outer(rows: Array) -> Array:
    outer: Array = rows[:, :, None] * rows[:, None, :]
    return outer
