"""Tables of f at many heights, looked up at once."""

from collections.abc import Sequence

import numpy as np

from moatbench.inverses.bent.bump import Table
from moatbench.types import Array, Rows


class Curves:
    """The branches of several tables, one after another: f is apart from one to the next.

    Args:
        tables: of f at a height each.
    """

    def __init__(self, tables: Sequence[Table]) -> None:
        branches = [branch for table in tables for branch in table.branches()]
        whole = [(np.repeat(f, 2), np.repeat(z, 2)) if len(f) == 1 else (f, z) for f, z in branches]
        self._f, self._z = (np.concatenate(parts) for parts in zip(*whole, strict=True))
        sizes = [len(f) for f, _ in whole]
        self._starts = np.cumsum([0, *sizes[:-1]])
        self._ends = self._f[self._starts], self._f[np.cumsum(sizes) - 1]
        apart = 2 * (float(np.ptp(self._f)) + 1)
        self._offsets = apart * np.arange(len(sizes))
        self._keys = self._f + np.repeat(self._offsets, sizes)
        self._last = np.cumsum(sizes) - 2

    def inverse(self, tables: Rows, branches: Rows, f: Array) -> Array:
        """Return z where f is so much, by the line between two points of a branch of a table."""
        which = 2 * tables + branches
        f = np.clip(f, self._ends[0][which], self._ends[1][which])
        at = np.searchsorted(self._keys, f + self._offsets[which], side="right") - 1
        at = np.clip(at, self._starts[which], self._last[which])
        low, wide = self._f[at], self._f[at + 1] - self._f[at]
        part = np.divide(f - low, wide, out=np.zeros_like(f), where=wide > 0).clip(0, 1)
        return np.asarray(self._z[at] + part * (self._z[at + 1] - self._z[at]))
