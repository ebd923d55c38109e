"""From a point with a residual to one missing term: the fewest switches that bring it about."""

from collections.abc import Generator as Coroutine
from typing import TypeVar

import numpy as np

from moatbench.solvers.expansion.book import Book
from moatbench.solvers.expansion.lattice import REST, Lattice
from moatbench.solvers.expansion.switches import OTHERS
from moatbench.types import Array, Generator, Mask, Rows

T = TypeVar("T")
Steps = Coroutine[Array, None, T]  # asks (J,) values, whose answers are then in the book
COARSE = 2.0**-11  # share of inputs in a threshold's gap, when its first search ends


class Shrinking:
    """Searches one missing term at a point.

    Each question turns some of the point's switches off, so that what may be missing is halved by
    its prior weight; a residual that stays is gone on with.

    Args:
        book: of the answers; what is found is written there.
        i: the point's place in it.
        rng: draws other names.
    """

    def __init__(self, book: Book, i: int, rng: Generator) -> None:
        self._book, self._rng, self.start = book, rng, i
        self._lattice = Lattice(book, i)
        self._kept: Mask = np.ones(len(self._lattice.feature), dtype=bool)
        self._here = i  # the place of the smallest point with a residual so far
        self._zero: list[Mask] = []  # of which sets it was asked, and is known, that nothing is left

    def steps(self) -> Steps[bool]:
        """Search; tell whether a term was found."""
        found = yield from self._halved()
        if found is None:
            found = yield from self._bisected()
        if found is None or not self._book.open(self._here):
            return False
        found = yield from self._least(found)
        return (yield from self._noted(found))

    @property
    def residual(self) -> Array:
        """(k,) what is left over where the search stands."""
        return self._book.residual[self._here]

    def _asked(self, values: Array) -> Steps[int | None]:
        """Return the place of the answer to (J,) values; None where none came."""
        if values not in self._book:
            yield values
        return self._book.place(values)

    def _holds(self, kept: Mask) -> Steps[bool]:
        """Whether a residual is left with these elements alone; if so, go on from there."""
        place = yield from self._asked(self._lattice.point(kept))
        if place is None or not self._book.open(place):
            self._zero.append(kept)
            return False
        self._kept, self._here = kept, place
        return True

    def _halved(self) -> Steps[Mask | None]:
        """Halve the weight of known terms with one further element, until one is left."""
        lattice = self._lattice
        bases, prior = lattice.bases, lattice.prior
        while self._book.open(self._here):
            alive = ~(bases & ~self._kept).any(axis=1)
            bases, prior = bases[alive], prior[alive]
            prior[:, ~self._kept] = 0
            if not prior.any():
                return None
            b, e = np.unravel_index(prior.argmax(), prior.shape)
            best = bases[b].copy()
            best[e] = True
            closed = lattice.closure(best)
            if (closed == self._kept).all():
                return best
            tried = self._half(bases, prior, closed)
            if not (yield from self._holds(tried)):
                inside = ~(bases & ~tried).any(axis=1)
                prior[np.ix_(inside, tried)] = 0
        return None

    def _half(self, bases: Mask, prior: Array, first: Mask) -> Mask:
        """(E,) elements to keep: of two orders, the prefix whose weight is nearest to one half."""
        alone = prior.sum(axis=0) + prior.sum(axis=1) @ bases
        far = np.where(self._lattice.later, alone, 0).max(axis=1, initial=0)
        rank = np.maximum(alone, far)
        best, gap = self._kept, np.inf
        for bonus in (0.0, 2 * rank.max() + 1):
            key = rank + bonus * first
            key[~self._kept] = -1
            order = np.argsort(-key, kind="stable")
            place = np.empty(len(order), dtype=np.intp)
            place[order] = np.arange(len(order))
            last = np.where(bases, place, -1).max(axis=1, initial=-1)
            at = np.maximum(last[:, None], place)
            mass = np.bincount(at.ravel(), weights=prior.ravel(), minlength=len(order)).cumsum()
            mass = mass[: self._kept.sum() - 1] / mass[-1]
            off = np.where(mass > 0, np.abs(mass - 0.5), np.inf)  # what cannot fail tells nothing
            if len(off) and off.min() < gap:
                gap, best = off.min(), place <= off.argmin()
        return best

    def _bisected(self) -> Steps[Mask | None]:
        """Find one needed element after the other, without any prior."""
        lattice = self._lattice
        needed = np.zeros_like(self._kept)
        while self._book.open(self._here):
            base = lattice.closure(needed)
            if (base == self._kept).all():
                return needed
            if needed.any() and (yield from self._holds(base)):
                return needed
            order = np.flatnonzero(self._kept & ~base)
            low, high = 0, len(order)
            while high - low > 1:
                middle = (low + high) // 2
                tried = base.copy()
                tried[order[:middle]] = True
                if (yield from self._holds(tried)):
                    high = middle
                else:
                    low = middle
            needed[order[high - 1]] = True
        return None

    def _least(self, found: Mask) -> Steps[Mask]:
        """Drop what is not needed, as far as no answer speaks for it."""
        lattice = self._lattice
        while True:
            for e in np.flatnonzero(found):
                smaller = lattice.closure(found)
                smaller[e] = False
                known = any(not (smaller & ~zero).any() for zero in self._zero)
                if known:
                    continue
                if (yield from self._holds(smaller)):
                    before = np.flatnonzero(lattice.later[:, e])
                    found = found.copy()
                    found[e] = False
                    found[before[-1:]] = True
                    break
            else:
                return found

    def _noted(self, found: Mask) -> Steps[bool]:
        """Name the switches of the elements found, and note their term."""
        lattice, book, term = self._lattice, self._book, []
        at = lattice.point(found)
        place = yield from self._asked(at)
        if place is None:
            return False
        for e in np.flatnonzero(found):
            j = int(lattice.feature[e])
            if book.at.nominal[j]:
                term.append((yield from self._named(j, at, found)))
            elif lattice.switch[e] == REST:
                before = np.flatnonzero(lattice.later[:, e])
                near = lattice.value[before[-1]] if len(before) else book.at.anchor[j]
                term.append((yield from self._threshold(j, at, float(near))))
            else:
                term.append(int(lattice.switch[e]))
        place = yield from self._asked(at)
        if place is None or not book.open(place):
            return False
        book.add_term(tuple(sorted(term)), book.residual[place].copy())
        return True

    def _named(self, j: int, at: Array, found: Mask) -> Steps[int]:
        """Tell whether it is this name that matters, or any but the anchor's."""
        book, anchor, name = self._book, self._book.at.anchor[j], int(at[j])
        others = [c for c in range(book.at.sizes[j]) if c not in (anchor, name)]
        if not others:
            return book.add_switch(j, 0.0, 0.0, OTHERS)
        other = at.copy()
        other[j] = others[int(self._rng.integers(len(others)))]
        place = yield from self._asked(other)
        here = book.place(at)
        if place is not None and here is not None and book.open(place):
            gap = np.abs(book.residual[place] - book.residual[here]).max()
            if gap <= 2 * (book.slack[place] + book.slack[here]):
                return book.add_switch(j, 0.0, 0.0, OTHERS)
        return book.add_switch(j, 0.0, 0.0, name)

    def _without(self, j: int, found: Mask) -> bool:
        """Whether nothing is left over at a point with a third name that has all else on."""
        lattice, book = self._lattice, self._book
        rows: Rows = np.flatnonzero(~book.left)
        values = book.values[rows]
        rows = rows[(values[:, j] != book.at.anchor[j]) & (values[:, j] != lattice.x[j])]
        for e in np.flatnonzero(found & (lattice.feature != j)):
            i = lattice.feature[e]
            if book.at.nominal[i]:
                rows = rows[book.values[rows, i] == lattice.x[i]]
            elif lattice.switch[e] != REST:
                rows = rows[book.on[rows, lattice.switch[e]]]
            else:
                return False
        return bool(len(rows))

    def _threshold(self, j: int, at: Array, near: float) -> Steps[int]:
        """Bisect between a value where nothing is left over and `at`, which is moved to the far end.

        Thresholds that were found meanwhile are asked about first.
        """
        book, far = self._book, float(at[j])
        while True:
            known = [v for v in book.switches.of[j] if _inside(book.switches.near(v), near, far)]
            known += [v for v in book.switches.of[j] if _inside(book.switches.before(v), near, far)]
            for v in known:
                if {near, far} == {book.switches.before(v), book.switches.near(v)}:
                    return v
            if known:
                v = known[0]
                ends = book.switches.near(v), book.switches.before(v)
                middle = ends[0] if _inside(ends[0], near, far) else ends[1]
            else:
                found = book.at.between(j, near, far)
                narrow = book.at.share(j, min(near, far), max(near, far)) <= COARSE
                if found is None or narrow:
                    break
                middle = found
            tried = at.copy()
            tried[j] = middle
            place = yield from self._asked(tried)
            if place is not None and book.open(place):
                far = middle
            else:
                near = middle
        at[j] = far
        low, high = min(near, far), max(near, far)
        for v in book.switches.of[j]:
            if book.switches.low[v] <= low and high <= book.switches.high[v]:
                if low > book.switches.low[v] or high < book.switches.high[v]:
                    book.narrow(v, low, high)
                return v
        return book.add_switch(j, low, high)


def _inside(value: float, one: float, other: float) -> bool:
    return min(one, other) < value < max(one, other)
