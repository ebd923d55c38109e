"""Ascent on a model's confidence in each class, of which only answers are seen."""

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Rows

FAINT = 1e-12  # probabilities below are as good as this one
GROWTH, CUT = 1.3, 0.4  # of a step's length, after a gain and after none


class Inversion:
    """Climbs to an input of high confidence for each class, all from the centre of the space.

    Ask the model what `questions` returns, and tell its answers to `learn`, until `done`.

    Args:
        space: bounds of the inputs.
        k: classes.
        step: of a finite difference, as a share of half a column's range.
        length: of the first ascent, in the same unit, root mean square over the columns.
        goal: confidence at which a class is done.
        rounds: ascents at most.

    Source: Fredrikson et al. 2015, algorithm 1; steps are of adaptive length, within the bounds.
    """

    def __init__(
        self, space: InputSpace, k: int, step: float, length: float, goal: float, rounds: int
    ) -> None:
        self.k, self._goal, self._rounds = k, goal, rounds
        self._middle, self._half = (space.low + space.high) / 2, (space.high - space.low) / 2
        self._low, self._high, self._answered = space.low, space.high, space.answered
        # A neighbour is a step away, at least
        self._beside = np.maximum(step, space.steps / self._half)
        self._at = np.zeros((k, space.d))  # in units of half the range, like all below
        self._tried, self._slope = self._at.copy(), self._at.copy()
        self._length = np.full(k, length * np.sqrt(space.d))
        self._value = np.full(k, -np.inf)
        self._climbing: Rows = np.empty(0, np.intp)  # classes whose points still need a slope
        self._round = 0

    @property
    def prototypes(self) -> Array:
        """(k, d) the best input of each class so far."""
        return self._raw(self._at)

    @property
    def done(self) -> bool:
        """Whether every class reached the goal, or the rounds are over."""
        return self._round > self._rounds or not len(self._open)

    def questions(self) -> Array:
        """(m, d) inputs to ask about: the next point of each open class, or neighbours of points.

        Neighbours, d a point, are asked only where a point was a gain and is not yet the goal.
        """
        if not self._round:  # all classes start from one point
            around = self._neighbours(self._at[0])
            return self._raw(np.vstack([self._at[:1], around]))
        if len(self._climbing):
            return self._raw(
                np.concatenate([self._neighbours(self._at[c]) for c in self._climbing])
            )
        for c in self._open:
            free = self._slope[c] * (np.abs(self._at[c] + 1e-9 * np.sign(self._slope[c])) < 1)
            norm = max(float(np.linalg.norm(free)), 1e-150)
            self._tried[c] = np.clip(self._at[c] + self._length[c] / norm * free, -1, 1)
        return self._raw(self._tried[self._open])

    def learn(self, outputs: Array) -> None:
        """Take the answers (m, k) to the questions; a row of NaN got none."""
        logs = np.log(np.maximum(outputs, FAINT))
        if not self._round:
            every = np.arange(self.k)
            self._value = np.where(np.isnan(logs[0]), -np.inf, logs[0])
            self._tilt(every, np.tile(logs[1:], (self.k, 1)))
            self._round = 1
        elif len(self._climbing):
            self._tilt(self._climbing, logs)
            self._climbing = self._climbing[:0]
        else:
            tried = self._open
            gained = logs[np.arange(len(tried)), tried] > self._value[tried]  # not where NaN
            up = tried[gained]
            self._at[up], self._value[up] = self._tried[up], logs[gained, up]
            self._length[tried] *= np.where(gained, GROWTH, CUT)
            self._climbing = np.intersect1d(up, self._open)
            self._round += 1

    def _tilt(self, classes: Rows, logs: Array) -> None:
        """Take the answers to the neighbours of some classes' points for their slopes."""
        for c, block in zip(classes, logs.reshape(len(classes), -1, self.k), strict=True):
            rise = block[:, c] - self._value[c]
            self._slope[c] = np.where(np.isfinite(rise), rise, 0.0) * self._inward(self._at[c])

    @property
    def _open(self) -> Rows:
        """Classes that have not reached the goal."""
        return np.flatnonzero(self._value < np.log(self._goal))

    def _neighbours(self, point: Array) -> Array:
        """(d, d) a neighbour along each column, inside the bounds."""
        neighbours: Array = point + np.diag(self._beside * self._inward(point))
        return neighbours

    def _inward(self, point: Array) -> Array:
        """(d,) the direction along each column that leads to no bound."""
        return np.where(point > 0, -1.0, 1.0)

    def _raw(self, points: Array) -> Array:
        """Turn points in [-1, 1] into inputs, those that will be answered."""
        inputs = np.clip(self._middle + self._half * points, self._low, self._high)
        return self._answered(inputs)
