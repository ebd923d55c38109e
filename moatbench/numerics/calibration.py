"""Thresholds from honest accounts, drawn from the defender's own data."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from moatbench.knobs import check_number, check_whole
from moatbench.types import Array, Generator, Mask, Rows


@dataclass(frozen=True)
class Calibration:
    """How often a monitor may be wrong about an honest account, and how that is found out.

    Honest accounts are drawn at random from the defender's data, and the monitor's greatest score
    over all queries of each is noted. Of these, the threshold is the one of rank
    ceil((1 - false_positives) (accounts + 1)): a further account, exchangeable with them, exceeds
    it with a probability of at most `false_positives` (split conformal prediction, Vovk et al.
    2005). Accounts that ask more than `horizon` queries, or other rows than the defender has,
    are not covered by that.

    Args:
        false_positives: share of honest accounts that may be alarmed, in [0, 1); 0 never alarms.
        horizon: queries of an honest account.
        accounts: honest accounts drawn; at least 1 / false_positives - 1.
    """

    false_positives: float
    horizon: int
    accounts: int

    def __post_init__(self) -> None:
        rate = self.false_positives
        check_number("calibration: false_positives", rate, 0, 1, below=True)
        check_whole("calibration: horizon", self.horizon, 1)
        least = max(1, ceil(round(1 / rate - 1, 6))) if rate else 1
        hint = f"; fewer cannot hold false_positives to {rate:g}" if rate else ""
        check_whole("calibration: accounts", self.accounts, least, hint=hint)

    def draw(self, n: int, rng: Generator, *, repeats: bool) -> list[Rows]:
        """Draw the accounts' rows, of n there are.

        Args:
            n: rows to draw from.
            rng: draws them.
            repeats: whether an account may ask a row twice. Where it may not, it asks half of the
                rows at most, or else the accounts would hardly differ.
        """
        length = self.horizon if repeats else min(self.horizon, max(n // 2, 1))
        if repeats:
            return [rng.integers(n, size=length) for _ in range(self.accounts)]
        return [rng.permutation(n)[:length] for _ in range(self.accounts)]

    def threshold(self, greatest: Sequence[float]) -> float:
        """Return what an alarm must exceed, given each account's greatest score."""
        tested = [score for score in greatest if score > -inf]
        # Beyond what the accounts asked nothing is known: no alarm rather than any
        rank = ceil(round((1 - self.false_positives) * (len(greatest) + 1), 9))
        if not self.false_positives or not tested or rank > len(greatest):
            return inf
        return max(float(np.sort(greatest)[rank - 1]), min(tested))


class Latch:
    """Alarms that last: an account that raised one stays in alarm."""

    def __init__(self) -> None:
        self.alarmed: set[str] = set()

    def __call__(self, over: Mask, account: str) -> Mask:
        """(n,) whether the account is in alarm by each row, given whether the row alone says so."""
        if account in self.alarmed:
            return np.ones(len(over), dtype=bool)
        if over.any():
            self.alarmed.add(account)
        return np.asarray(np.logical_or.accumulate(over))


@dataclass(frozen=True)
class Scaling:
    """Columns to mean 0 and standard deviation 1; a constant column keeps its unit.

    A feature left out (NaN) counts as the mean.
    """

    mean: Array
    spread: Array

    @classmethod
    def of(cls, x: Array) -> "Scaling":
        """Measure (n, d) rows."""
        spread = np.nanstd(x, axis=0)
        return cls(np.nanmean(x, axis=0), np.where(spread > 0, spread, 1.0))

    def filled(self, x: Array) -> Array:
        """(n, d) in its own units, with nothing left out."""
        return np.where(np.isnan(x), self.mean, x)

    def __call__(self, x: Array) -> Array:
        """(n, d) scaled."""
        return np.nan_to_num((x - self.mean) / self.spread, nan=0.0)
