"""Questions to a black box that answers alike within boxes, and the borders between its boxes."""

from collections.abc import Generator as Coroutine
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from moatbench.search.boxes import Box, Cut, Geometry, Leaf, Point, moved
from moatbench.types import Array, Generator

T = TypeVar("T")
Steps = Coroutine[list[Point], list[Leaf | None], T]  # asks points, is sent their answers
FRESH = 8.0  # weight of the feature that was last given a value, among features that were never cut


class Questions:
    """What was asked so far; nothing is asked twice, and a refusal (None) is an answer."""

    def __init__(self, d: int) -> None:
        self._known: dict[Point, Leaf | None] = {}
        self._rows = np.empty((64, d))

    def ask(self, *points: Point) -> Steps[list[Leaf | None]]:
        """Ask what is not known yet."""
        if new := [p for p in dict.fromkeys(points) if p not in self._known]:
            self._learn(new, (yield new))
        return [self._known[p] for p in points]

    def buy(self, points: Sequence[Point]) -> Steps[list[Leaf | None]]:
        """Ask what is not known yet, or everything again: at least one question is asked."""
        new = [p for p in dict.fromkeys(points) if p not in self._known]
        if not new:
            return (yield list(points))
        return (yield from self.ask(*points))

    def same(self, x: Point, answer: Leaf) -> Steps[bool]:
        """Whether nothing tells the answer to x from another one."""
        (other,) = yield from self.ask(x)
        return not differ(other, answer)

    def inside(self, box: Box, geometry: Geometry) -> list[tuple[Point, Leaf | None]]:
        """The points asked so far that lie in a box, and their answers."""
        held = np.flatnonzero(geometry.inside(box, self._rows[: len(self._known)]))
        if not len(held):
            return []
        items = list(self._known.items())
        return [items[place] for place in held]

    def _learn(self, points: list[Point], answers: list[Leaf | None]) -> None:
        while len(self._known) + len(points) > len(self._rows):
            self._rows = np.vstack([self._rows, np.empty_like(self._rows)])
        at = len(self._known)
        self._rows[at : at + len(points)] = as_rows(points)
        self._known.update(zip(points, answers, strict=True))


class Borders:
    """The cuts found so far, and how another one is found between two points.

    Args:
        geometry: of the inputs.
        questions: to ask.
        eps: precision of the thresholds, as a share of the feature's range.
        rng: draws the order in which codes are tried.
    """

    def __init__(
        self, geometry: Geometry, questions: Questions, eps: float, rng: Generator
    ) -> None:
        self._geometry, self._questions = geometry, questions
        self._eps, self._rng = eps, rng
        self._cuts: list[list[Cut]] = [[] for _ in range(geometry.d)]

    def feature(
        self, x: Point, y: Point, answer: Leaf, fresh: int | None
    ) -> Steps[tuple[int, Point]]:
        """Find a feature that leaves the region of x on the way to y, and the point before it.

        A bisection over the changed features, those first that were cut often.
        """
        (other,) = yield from self._questions.ask(y)
        changed = [i for i in range(len(x)) if x[i] != y[i]]
        if answer.tested is not None and other is not None and other.tested is not None:
            # The walks part at a node that both pass.
            changed = [i for i in changed if i in answer.tested & other.tested] or changed
        weight = {i: 1.0 + len(self._cuts[i]) + FRESH * (i == fresh) for i in changed}
        changed.sort(key=lambda i: -weight[i])
        low, high = 0, len(changed)
        while high - low > 1:
            sums = np.cumsum([weight[i] for i in changed[low:high]])
            middle = low + 1 + int(np.argmin(np.abs(sums[:-1] - sums[-1] / 2)))
            if (yield from self._questions.same(mixed(x, y, changed[:middle]), answer)):
                low = middle
            else:
                high = middle
        return changed[low], mixed(x, y, changed[:low])

    def cut(self, i: int, base: Point, far: float, box: Box, answer: Leaf) -> Steps[Cut]:
        """Find what parts `base` from the same point with feature i at `far`."""
        near, allowed = base[i], box[i]
        assert near is not None
        assert allowed is not None
        if i in self._geometry.coded:
            outer = yield from self._outer_codes(i, base, far, allowed, answer)
            cut, new = Cut(i, near, far, outer, base, answer), True
        else:
            near, far, new = yield from self._bisect(i, base, near, far, answer)
            cut = Cut(i, near, far, frozenset(), base, answer)
        if new:
            self._cuts[i].append(cut)
        return cut

    def _outer_codes(
        self, i: int, base: Point, far: float, allowed: tuple[float, ...], answer: Leaf
    ) -> Steps[frozenset[float]]:
        """Tell which codes go with `far`, on the guess that one code stands against the rest.

        The service's categorical tests are of this kind. Were they not, later corners would find
        what is wrong here.
        """
        near = base[i]
        (other,) = yield from self._questions.ask(moved(base, i, far))
        outer = {far}
        rest = [c for c in allowed if c not in (near, far)]
        for code in self._rng.permutation(rest).tolist():
            (third,) = yield from self._questions.ask(moved(base, i, code))
            if not differ(third, answer):
                return frozenset(outer)
            outer.add(code)
            if not differ(third, other):
                return frozenset(c for c in self._geometry.full(i) if c != near)
        return frozenset(c for c in self._geometry.full(i) if c != near)

    def _bisect(
        self, i: int, base: Point, near: float, far: float, answer: Leaf
    ) -> Steps[tuple[float, float, bool]]:
        """Find the values around a threshold, and say whether it is a new one."""
        questions, known = self._questions, self._between(i, near, far)
        while known:  # a threshold often bounds many regions
            place = len(known) // 2
            first, second = known[place]
            if not (yield from questions.same(moved(base, i, first), answer)):
                far, known = first, known[:place]
            elif (yield from questions.same(moved(base, i, second), answer)):
                near, known = second, known[place + 1 :]
            else:
                return first, second, False
        width = self._eps * (self._geometry.high[i] - self._geometry.low[i])
        while abs(far - near) > width:
            middle = self._geometry.on_step(i, (near + far) / 2)
            if middle in (near, far):  # two steps, or numbers, with none between them
                break
            if (yield from questions.same(moved(base, i, middle), answer)):
                near = middle
            else:
                far = middle
        return near, far, True

    def _between(self, i: int, near: float, far: float) -> list[tuple[float, float]]:
        """The known thresholds of a feature between two values, in order, as (before, after)."""
        low, high = min(near, far), max(near, far)
        pairs = {(min(c.near, c.far), max(c.near, c.far)) for c in self._cuts[i] if not c.outer}
        known = sorted(p for p in pairs if low <= p[0] and p[1] <= high)
        return known if near < far else [(after, before) for before, after in known[::-1]]


def differ(one: Leaf | None, two: Leaf | None) -> bool:
    """Whether two answers show two regions; what was not told shows nothing."""
    if one is None or two is None:
        return False
    if one.label != two.label:
        return True
    if one.outputs is not None and two.outputs is not None and one.outputs != two.outputs:
        return True
    return one.tested is not None and two.tested is not None and one.tested != two.tested


def mixed(x: Point, y: Point, features: Sequence[int]) -> Point:
    """Return x with some features of y."""
    row = list(x)
    for i in features:
        row[i] = y[i]
    return tuple(row)


def as_rows(points: Sequence[Point]) -> Array:
    """(n, d) the points, NaN for what they leave out."""
    return np.array([[np.nan if v is None else v for v in p] for p in points], dtype=np.float64)
