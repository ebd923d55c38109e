"""Quota: the trivial monitor, which counts; each cleverer one must beat it.

Source: rate limits, as every prediction service has them.
Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.knobs import check_whole
from moatbench.monitor import Monitor
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim


@dataclass
class Quota(Monitor):
    """Alarm once an account has asked more than `limit` queries; it never ends.

    A run is one billing period. Honest customers who ask more are in alarm too, and an attacker
    with enough accounts never is.

    Args:
        limit: queries of an account without alarm, at least 0.
    """

    limit: int

    keeps: ClassVar[str] = "counts"

    def __post_init__(self) -> None:
        check_whole("quota: limit", self.limit, 0)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account."""
        self._accounts: dict[str, int] = {}  # queries of each

    @property
    def threshold(self) -> float:  # type: ignore[override]
        """The limit, in queries."""
        return float(self.limit)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether each row lies beyond the limit."""
        return self.score(x, labels, account) > self.threshold

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the number of each query."""
        before = self._accounts.get(account, 0)
        self._accounts[account] = before + len(x)
        return np.arange(before + 1.0, before + 1.0 + len(x))
