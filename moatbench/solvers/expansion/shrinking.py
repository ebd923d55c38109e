"""From a point with a residual to one missing term: the fewest switches that bring it about."""

from collections.abc import Generator as Coroutine
from typing import TypeVar

import numpy as np

from moatbench.solvers.expansion.book import Book
from moatbench.solvers.expansion.lattice import REST, Lattice, Single
from moatbench.solvers.expansion.switches import OTHERS
from moatbench.types import Array, Generator, Mask

T = TypeVar("T")
Steps = Coroutine[Array, None, T]  # asks (m, J) values, whose answers are then in the book
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
        self._book, self._rng, self.start, self.begun = book, rng, i, book.changes
        self._lattice = Lattice(book, i)
        self._kept: Mask = np.ones(len(self._lattice.feature), dtype=bool)
        self._here = i  # the place of the smallest point with a residual so far
        self._zero: list[
            Mask
        ] = []  # of which sets it was asked, and is known, that nothing is left

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
        return np.asarray(self._book.residual[self._here])

    def _holds(self, kept: Mask) -> bool:
        """Whether a residual is left with these elements alone; if so, go on from there."""
        place = self._book.place(self._lattice.point(kept))
        if place is None or not self._book.open(place):
            self._zero.append(kept)
            return False
        self._kept, self._here = kept, place
        return True

    def _try(self, kept: Mask) -> Steps[bool]:
        """Ask whether it holds."""
        yield self._lattice.point(kept)[None]
        return self._holds(kept)

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
                return np.asarray(best)
            tried = self._half(bases, prior, closed)
            if not (yield from self._try(tried)):
                inside = ~(bases & ~tried).any(axis=1)
                prior[np.ix_(inside, tried)] = 0
        return None

    def _half(self, bases: Mask, prior: Single, first: Mask) -> Mask:
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
            if needed.any() and (yield from self._try(base)):
                return needed
            order = np.flatnonzero(self._kept & ~base)
            low, high = 0, len(order)
            while high - low > 1:
                middle = (low + high) // 2
                tried = base.copy()
                tried[order[:middle]] = True
                if (yield from self._try(tried)):
                    high = middle
                else:
                    low = middle
            needed[order[high - 1]] = True
        return None

    def _least(self, found: Mask) -> Steps[Mask]:
        """Drop what is not needed; the smaller sets are asked side by side."""
        lattice = self._lattice
        while True:
            smaller = {}
            for e in np.flatnonzero(found):
                kept = lattice.closure(found)
                kept[e] = False
                if not any((kept <= zero).all() for zero in self._zero):
                    smaller[e] = kept
            yield np.array([lattice.point(kept) for kept in smaller.values()])
            for e, kept in smaller.items():
                if self._holds(kept):
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
        others = {e: self._other(e, at) for e in np.flatnonzero(found).tolist()}
        yield np.array([at, *(row for row in others.values() if row is not None)])
        for e, other in others.items():
            j = int(lattice.feature[e])
            if book.at.nominal[j]:
                term.append(self._named(e, at, other))
            elif lattice.switch[e] == REST:
                before = np.flatnonzero(lattice.later[:, e])
                near = lattice.value[before[-1]] if len(before) else book.at.anchor[j]
                term.append((yield from self._threshold(j, at, float(near))))
            else:
                term.append(int(lattice.switch[e]))
        if (at == book.values[self.start]).all():  # an answer by chance looks like that
            book.again(at)
        yield at[None]
        place = book.place(at)
        if place is None or not book.open(place):
            return False
        book.add_term(tuple(sorted(term)), place)
        return True

    def _other(self, e: int, at: Array) -> Array | None:
        """(J,) the same with a third name; None where there is none."""
        book, j = self._book, self._lattice.feature[e]
        others = [c for c in range(book.at.sizes[j]) if c not in (book.at.anchor[j], at[j])]
        if not others:
            return None
        other = at.copy()
        other[j] = others[int(self._rng.integers(len(others)))]
        return other

    def _named(self, e: int, at: Array, other: Array | None) -> int:
        """Return the switch of a name, or of any but the anchor's, if those are answered alike."""
        book, j = self._book, int(self._lattice.feature[e])
        place, here = (None if row is None else book.place(row) for row in (other, at))
        alike = other is None
        if place is not None and here is not None and book.open(place):
            gap = np.abs(book.residual[place] - book.residual[here]).max()
            alike = bool(gap <= book.limit(place) + book.limit(here))
        return book.add_switch(j, 0.0, 0.0, OTHERS if alike else int(at[j]))

    def _threshold(self, j: int, at: Array, near: float) -> Steps[int]:
        """Bisect between a value where nothing is left over and `at`, which is moved there.

        Thresholds that were found meanwhile are asked about first.
        """
        book, far = self._book, float(at[j])
        while True:
            known = [v for v in book.switches.of[j] if _inside(book.switches.near(v), near, far)]
            known += [v for v in book.switches.of[j] if _inside(book.switches.before(v), near, far)]
            for v in known:
                if {near, far} == {book.switches.before(v), book.switches.near(v)}:
                    at[j] = far
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
            yield tried[None]
            place = book.place(tried)
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
