"""Which rows of two tables are the same, whatever their numbers were kept in."""

from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from moatbench.data.table import Column, Table
from moatbench.types import Array, Mask

SHADES = 255  # of a range: pictures that differ by no more than one are the same
BLOCKS = 12  # of a picture, whose means tell nearly all others apart
CHUNK = 1024  # rows whose means are taken at once
SINGLE = 2.0**-24  # how far single precision puts a number off, as a share of it
TINY = 1e-9  # share of a step, that sums of steps are off by


@dataclass(frozen=True)
class Alike:
    """Tells rows of a table from those of others that were brought into its columns.

    Bytes, single precision and another number of shades change the last digits of the same row.
    So numbers on the steps of their column are compared as such, others in single precision, and
    pictures by whether all pixels are within a 255th of the range. Resized pictures, and numbers
    that were cut to fewer decimals than a step, stay unseen.

    Args:
        table: whose columns they are.
    """

    table: Table

    def rows(self, table: Table) -> NDArray[Any]:
        """(n, d) what a table holds, in the owner's units; bytes where they are pixels."""
        if table.pixels is not None and self.table.pixels is not None:
            return table.pixels
        return np.column_stack([column.values for column in table.columns])

    def among(self, mine: NDArray[Any], others: NDArray[Any]) -> Mask:
        """(n,) whether each of my rows (n, d) is the same as one of the others (m, d)."""
        known = set(self._digests(others))
        found = np.array([digest in known for digest in self._digests(mine)], bool)
        if self.table.image is None or found.all() or not len(others):
            return found
        rest = np.flatnonzero(~found)
        found[rest] = self._near(mine[rest], others)
        return found

    def _digests(self, rows: NDArray[Any]) -> list[bytes]:
        if rows.dtype != np.uint8 and self.table.image is None:
            cells = [_cells(c, v) for c, v in zip(self.table.columns, rows.T, strict=True)]
            rows = np.column_stack(cells)
        rows = rows if rows.dtype == np.uint8 else rows + 0.0  # -0.0 is 0.0
        return [blake2b(row.tobytes(), digest_size=16).digest() for row in rows]

    def _near(self, mine: NDArray[Any], others: NDArray[Any]) -> Mask:
        """(n,) whether a picture of others has each pixel within a shade of mine."""
        ranges = np.array([np.ptp(column.range) for column in self.table.columns])
        shade = (1 + 1e-6) * np.where(ranges > 0, ranges, 1.0) / SHADES
        tree = cKDTree(_means(others, shade))
        close = tree.query_ball_point(_means(mine, shade), 1.0, p=np.inf)
        return np.array(
            [
                bool(places)
                and bool((np.abs(others[places] - row.astype(np.float64)) <= shade).all(1).any())
                for row, places in zip(mine, close, strict=True)
            ],
            bool,
        )


def _cells(column: Column, values: Array) -> Array:
    """Return numbers (n,) that are the same however their last digits were lost.

    What lies on a step of the column, but for the errors of single precision, is that step; all
    else is taken in single precision.
    """
    if column.categories is not None:
        return np.asarray(values)
    low, step = column.range[0], column.step
    single = values.astype(np.float32).astype(np.float64)
    if not step:
        return np.asarray(single)
    whole = low + step * np.rint((values - low) / step)
    near = np.abs(values - whole) <= SINGLE * np.abs(values) + TINY * step
    return np.where(near, whole, single)


def _means(rows: NDArray[Any], shade: Array) -> Array:
    """(n, blocks) the mean shade of each block of columns: equal pictures differ by one at most."""
    starts = np.unique(np.linspace(0, len(shade), BLOCKS + 1).astype(int)[:-1])
    sizes = np.diff([*starts, len(shade)])
    parts = [rows[start : start + CHUNK] / shade for start in range(0, len(rows), CHUNK)]
    return np.concatenate([np.add.reduceat(part, starts, axis=1) / sizes for part in parts])
