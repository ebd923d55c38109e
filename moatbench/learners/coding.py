"""Rows as scikit-learn's histogram trees take them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Rows

NAMES = 250  # that a column can hold; the trees know 255 values of a column


@dataclass(frozen=True)
class Coding:
    """Numbers scaled, names as codes, and NaN where a feature is left out.

    A one-hot group that is one column has its names split by the trees themselves, which then grow
    four times as fast as on its columns, and foretell uniform rows a little worse.

    Args:
        space: of the inputs.
        grouped: the groups that are one column, by their first.
    """

    space: InputSpace
    grouped: frozenset[int] = frozenset()

    @cached_property
    def _parts(self) -> list[tuple[slice, bool]]:
        """Columns of each feature, and whether they become one."""
        return [(c, c.start in self.grouped) for c in self.space.columns]

    @cached_property
    def names(self) -> list[int]:
        """Columns that hold names."""
        found, at = [], 0
        few = set(self._few_names)
        for columns, one in self._parts:
            if one or columns.start in few:
                found.append(at)
            at += 1 if one else columns.stop - columns.start
        return found

    @property
    def _few_names(self) -> Rows:
        codes: Rows = self.space.coded[self.space.high[self.space.coded] < NAMES]
        return codes

    def __call__(self, x: Array) -> Array:
        """(n, m) the rows (n, d)."""
        z, parts = self.space.scaled(x), []
        for columns, one in self._parts:
            part = z[:, columns]
            if one:
                code = np.nan_to_num(part, nan=-np.inf).argmax(axis=1).astype(np.float64)
                part = np.where(np.isnan(part).all(axis=1), np.nan, code)[:, None]
            parts.append(part)
        return np.hstack(parts)


def coding_for(space: InputSpace, x: Array) -> Coding:
    """Return the quick coding, for what is learnt from rows (n, d): groups are one column each.

    Only where all rows are one-hot: others have no name.
    """
    whole = bool(space.valid(x).all())
    groups = [g for g in space.groups if whole and g.stop - g.start < NAMES]
    return Coding(space, frozenset(g.start for g in groups))
