"""Which choices of branches may make confidences add up to 1, without trying them all."""

from typing import NamedTuple

import numpy as np

from moatbench.types import Array, Mask, Rows

SLACK = 1e-9  # of a sum, for rounding errors


class Choices(NamedTuple):
    """Choices of branches: (s,) the cell of each, its number, and (2, s) its sums less 1."""

    cells: Rows
    numbers: Rows
    sums: Array

    def take(self, some: Mask | Rows) -> "Choices":
        """Return some of them."""
        return Choices(self.cells[some], self.numbers[some], self.sums[:, some])


def near_one(settled: Array, y: Array, possible: Mask, near: float) -> Choices:
    """Return the choices whose sum crosses 1 in their cell, or comes near it, cell by cell.

    One class after another is put on each of its branches. A choice is given up once no branches of
    the classes to come can bring its sum to 1. Bit j of a number is the branch of class j.

    Args:
        settled: (2, m) what confidences of which there is no choice add up to, less 1, at the two
            ends of m cells.
        y: (2, 2, m, j) the others, by branch and end.
        possible: (2, m, j) branches that they may be on; of each one at least.
        near: how near the sum must come at one end.
    """
    m, classes = settled.shape[1], y.shape[3]
    least, most = (_to_come(ufunc, y, possible) for ufunc in (np.minimum, np.maximum))
    left = Choices(np.arange(m), np.zeros(m, np.intp), settled)
    for j in range(classes + 1):
        low, high = (left.sums + ahead[j][:, left.cells] for ahead in (least, most))
        left = left.take(
            np.asarray((low.min(axis=0) <= near + SLACK) & (high.max(axis=0) >= -near - SLACK))
        )
        if j == classes:
            break
        parts = []
        for branch in (0, 1):
            some = left.take(possible[branch, left.cells, j])
            sums = some.sums + y[branch][:, some.cells, j]
            parts.append(Choices(some.cells, some.numbers + (branch << j), sums))
        left = Choices(*(np.concatenate(v, axis=-1) for v in zip(*parts, strict=True)))
    return left.take(np.lexsort((left.numbers, left.cells)))


def _to_come(ufunc: np.ufunc, y: Array, possible: Mask) -> Array:
    """(j + 1, 2, m) the least, or the most, that the classes from each one on add up to."""
    one, other = possible[:, None]
    best = np.where(one & other, ufunc(y[0], y[1]), np.where(one, y[0], y[1]))
    ahead = np.cumsum(best[..., ::-1], axis=2)[..., ::-1]
    return np.moveaxis(np.concatenate([ahead, np.zeros((*ahead.shape[:2], 1))], axis=2), 2, 0)
