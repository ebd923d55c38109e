"""Searches for a decision boundary by the labels of a binary model, many at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Mask, Rows

CLOSED = 2.0**-48  # of a segment: midpoints are rounding errors
WITHIN = (0.25, 0.5, 0.75)  # places at which a bracket is looked into


@dataclass
class Brackets:
    """Segments whose ends bear different labels; each is halved until it holds a boundary point.

    Labels are signs: +1, -1, and 0 where an answer was refused.

    Args:
        start: (m, d) the ends of sign `side`.
        end: (m, d) the ends of the other sign.
        side: (m,) +1 or -1.
        space: of the inputs; where it has steps, a bracket is closed between two of them.
    """

    start: Array
    end: Array
    side: Array
    space: InputSpace

    def __post_init__(self) -> None:
        self.near, self.far = np.zeros(len(self.side)), np.ones(len(self.side))

    def __len__(self) -> int:
        return len(self.side)

    @property
    def open(self) -> Rows:
        """Which can still be halved, the widest first."""
        width = self.far - self.near
        order = np.argsort(-width, kind="stable")
        order = order[width[order] > CLOSED]
        return order[
            ~closed(lambda t: self._at(order, t), self.near[order], self.far[order], self.space)
        ]

    @property
    def points(self) -> Array:
        """(m, d) the best guesses at points on the boundary."""
        rows = np.arange(len(self))
        if self.space.steps.any():
            return (self._answered(rows, self.near) + self._answered(rows, self.far)) / 2
        return self._at(rows, (self.near + self.far) / 2)

    @property
    def widths(self) -> Array:
        """(m,) the share of each segment that is still in doubt."""
        if not self.space.steps.any():
            return self.far - self.near
        rows, scaled = np.arange(len(self)), self.space.scaled
        gap = scaled(self._answered(rows, self.far)) - scaled(self._answered(rows, self.near))
        whole = np.linalg.norm(scaled(self.end) - scaled(self.start), axis=1)
        steps = np.linalg.norm(gap, axis=1) / np.maximum(whole, 1e-300)
        return np.asarray(np.maximum(self.far - self.near, steps))

    def beyond(self, rows: Rows) -> Array:
        """(len(rows), d) the nearest points of the other sign, as they are answered."""
        return self._answered(rows, self.far[rows])

    def questions(self, rows: Rows) -> Array:
        """(len(rows), d) inputs that halve these brackets."""
        return self._at(rows, (self.near[rows] + self.far[rows]) / 2)

    def learn(self, rows: Rows, signs: Array) -> None:
        """Take in the answers; one that was refused leaves its bracket as it is."""
        middle = (self.near[rows] + self.far[rows]) / 2
        same, other = signs == self.side[rows], signs == -self.side[rows]
        self.near[rows[same]] = middle[same]
        self.far[rows[other]] = middle[other]

    def _at(self, rows: Rows, t: Array) -> Array:
        start, end = self.start[rows], self.end[rows]
        return start + t[:, None] * (end - start)

    def _answered(self, rows: Rows, t: Array) -> Array:
        return self.space.answered(self._at(rows, t))

    def __add__(self, other: "Brackets") -> "Brackets":
        """Put two sets of searches together."""
        both = Brackets(
            np.concatenate([self.start, other.start]),
            np.concatenate([self.end, other.end]),
            np.concatenate([self.side, other.side]),
            self.space,
        )
        both.near = np.concatenate([self.near, other.near])
        both.far = np.concatenate([self.far, other.far])
        return both


def closed(at: Callable[[Array], Array], low: Array, high: Array, space: InputSpace) -> Mask:
    """(m,) whether all between two places of each path is answered as one of the two is.

    Args:
        at: places (m,) on the paths to points (m, d).
        low: (m,) places.
        high: (m,) likewise.
        space: of the points; without steps nothing is closed.
    """
    if not space.steps.any():
        return np.zeros(len(low), dtype=bool)
    ends = space.answered(at(low)), space.answered(at(high))
    done = np.ones(len(low), dtype=bool)
    for share in WITHIN:
        rows = space.answered(at(low + share * (high - low)))
        done &= (rows == ends[0]).all(axis=1) | (rows == ends[1]).all(axis=1)
    return done


def null_vector(rows: Array, doubt: Array) -> Array:
    """(D,) the unit vector nearest to orthogonal to the rows (m, D), each in doubt (m,) of it."""
    weights = doubt.min() / (doubt * np.linalg.norm(rows, axis=1))
    vector: Array = np.linalg.svd(rows * weights[:, None], full_matrices=True)[2][-1]
    return vector
