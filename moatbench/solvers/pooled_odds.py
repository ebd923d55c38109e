"""Exact probabilities of some classes, which tell the sum of the others."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import logsumexp, softmax

from moatbench.numerics.objectives import LogOdds, spread
from moatbench.types import Array, Mask

CLEAR = 1e-6  # one less what is told has no digits beyond 1e-16: fainter rests carry errors


@dataclass(frozen=True)
class PooledOdds:
    """Squared gap in log-odds, where what a row leaves out is known in sum: one less what it tells.

    The classes left out count as one. A row that tells its k largest probabilities as they are
    gives k equations, one more than their log-odds alone. Answers: (n, k), zero where left out.
    """

    answers: Array

    @cached_property
    def rest(self) -> Array:
        """(n,) the sum of what is left out."""
        rest: Array = 1 - self.answers.sum(axis=1)
        return rest

    @cached_property
    def equations(self) -> int:
        """Number of independent equations between scores."""
        return int(np.maximum(self._count - 1, 0).sum())

    def explained(self, scores: Array, within: float) -> bool:
        """Whether scores reproduce all that is told."""
        gap = np.where(self._told, softmax(scores, axis=1) - self.answers, 0.0)
        return bool(np.abs(gap).max() <= within)

    def value(self, scores: Array) -> tuple[float, Array]:
        gap, share = np.where(self._told, scores - self._logs, 0.0), self._share(scores)
        pool = np.where(self._pooled, logsumexp(self._left(scores), axis=1) - self._log_rest, 0.0)
        mean = (gap.sum(axis=1) + pool) / np.maximum(self._count, 1)
        gap -= self._told * mean[:, None]
        pool -= self._pooled * mean
        value = 0.5 * (float(np.vdot(gap, gap)) + float(pool @ pool)) / len(gap)
        return value, (gap + share * pool[:, None]) / len(gap)

    def curvature(self, scores: Array) -> Array:
        told, share = self._told.astype(np.float64), self._share(scores)
        both = (told + share) / np.sqrt(np.maximum(self._count, 1))[:, None]
        curvature: Array = (spread(told, both) + share[:, :, None] * share[:, None, :]) / len(
            scores
        )
        return curvature

    @cached_property
    def _odds(self) -> LogOdds:
        """The classes told, without the sum of the others."""
        return LogOdds(self.answers)

    @cached_property
    def _told(self) -> Mask:
        return self._odds.reported

    @cached_property
    def _pooled(self) -> Mask:
        """(n,) rows whose rest is known to enough digits."""
        pooled: Mask = (self.rest > CLEAR) & ~self._told.all(axis=1) & self._told.any(axis=1)
        return pooled

    @cached_property
    def _count(self) -> Array:
        """(n,) classes told, and one for the others."""
        count: Array = self._told.sum(axis=1) + self._pooled
        return count

    @cached_property
    def _logs(self) -> Array:
        return self._odds.logs

    @cached_property
    def _log_rest(self) -> Array:
        log_rest: Array = np.log(self.rest, out=np.zeros_like(self.rest), where=self._pooled)
        return log_rest

    def _left(self, scores: Array) -> Array:
        """(n, k) the scores of the classes left out; minus infinity elsewhere."""
        left = np.where(self._told, -np.inf, scores)
        return np.where(self._pooled[:, None], left, 0.0)

    def _share(self, scores: Array) -> Array:
        """(n, k) of the classes left out, each one's share in their sum."""
        share: Array = self._pooled[:, None] * softmax(self._left(scores), axis=1)
        return share
