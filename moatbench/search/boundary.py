"""Points on the boundary between a model's classes."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask, Rows

HALVINGS = 40  # of a segment on a local model: down to rounding errors
PROJECTIONS = 20  # between plane and box, in turn


@dataclass(frozen=True)
class Segments:
    """Paths from the rows of `start` (t = 0) to those of `end` (t = 1), all (m, d).

    Real-valued columns move linearly, by their steps where they have any. A category cannot: it
    jumps at `switch`, a place of its own along the path; NaN there marks the columns that move.
    """

    start: Array
    end: Array
    switch: Array
    space: InputSpace

    @classmethod
    def between(
        cls, start: Array, end: Array, space: InputSpace, valid: bool, rng: Generator
    ) -> "Segments":
        """Lay a path between each pair of rows; `valid` ones keep one-hot groups one-hot."""
        m = len(start)
        switch = np.full(start.shape, np.nan)
        switch[:, space.coded] = rng.random((m, space.coded.size))
        for group in space.groups if valid else ():
            switch[:, group] = rng.random((m, 1))
        return cls(start, end, switch, space)

    def __len__(self) -> int:
        return len(self.start)

    @property
    def lengths(self) -> Array:
        """(m,) distances between the ends, in a box whose sides are scaled to [-1, 1]."""
        sides = np.maximum(self.space.high - self.space.low, np.finfo(np.float64).tiny)
        length: Array = np.linalg.norm(2 * (self.end - self.start) / sides, axis=1)
        return length

    def at(self, t: Array) -> Array:
        """(m, d) the point at t (m,) in [0, 1] of each path."""
        t = t[:, None]
        jumped = np.where(t < self.switch, self.start, self.end)
        moved = np.where(np.isnan(self.switch), self.start + t * (self.end - self.start), jumped)
        inside = np.clip(moved, self.space.low, self.space.high)  # by a rounding error
        return self.space.answered(inside)

    def take(self, rows: Mask | Rows) -> "Segments":
        """Return some of the paths."""
        return Segments(self.start[rows], self.end[rows], self.switch[rows], self.space)


def bisect(segments: Segments, labels: Callable[[Array], Labels]) -> Array:
    """(m, d) a point of each path where the label ceases to be that of its start."""
    near, far = np.zeros(len(segments)), np.ones(len(segments))
    own = labels(segments.start)
    for _ in range(HALVINGS):
        middle = (near + far) / 2
        same = labels(segments.at(middle)) == own
        near, far = np.where(same, middle, near), np.where(same, far, middle)
    return segments.at((near + far) / 2)


def opposites(labels: Labels, rows: Rows, rng: Generator) -> tuple[Rows, Rows]:
    """Pair rows with random rows of another label: their places, and their partners'.

    First another label is drawn, then a row that bears it: rare classes have boundaries too. Rows
    without a partner are left out.
    """
    places = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    if len(places) < 2:
        return rows[:0], rows[:0]
    own = np.searchsorted(np.unique(labels), labels[rows])
    other = (own + rng.integers(1, len(places), size=len(rows))) % len(places)
    draws = rng.random(len(rows))
    partners = [places[c][int(u * len(places[c]))] for c, u in zip(other, draws, strict=True)]
    return rows, np.array(partners, dtype=np.intp)


def project(z: Array, normal: Array, offset: float | Array) -> Array:
    """Move points of the cube [-1, 1]^d onto the plane z @ normal + offset = 0, within the cube.

    Each point may have an offset of its own (m,). Projects on plane and cube in turn; where the
    plane misses the cube, ends at its nearest face.
    """
    square = float(normal @ normal) + np.finfo(np.float64).tiny
    for _ in range(PROJECTIONS):
        z = np.clip(z - np.outer((z @ normal + offset) / square, normal), -1, 1)
    return z


def on_plane(z: Array, space: InputSpace, normal: Array, offset: float | Array) -> Array:
    """(m, d) the inputs nearest to z on a plane, within their box and with whole steps.

    Columns with a step are moved to the nearest one; the others make up for what that is off.

    Args:
        z: (m, d) inputs, where the box is scaled to [-1, 1]^d.
        space: of the inputs, without coded names.
        normal: (d,) of the plane, there.
        offset: of the plane, or of each input's own (m,).
    """
    half = (space.high - space.low) / 2

    def inside(z: Array) -> Array:
        return space.answered(np.clip(space.low + (z + 1) * half, space.low, space.high))

    z = project(z, normal, offset)
    if space.steps.any():
        free = space.steps == 0
        z = space.encode(inside(z))
        rest = offset + z[:, ~free] @ normal[~free]
        z[:, free] = project(z[:, free], normal[free], rest)
    return inside(z)
