"""Undo a bump on every confidence: reverse sigmoid, and DCP, its gated kin.

Told is f(y_i) / sum f(y_j), f as in `bump`. It turns once below 1/2, so a confidence has two
branches. The largest, m, fixes the rest: of class c it gives the scale f(m) / told_c and the height
of the bump; the others are roots of f on a branch each; and all must add up to 1, one equation for
m. The candidates are its solutions over all c and branches, and their certificate is that the
defense tells of each what was told.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit

from moatbench.inverses.bent.bump import BOTTOM, Bump, Table, slope, solved
from moatbench.inverses.bent.choices import Choices, near_one
from moatbench.inverses.bent.curves import Curves
from moatbench.types import Array, Mask, Rows

WITHIN = 1e-8  # of a branch's end, of what was told, and of a sum of 1
NEAR, REACH = 0.004, 0.01  # of 1, at an end: two solutions may be in one cell of the grid
SLACK = 1e-3  # of where tangents meet
OFF, ASIDE = 1e-4, 0.3  # from a turn, where Newton's method fails, and where to start instead
STEADY = 1e-6  # a height that changes less with the largest is the same in all of a cell
EDGES = 2  # log-odds above the least, where classes are next to nothing
BESIDE = 0.05  # a turn, where slopes change fast
LEADS = 1e-6  # behind by less, a class may lead
HALVINGS = 12  # of a cell
PARTS = 16  # of a cell in which some class turns
TIES = 1e-12  # of what was told, where all are below the edge
ALL = 10  # classes up to which all branches are tried
BLOCK = 2**21  # numbers held at once


class Cells(NamedTuple):
    """Where the largest confidence of a row may be: rows, its least and most log-odds (m,).

    `tables` (m,) says which height of the bump is near, `possible` (2, m, k - 1) which branches the
    others may be on, and `branches` (m, k - 1) which of them is meant.
    """

    rows: Rows
    low: Array
    high: Array
    tables: Rows
    possible: Mask
    branches: Rows

    def take(self, some: Rows | Mask) -> "Cells":
        """Return some of the cells."""
        ends, tables = (self.low[some], self.high[some]), self.tables[some]
        possible = self.possible[:, some]
        return Cells(self.rows[some], *ends, tables, possible, self.branches[some])

    def cut(self, parts: int) -> "Cells":
        """Return each cell in equal parts."""
        many = self.take(np.repeat(np.arange(len(self.rows)), parts))
        at = np.tile(np.arange(parts), len(self.rows)) / parts
        wide = many.high - many.low
        return many._replace(low=many.low + at * wide, high=many.low + (at + 1 / parts) * wide)


class Search:
    """Looks for the truths behind answers (n, k) of which the class `top` (n,) was the largest.

    Args:
        told: above 0 for that class.
        top: the same or another for each row.
        bump: what was subtracted.
        allowed: (2, n, k) branches that are tried.
        moving: a bump that would have let another class lead; None where that is not known.
    """

    def __init__(
        self, told: Array, top: Rows, bump: Bump, allowed: Mask, moving: Bump | None
    ) -> None:
        n, k = told.shape
        self._bump, self._moving, self._top, self._m = bump, moving, top, bump.grid(k)
        self._others = np.argsort(np.arange(k) == top[:, None], axis=1, kind="stable")[:, :-1]
        at_top = told[np.arange(n), top][:, None]
        self._ratio = np.take_along_axis(told, self._others, axis=1) / at_top
        self._allowed = np.take_along_axis(allowed, self._others[None], axis=2)
        self._heights = bump.height(expit(self._m))
        heights, self._table_of = np.unique(self._heights, return_inverse=True)
        self._tables = [Table.of(bump, float(height)) for height in heights]
        self._curves = Curves(self._tables)
        self._turns = np.array([table.at_turn for table in self._tables])

    def candidates(self) -> tuple[Rows, Array]:
        """Return (m,) rows, and (m, k) what they may have been, not yet checked."""
        found = [(np.zeros(0, np.intp), np.zeros(0), np.zeros((0, self._ratio.shape[1])))]
        size = max(1, BLOCK >> min(self._ratio.shape[1], ALL))
        for cells in self._cells():
            for at in range(0, len(cells.rows), size):
                found += self._solved(cells.take(np.arange(at, min(at + size, len(cells.rows)))))
        rows, top, others = (np.concatenate(v) for v in zip(*found, strict=True))
        return rows, self._whole(rows, top, others)

    def _cells(self) -> tuple[Cells, Cells]:
        """Cells where each class has a branch; apart, and cut, those where some class turns."""
        at_top = self._bump.weight(self._m, self._heights)
        weights = at_top[None, :, None] * self._ratio[:, None, :]
        low, high = (v(weights[:, :-1], weights[:, 1:]) for v in (np.minimum, np.maximum))
        on_table = np.array([table.ends for table in self._tables])
        ends = on_table[self._table_of].transpose(1, 2, 0)  # (2 branches, least and most, g)
        least, most = (
            v(ends[..., :-1], ends[..., 1:])[..., None] for v in (np.minimum, np.maximum)
        )
        possible = high >= least[:, 0][:, None] - WITHIN
        possible &= low <= most[:, 1][:, None] + WITHIN
        possible &= self._allowed[:, :, None]
        rows, cells = np.nonzero(possible.any(axis=0).all(axis=2))
        possible = possible[:, rows, cells]
        branches = np.zeros(possible.shape[1:], np.intp)
        every = Cells(
            rows, self._m[cells], self._m[cells + 1], self._table_of[cells], possible, branches
        )
        turn = np.array([table.f[table.turn] for table in self._tables])[self._table_of]
        turns = (low <= np.maximum(turn[:-1], turn[1:])[:, None]) & (
            high >= np.minimum(turn[:-1], turn[1:])[:, None]
        )
        inside = turns[rows, cells].any(axis=1)
        return every.take(~inside), every.take(inside).cut(PARTS)

    def _solved(self, cells: Cells) -> list[tuple[Rows, Array, Array]]:
        """Solve in each cell where the sum over some choice of branches crosses 1, or nearly."""
        choices = self._choices(cells)
        crossing = np.asarray(choices.sums[0] * choices.sums[1] <= 0)
        left, right = choices.sums[:, crossing]
        at = np.divide(left, left - right, out=np.zeros_like(left), where=left != right)
        meant = self._meant(cells, choices.take(crossing))
        rows, top, others, arrived = self._from(meant, at)
        lost = ~(arrived & self._kept(meant, top, others))
        # A solution where the sum goes back has others on both sides
        back = ~lost & (slope(self._bump, self._ratio[rows], top, others) * right < 0)
        again = lost | back
        every = [(rows, top, others), self._bisected(meant.take(again), left[again])]
        tangent = self._meant(cells, choices.take(~crossing))
        tangent = tangent.take(self._turning(tangent, choices.sums[:, ~crossing]))
        every += [self._from_ends(meant.take(back)), self._from_ends(tangent)]
        rows, top, others = (np.concatenate(v) for v in zip(*every, strict=True))
        return [(rows, top, others), self._pinned(rows, top, others)]

    def _choices(self, cells: Cells) -> Choices:
        """Return the choices of branches in which all may add up to 1 in a cell, or nearly."""
        found = np.empty((2, 2, *cells.branches.shape))
        for branch in (0, 1):
            on = cells._replace(branches=np.full_like(cells.branches, branch))
            found[branch] = self._roots(on, cells.low), self._roots(on, cells.high)
        y, either = expit(found), self._open(cells)
        settled = np.where(cells.possible[0], y[0], y[1])
        np.put_along_axis(settled, either[None], 0.0, axis=2)
        largest = expit(np.stack([cells.low, cells.high]))
        base = largest - 1 + settled.sum(axis=2)
        y = np.take_along_axis(y, either[None, None], axis=3)
        possible = np.take_along_axis(cells.possible, either[None], axis=2)
        ahead = y - largest[..., None]
        possible &= ahead.min(axis=1) - np.abs(np.ptp(ahead, axis=1)) < WITHIN
        choices = near_one(base, y, possible, REACH)
        if self._moving is None:
            return choices
        leads = self._leading(self._moving, found, cells)[:, choices.cells]
        above = self._meant(cells, choices).branches > 0
        return choices.take(np.where(above, leads[1], leads[0]).any(axis=1))

    def _leading(self, moving: Bump, others: Array, cells: Cells) -> Mask:
        """(2, m, j) whether a class, on each branch, might have led once moved.

        Args:
            moving: what may have moved it.
            others: (2, 2, m, j) the others, by branch and end of the cell.
            cells: m of them.
        """
        top = np.stack([cells.low, cells.high])
        h = moving.height(expit(top))
        ahead = moving.weight(others, h[..., None]).clip(0)
        ahead -= moving.weight(top, h).clip(0)[..., None]
        return np.asarray(ahead.max(axis=1) + np.abs(np.ptp(ahead, axis=1)) > -LEADS)

    def _open(self, cells: Cells) -> Rows:
        """(m, ALL - 1) classes whose branches are tried, those first that may be on both."""
        both = cells.possible.all(axis=0)
        return np.asarray(np.argsort(~both, axis=1, kind="stable")[:, : ALL - 1])

    def _meant(self, cells: Cells, choices: Choices) -> Cells:
        """Return some cells, each with the branches of one choice among the open classes."""
        found, either = cells.take(choices.cells), self._open(cells)[choices.cells]
        branches = (~found.possible[0]).astype(np.intp)
        bits = (choices.numbers[:, None] >> np.arange(either.shape[1])) & 1
        np.put_along_axis(branches, either, bits, axis=1)
        return found._replace(branches=branches)

    def _roots(self, cells: Cells, top: Array) -> Array:
        """(m, k - 1) where the others are when the largest is at `top` (m,), by the tables."""
        weights = self._bump.weight(top, self._bump.height(expit(top)))[:, None]
        weights = self._ratio[cells.rows] * weights
        return self._curves.inverse(cells.tables[:, None], cells.branches, weights)

    def _from(self, cells: Cells, at: Array) -> tuple[Rows, Array, Array, Mask]:
        """Solve, from a share `at` of the way through each cell."""
        top = cells.low + at * (cells.high - cells.low)
        others = self._roots(cells, top)
        turn = self._turns[cells.tables][:, None]
        aside = turn + np.where(cells.branches > 0, ASIDE, -ASIDE)
        others = np.where(np.abs(others - turn) < OFF, aside, others).clip(BOTTOM, 0)
        free = np.zeros(others.shape, bool)
        return cells.rows, *solved(self._bump, self._ratio[cells.rows], top, others, free)

    def _from_ends(self, cells: Cells) -> tuple[Rows, Array, Array]:
        """Solve from both ends of each cell."""
        both = cells.take(np.tile(np.arange(len(cells.rows)), 2))
        return self._from(both, np.repeat([0.0, 1.0], len(cells.rows)))[:3]

    def _bisected(self, cells: Cells, left: Array) -> tuple[Rows, Array, Array]:
        """Halve cells where the sum crosses 1, by the tables, and solve from there."""
        low, high = cells.low, cells.high
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            total = expit(middle) + expit(self._roots(cells, middle)).sum(axis=1) - 1
            same = (total > 0) == (left > 0)
            low, high = np.where(same, middle, low), np.where(same, high, middle)
        return self._from(cells._replace(low=low, high=high), np.full(len(low), 0.5))[:3]

    def _turning(self, cells: Cells, sums: Array) -> Mask:
        """(m,) whether a sum that is not 1 at the ends (2, m) of a cell may touch it in between.

        It does not where it bends one way, and its tangents meet before. It may bend anyhow where
        some class turns or is next to nothing, or the height of the bump changes.
        """
        far, slopes, bent = np.abs(sums), [], np.zeros(sums.shape[1], bool)
        for end in (cells.low, cells.high):
            others = self._roots(cells, end)
            bent |= (np.abs(others - self._turns[cells.tables][:, None]) < BESIDE).any(axis=1)
            bent |= (others < BOTTOM + EDGES).any(axis=1)
            bent |= np.abs(self._bump.slope(expit(end))) > STEADY
            slopes.append(slope(self._bump, self._ratio[cells.rows], end, others))
        down, up = slopes * np.sign(sums)
        with np.errstate(divide="ignore", invalid="ignore"):
            meet = (far[1] - far[0] - up * (cells.high - cells.low)) / (down - up)
            least = far[0] + down * meet
        return np.asarray(bent & (far.min(axis=0) < NEAR) | (down < 0) & (up > 0) & (least < SLACK))

    def _kept(self, cells: Cells, top: Array, others: Array) -> Mask:
        """(m,) whether solutions are in the cells and on the branches where they were sought."""
        inside = (top >= cells.low) & (top <= cells.high)
        above = others > self._turns[cells.tables][:, None]
        return np.asarray(inside & (above == (cells.branches > 0)).all(axis=1))

    def _pinned(self, rows: Rows, top: Array, others: Array) -> tuple[Rows, Array, Array]:
        """Solve again where classes are about the edge, as if those were below it."""
        some = np.flatnonzero((others < BOTTOM + EDGES).any(axis=1))
        rows, top, others = rows[some], top[some], others[some]
        ratio, least = self._ratio[rows], others.argmin(axis=1)[:, None]
        tied = np.abs(ratio - np.take_along_axis(ratio, least, axis=1)) < TIES
        low = tied & (others < BOTTOM + EDGES)
        return rows, *solved(self._bump, ratio, top, others, low)[:2]

    def _whole(self, rows: Rows, top: Array, others: Array) -> Array:
        found = np.empty((len(rows), others.shape[1] + 1))
        np.put_along_axis(found, self._others[rows], expit(others), axis=1)
        found[np.arange(len(rows)), self._top[rows]] = expit(top)
        return found
