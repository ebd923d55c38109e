"""Inputs as one value a feature, seen from an anchor: numbers as they are, names as codes."""

from collections.abc import Sequence

import numpy as np

from moatbench.space import OFF, ON, Categorical, InputSpace
from moatbench.types import Array, Generator, Mask, Rows

GRID = 1000  # of the values that a feature's bisection goes by: of the pool, and evenly spread
OCTAVES = 4, 16  # below a range, the distances at which a second threshold may hide


class Coordinates:
    """(n, J) one value a feature for (n, d) rows of a space; a one-hot group is one code.

    Args:
        space: of the inputs.
        pool: (m, d) ordinary inputs; where there are none, random ones.

    Attributes:
        nominal: (J,) which features are names.
        sizes: (J,) how many names each of them has; 0 for a number.
        anchor: (J,) an ordinary input: the pool's nearest to all medians and most frequent names.
    """

    def __init__(self, space: InputSpace, pool: Array) -> None:
        self.space = space
        names = [len(f.values) if isinstance(f, Categorical) else 0 for f in space.features]
        self.sizes: Rows = np.array(names, dtype=np.intp)
        self.nominal: Mask = self.sizes > 0
        self._groups = {j: c for j, c in enumerate(space.columns) if c in space.groups}
        self._firsts = np.array([c.start for c in space.columns], dtype=np.intp)
        ordinary = self.values(pool if len(pool) else space.sample(GRID, np.random.default_rng(0)))
        self.anchor = self._central(ordinary)
        self._grids = [self._grid(j, ordinary[:, j]) for j in range(len(self.sizes))]

    def values(self, x: Array) -> Array:
        """(n, J) of whole rows (n, d); of a group that is not one-hot, its largest column."""
        values = x[:, self._firsts]
        for j, columns in self._groups.items():
            values[:, j] = x[:, columns].argmax(axis=1)
        return values

    def rows(self, values: Array) -> Array:
        """(n, d) the rows with these values."""
        x = np.full((len(values), self.space.d), OFF)
        for j, first in enumerate(self._firsts):
            if j in self._groups:
                x[np.arange(len(x)), first + values[:, j].astype(np.intp)] = ON
            else:
                x[:, first] = values[:, j]
        return x

    def spread(self, edges: Sequence[Array], n: int, rng: Generator) -> Array:
        """(n, J) values that go by cells, not by size: each number's cell is any, and each name.

        Args:
            edges: of each feature, its inner cells' ends; of names they count for nothing.
            n: how many; every second is at an end of each number's range.
            rng: draws.
        """
        values = np.empty((n, len(self.sizes)))
        for j, (first, size) in enumerate(zip(self._firsts, self.sizes, strict=True)):
            if size:
                values[:, j] = rng.integers(size, size=n)
                continue
            ends = np.sort([self.space.low[first], *edges[j], self.space.high[first]])
            cell = rng.integers(len(ends) - 1, size=n)
            values[:, j] = rng.uniform(ends[cell], ends[cell + 1])
            values[::2, j] = rng.choice(ends[[0, -1]], size=len(values[::2]))
        return values

    def near(self, j: int, cut: float, rng: Generator) -> float:
        """Return a value on either side of another, at any distance by its logarithm."""
        first = self._firsts[j]
        low, high = self.space.low[first], self.space.high[first]
        away = (high - low) * 2.0 ** -rng.uniform(*OCTAVES)
        return float(np.clip(cut + rng.choice((-away, away)), low, high))

    def between(self, j: int, one: float, other: float) -> float | None:
        """Return a value between two, half-way by what is asked; None where there is none."""
        low, high = min(one, other), max(one, other)
        grid = self._grids[j]
        start, stop = np.searchsorted(grid, low, "right"), np.searchsorted(grid, high, "left")
        tries = [float(grid[(start + stop) // 2])] if stop > start else []
        for value in (*tries, low + (high - low) / 2):
            at = self._answered(j, value)
            if low < at < high:
                return at
        return None

    def share(self, j: int, low: float, high: float) -> float:
        """Return the greater share of random or of ordinary inputs that a gap may hold."""
        grid = self._grids[j]
        held = np.searchsorted(grid, high, "left") - np.searchsorted(grid, low, "right")
        first = self._firsts[j]
        even = (high - low) / (self.space.high[first] - self.space.low[first])
        return float(max(held / len(grid), even))

    def _answered(self, j: int, value: float) -> float:
        first = self._firsts[j]
        if not self.space.steps[first]:
            return value
        row = self.space.low.copy()[None]
        row[0, first] = value
        return float(self.space.answered(row)[0, first])

    def _central(self, ordinary: Array) -> Array:
        names, middle = self.nominal, np.median(ordinary, axis=0)
        for j in np.flatnonzero(names):
            middle[j] = np.bincount(ordinary[:, j].astype(np.intp)).argmax()
        width = (self.space.high - self.space.low)[self._firsts]
        far = np.abs(ordinary - middle) / np.maximum(width, np.finfo(np.float64).tiny)
        far[:, names] = ordinary[:, names] != middle[names]
        central: Array = ordinary[far.sum(axis=1).argmin()].copy()
        return central

    def _grid(self, j: int, ordinary: Array) -> Array:
        """Sorted values: as many of ordinary inputs as there are evenly spread ones."""
        if self.nominal[j]:
            return ordinary[:0]
        first, shares = self._firsts[j], (np.arange(GRID) + 0.5) / GRID
        even = np.interp(shares, (0, 1), (self.space.low[first], self.space.high[first]))
        return np.sort(np.concatenate([np.quantile(ordinary, shares, method="nearest"), even]))
