"""Searches for a decision boundary by the labels of a binary model, many at a time."""

from dataclasses import dataclass

import numpy as np

from moatbench.types import Array, Rows

CLOSED = 2.0**-48  # of a segment: midpoints are rounding errors


@dataclass
class Brackets:
    """Segments whose ends bear different labels; each is halved until it holds a boundary point.

    Labels are signs: +1, -1, and 0 where an answer was refused.

    Args:
        start: (m, d) the ends of sign `side`.
        end: (m, d) the ends of the other sign.
        side: (m,) +1 or -1.
    """

    start: Array
    end: Array
    side: Array

    def __post_init__(self) -> None:
        self.near, self.far = np.zeros(len(self.side)), np.ones(len(self.side))

    def __len__(self) -> int:
        return len(self.side)

    @property
    def open(self) -> Rows:
        """Which can still be halved, the widest first."""
        width = self.far - self.near
        order = np.argsort(-width, kind="stable")
        return order[width[order] > CLOSED]

    @property
    def points(self) -> Array:
        """(m, d) the best guesses at points on the boundary."""
        return self._at(np.arange(len(self)), (self.near + self.far) / 2)

    @property
    def widths(self) -> Array:
        """(m,) the share of each segment that is still in doubt."""
        return self.far - self.near

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

    def __add__(self, other: "Brackets") -> "Brackets":
        """Put two sets of searches together."""
        both = Brackets(
            *(
                np.concatenate([getattr(self, field), getattr(other, field)])
                for field in ("start", "end", "side")
            )
        )
        both.near = np.concatenate([self.near, other.near])
        both.far = np.concatenate([self.far, other.far])
        return both


def null_vector(rows: Array, doubt: Array) -> Array:
    """(D,) the unit vector nearest to orthogonal to the rows (m, D), each in doubt (m,) of it."""
    weights = doubt.min() / (doubt * np.linalg.norm(rows, axis=1))
    vector: Array = np.linalg.svd(rows * weights[:, None], full_matrices=True)[2][-1]
    return vector
