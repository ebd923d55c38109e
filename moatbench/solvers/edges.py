"""Edges of rounded answers: where a probability crosses from one step to the next.

At an edge the probability is known as exactly as the edge is located, however coarse the steps are:
each is an equation in the parameters, bought by bisection at about a query a bit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import logit, logsumexp

from moatbench.numerics.objectives import Intervals
from moatbench.search.bisection import closed
from moatbench.solvers.grids import Steps
from moatbench.solvers.log_intervals import LogIntervals
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Mask, Rows

FINE = 1e-14  # share of a segment below which a bracket has no more digits
JUMP = 1e-3  # share of a segment: a bracket in which a code still changes is narrowed no further
NEAR = 0.05  # log-odds by which a prediction is first taken to err
SURE = 1e-9  # log-odds: no edge is located better, for the answers' own rounding errors
FREE = 40  # bisections of a predicted edge


@dataclass(frozen=True)
class Crossings:
    """Squared gap between a class's log-odds and those of the level that it is known to cross.

    Args:
        classes: (n,) the class whose probability crosses a level at each row.
        levels: (n,) the levels.
        reach: (n,) log-odds by which each may err; gaps are in units of it.
    """

    classes: Rows
    levels: Array
    reach: Array

    def value(self, scores: Array) -> tuple[float, Array]:
        gap, slope = self._gap(scores)
        return 0.5 * float(gap @ gap) / len(gap), gap[:, None] * slope / len(gap)

    def curvature(self, scores: Array) -> Array:
        slope = self._gap(scores)[1]
        curvature: Array = slope[:, :, None] * slope[:, None, :] / len(slope)
        return curvature

    def _gap(self, scores: Array) -> tuple[Array, Array]:
        """(n,) gaps in units of `reach`, and (n, k) their derivatives by score."""
        rows, others = np.arange(len(scores)), scores.copy()
        others[rows, self.classes] = -np.inf
        rest = logsumexp(others, axis=1)
        slope = -np.exp(others - rest[:, None])
        slope[rows, self.classes] = 1.0
        gap = scores[rows, self.classes] - rest - logit(self.levels)
        return gap / self.reach, slope / self.reach[:, None]


@dataclass(frozen=True)
class Joint:
    """Interval penalties on the first rows and crossings on the others; each row counts alike."""

    intervals: Intervals | LogIntervals
    crossings: Crossings

    def value(self, scores: Array) -> tuple[float, Array]:
        first, last = np.split(scores, [self._split])
        (a, by_a), (b, by_b) = self.intervals.value(first), self.crossings.value(last)
        return a + self._odds * b, np.concatenate([by_a, self._odds * by_b])

    def curvature(self, scores: Array) -> Array:
        first, last = np.split(scores, [self._split])
        a, b = self.intervals.curvature(first), self.crossings.curvature(last)
        return np.concatenate([a, self._odds * b])

    @property
    def _split(self) -> int:
        return self.intervals.rows

    @property
    def _odds(self) -> float:
        return len(self.crossings.levels) / self._split


class Edges:
    """Segments between bought points, on each a bracket that closes in on one edge.

    Args:
        x: (n, d) points whose answers are known.
        answers: (n, k) these, rounded.
        grid: to what.
        count: segments wanted.
        predict: (m, d) points to (m, k) probabilities, to look near the edge first.
        rng: draws segments and levels.
        space: of the points; where it has steps, an edge may lie between two of them.
    """

    def __init__(
        self,
        x: Array,
        answers: Array,
        grid: Steps,
        count: int,
        predict: Callable[[Array], Array],
        rng: Generator,
        space: InputSpace,
    ) -> None:
        self._space, self._predict = space, predict
        self.since = len(x)
        ends, self._classes, self._steps = segments(grid.steps(answers), count, rng)
        self._grid, self._levels = grid, grid.ends(self._steps)
        self._start, self._way = x[ends[:, 0]], x[ends[:, 1]] - x[ends[:, 0]]
        m = len(ends)
        # A code cannot move: it jumps, at a place of its own along the way
        self._switch = rng.random((m, space.coded.size))
        self._low, self._high = np.zeros(m), np.ones(m)  # shares of the way
        self._lost, self._turn = np.zeros(m, bool), 0
        self._next, self._slope = self._foreseen(predict)
        self._step = NEAR / self._slope

    @property
    def count(self) -> int:
        """Edges between two answers."""
        return int((self._inside & ~self._lost & ~self._jumps).sum())

    @property
    def _inside(self) -> Mask:
        inside: Mask = (self._low > 0) & (self._high < 1)
        return inside

    @property
    def _jumps(self) -> Mask:
        """(m,) brackets within which a code changes: what they close in on may be no edge."""
        low, high = self._low[:, None], self._high[:, None]
        return np.asarray(((low < self._switch) & (self._switch <= high)).any(axis=1))

    @property
    def open(self) -> Rows:
        """The brackets that can still be narrowed, those whose turn it is first."""
        rows = np.flatnonzero(~self._lost & (self._high - self._low > FINE))
        rows = rows[~(self._jumps & (self._high - self._low < JUMP))[rows]]
        at = self._low[rows], self._high[rows]
        rows = rows[~closed(lambda t: self._points_at(t, rows), *at, self._space)]
        return np.roll(rows, -int(np.searchsorted(rows, self._turn)))

    def questions(self, places: Rows) -> Array:
        """(len(places), d) the points to ask about next."""
        return self._points(self._next, places)

    def learn(self, places: Rows, outputs: Array) -> None:
        """Take the answers (len(places), k) to these questions; a row of NaN got none."""
        if len(places):
            self._turn = int(places[-1]) + 1
        told, at = outputs[np.arange(len(places)), self._classes[places]], self._next[places]
        steps = self._grid.steps(told)
        above, below = steps > self._steps[places], steps <= self._steps[places]
        self._lost[places] = ~(above | below)
        low, high = self._low[places], self._high[places]
        low, high = np.where(below, at, low), np.where(above, at, high)
        middle, step = (low + high) / 2, self._step[places]
        beyond = np.where(above, at - step, at + step)
        # A prediction that erred is left by growing steps, until the edge is between two answers.
        seeking = np.where(above, low == 0, high == 1)
        seeking &= np.where(above, beyond > middle, beyond < middle)
        self._next[places] = np.where(seeking, beyond, middle)
        self._low[places], self._high[places] = low, high
        self._step[places] *= 4

    def found(self) -> tuple[Array, Crossings]:
        """(m, d) points on edges, and what is known of them."""
        places = np.flatnonzero(self._inside & ~self._lost & ~self._jumps)
        middle, width = (self._low + self._high) / 2, self._high - self._low
        reach = np.maximum(width[places] / 4 * self._slope[places], SURE)
        levels, classes = self._levels[places], self._classes[places]
        if not self._space.steps.any():
            return self._points(middle, places), Crossings(classes, levels, reach)
        ends = [self._space.answered(self._points(s, places)) for s in (self._low, self._high)]
        one, two = (_odds(self._predict(x), classes) for x in ends)
        reach = np.maximum(reach, np.abs(two - one) / 4)
        return (ends[0] + ends[1]) / 2, Crossings(classes, levels, reach)

    def _points(self, shares: Array, places: Rows) -> Array:
        return self._points_at(shares[places], places)

    def _points_at(self, shares: Array, places: Rows) -> Array:
        points: Array = self._start[places] + shares[:, None] * self._way[places]
        ends = self._start[places] + self._way[places]
        low, high = np.minimum(self._start[places], ends), np.maximum(self._start[places], ends)
        points = np.clip(points, low, high)  # rounding errors must not leave the API's bounds
        if (coded := self._space.coded).size:
            jumped = shares[:, None] >= self._switch[places]
            points[:, coded] = np.where(jumped, ends[:, coded], self._start[places][:, coded])
        return points

    def _foreseen(self, predict: Callable[[Array], Array]) -> tuple[Array, Array]:
        """Where the model has the edge, and how fast its log-odds rise along the way there."""
        places = np.arange(len(self._low))

        def odds(shares: Array) -> Array:
            return _odds(predict(self._points(shares, places)), self._classes)

        low, high, goal = self._low.copy(), self._high.copy(), logit(self._levels)
        for _ in range(FREE):
            middle = (low + high) / 2
            above = odds(middle) > goal
            low, high = np.where(above, low, middle), np.where(above, middle, high)
        near = np.clip(low, 1e-3, 1 - 1e-3)
        rise = (odds(near + 1e-3) - odds(near - 1e-3)) / 2e-3
        return near, np.maximum(np.abs(rise), 1e-1)


def _odds(p: Array, classes: Rows) -> Array:
    """(m,) log-odds of a class of each row of (m, k) probabilities."""
    own = p[np.arange(len(p)), classes]
    return np.asarray(logit(np.clip(own, 1e-12, 1 - 1e-12)))


def segments(steps: Array, count: int, rng: Generator) -> tuple[Rows, Rows, Array]:
    """Pair rows on both sides of a step's end: (m, 2) rows, (m,) classes, (m,) the lower steps.

    The classes take turns, each with steps drawn from all that its answers span; m is `count`, or
    0 where no class's answers differ.

    Args:
        steps: (n, k) whole numbers.
        count: segments wanted.
        rng: draws them.
    """
    varied = np.flatnonzero(np.ptp(steps, axis=0) > 0)
    if not len(varied):
        return np.empty((0, 2), np.intp), np.empty(0, np.intp), np.empty(0)
    classes = rng.permutation(np.resize(varied, count))
    ends = np.empty((count, 2), np.intp)
    lower = np.empty(count)
    for place, c in enumerate(classes):
        own = steps[:, c]
        step = lower[place] = rng.integers(int(own.min()), int(own.max()))
        ends[place] = (
            rng.choice(np.flatnonzero(own <= step)),
            rng.choice(np.flatnonzero(own > step)),
        )
    return ends, classes, lower
