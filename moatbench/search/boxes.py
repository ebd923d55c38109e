"""Boxes of inputs, and their partition by single-feature cuts."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from moatbench.models.tree import LEAF, Tree
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask

Point = tuple[float | None, ...]  # None leaves the feature out
Range = tuple[float, ...] | None  # (low, high); the codes allowed; None is left out
Box = tuple[Range, ...]


@dataclass(frozen=True)
class Leaf:
    """What identifies a leaf from outside: label, outputs and tested features, as far as told."""

    label: int
    outputs: tuple[float, ...] | None = None
    tested: frozenset[int] | None = None


@dataclass(eq=False)
class Cut:
    """A test of one feature that parts two answers.

    Args:
        feature: the column.
        near: a value on the inner side; numeric: the threshold lies between `near` and `far`.
        far: a value on the outer side.
        outer: the codes on the outer side; empty for a numeric column.
        witness: a point whose answer changes with the feature between `near` and `far`.
        answer: to the witness on the inner side.
    """

    feature: int
    near: float
    far: float
    outer: frozenset[float]
    witness: Point
    answer: Leaf

    @property
    def threshold(self) -> float:
        """The best guess of it."""
        return (self.near + self.far) / 2

    def like(self, other: "Cut") -> bool:
        """Whether another cut is the same test."""
        same = self.feature == other.feature and self.outer == other.outer
        return same and {self.near, self.far} == {other.near, other.far}

    def undecided(self, x: Point) -> bool:
        """Whether a point lies between `near` and `far`."""
        value = x[self.feature]
        low, high = min(self.near, self.far), max(self.near, self.far)
        return not self.outer and value is not None and low < value < high

    def holds(self, value: float) -> bool:
        """Whether a value of the feature is on the inner side."""
        if self.outer:
            return value not in self.outer
        # As in `Tree`: a value at the threshold goes left.
        return (value <= self.threshold) == (self.near < self.far)

    def parts(self, box: Box) -> tuple[Box, Box] | None:
        """The inner and the outer part of a box; None where the cut does not part it."""
        allowed = box[self.feature]
        assert allowed is not None
        inner, outer = self._split(allowed)
        if not inner or not outer:
            return None
        return put(box, self.feature, inner), put(box, self.feature, outer)

    def _split(self, allowed: tuple[float, ...]) -> tuple[tuple[float, ...], tuple[float, ...]]:
        if self.outer:
            inner = tuple(c for c in allowed if c not in self.outer)
            return inner, tuple(c for c in allowed if c in self.outer)
        low, high = allowed
        first, second = sorted((self.near, self.far))
        if not (low <= first and second <= high):
            return (), ()
        below, above = (low, first), (second, high)
        return (below, above) if self.near < self.far else (above, below)


@dataclass(eq=False)
class Piece:
    """A node of the partition: a box, and once it is cut, its two parts.

    Args:
        box: the inputs.
        answer: to some point of it.
        fresh: the feature that was last given a value; the likeliest to be cut.
        seen: points of it that are known to be answered otherwise.
    """

    box: Box
    answer: Leaf | None = None
    fresh: int | None = None
    cut: Cut | None = None
    parts: "tuple[Piece, Piece] | None" = None  # inner, outer
    seen: list[Point] = field(default_factory=list)


class Geometry:
    """Boxes of one input space; every column is numeric or holds raw codes."""

    def __init__(self, space: InputSpace) -> None:
        self.low, self.high = space.low.tolist(), space.high.tolist()
        self.coded = set(space.coded.tolist())
        self.d, self._space, self._stepped = space.d, space, (space.steps > 0).tolist()

    def on_step(self, i: int, value: float) -> float:
        """Return the value that is answered where feature i is asked at `value`."""
        if not self._stepped[i]:
            return value
        return float(self._space.answered(np.full((1, self.d), value))[0, i])

    def full(self, i: int) -> tuple[float, ...]:
        """All that column i may be."""
        if i in self.coded:
            return tuple(float(c) for c in range(int(self.high[i]) + 1))
        return self.low[i], self.high[i]

    def whole(self, missing: bool) -> Box:
        """The box of all inputs, or the one that leaves every feature out."""
        return tuple(None if missing else self.full(i) for i in range(self.d))

    def corners(self, box: Box) -> Iterator[Point]:
        """Points that show a whole box to be one region.

        All features low, then all high, with the codes of every column cycled in parallel: a
        region of a tree is a box itself, so it holds this one if it holds these.
        """
        sizes = [len(r) for i, r in enumerate(box) if r is not None and i in self.coded]
        for turn in range(max([2, *sizes])):
            yield tuple(
                None if r is None else r[turn % (len(r) if i in self.coded else 2)]
                for i, r in enumerate(box)
            )

    def draw(self, box: Box, rng: Generator, fill: bool = False) -> Point:
        """Draw a point of the box; `fill` gives values to what it leaves out."""
        u = rng.random(self.d).tolist()
        return tuple(
            self._draw(i, self.full(i) if r is None else r, u[i]) if r or fill else None
            for i, r in enumerate(box)
        )

    def _draw(self, i: int, r: tuple[float, ...], u: float) -> float:
        if i in self.coded:
            return r[int(u * len(r))]
        return self.on_step(i, r[0] + u * (r[1] - r[0]))

    def volume(self, box: Box) -> float:
        """Share of all inputs."""
        return float(
            np.prod(
                [
                    len(r) / (self.high[i] + 1)
                    if i in self.coded
                    else (r[1] - r[0]) / (self.high[i] - self.low[i])
                    for i, r in enumerate(box)
                    if r is not None
                ]
            )
        )

    def allows(self, box: Box, i: int, value: float) -> bool:
        """Whether a box allows a value of feature i."""
        r = box[i]
        if r is None:
            return False
        return value in r if i in self.coded else r[0] <= value <= r[1]

    def end(self, box: Box, cut: Cut) -> float:
        """The last value of the box on the outer side of a numeric cut."""
        r = box[cut.feature]
        assert r is not None
        return r[1] if cut.near < cut.far else r[0]

    def inside(self, box: Box, x: Array) -> Mask:
        """(n,) which rows lie in the box, with all its features given."""
        held = np.ones(len(x), dtype=bool)
        for i, allowed in enumerate(box):
            if allowed is None:
                continue
            if i in self.coded:
                held &= np.isin(x[:, i], allowed)
            else:
                held &= (x[:, i] >= allowed[0]) & (x[:, i] <= allowed[1])
        return held


def put(box: Box, i: int, allowed: Range) -> Box:
    """Return the box with another range of feature i."""
    return (*box[:i], allowed, *box[i + 1 :])


def moved(x: Point, i: int, value: float | None) -> Point:
    """Return the point with another value of feature i."""
    return (*x[:i], value, *x[i + 1 :])


def locate(root: Piece, x: Sequence[float | None]) -> tuple[Piece, list[Cut]]:
    """Return the piece without parts that holds a point, and the cuts on the way to it."""
    piece, cuts = root, []
    while piece.cut is not None and piece.parts is not None:
        value = x[piece.cut.feature]
        assert value is not None
        cuts.append(piece.cut)
        piece = piece.parts[0] if piece.cut.holds(value) else piece.parts[1]
    return piece, cuts


def pieces(root: Piece) -> list[Piece]:
    """All nodes, parents first."""
    found = [root]
    for piece in found:
        found.extend(piece.parts or ())
    return found


def cuts_of(root: Piece) -> list[Cut]:
    """The cuts of a partition, from the root on."""
    return [piece.cut for piece in pieces(root) if piece.cut is not None]


def as_tree(root: Piece, width: int, labels: Labels, outputs: Array) -> Tree:
    """Return a partition as a tree.

    Args:
        root: of the partition, of m nodes.
        width: codes that the categorical column with the most has.
        labels: (m,) what each node answers, in the order of `pieces`.
        outputs: (m, k) likewise.
    """
    nodes = pieces(root)
    place = {id(piece): at for at, piece in enumerate(nodes)}
    m = len(nodes)
    feature, children = np.full(m, LEAF, np.intp), np.zeros((2, m), np.intp)
    threshold, inside = np.full(m, np.nan), np.zeros((m, width), dtype=bool)
    for at, piece in enumerate(nodes):
        if piece.cut is None or piece.parts is None:
            continue
        cut, (inner, outer) = piece.cut, piece.parts
        feature[at] = cut.feature
        left, right = (outer, inner) if cut.far < cut.near and not cut.outer else (inner, outer)
        children[:, at] = place[id(left)], place[id(right)]
        if cut.outer:
            inside[at] = [code not in cut.outer for code in range(width)]
        else:
            threshold[at] = cut.threshold
    return Tree(feature, threshold, inside, children[0], children[1], labels, outputs)
