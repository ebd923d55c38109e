"""Extraction of a sum of trees, term by term, by answers."""

from collections.abc import Callable, Iterator

import numpy as np

from moatbench.solvers.expansion.book import Book, Term
from moatbench.solvers.expansion.sharpening import Gap, sharp_questions
from moatbench.solvers.expansion.shrinking import Shrinking, Steps
from moatbench.solvers.expansion.switches import NUMBER
from moatbench.types import Array, Generator

FIRST = 2000  # draws before the first term is searched
SHARE, DRAWS = 0.25, 3000  # later, of all questions the draws, until there are so many
CHUNK = 64  # draws at a time
STALE = 20  # times that draws bring nothing new, and a space may be used up
LEAST = 8  # draws beside questions about gaps
SHARP = 32  # questions at a time about gaps of thresholds
CELLS = 32  # questions at a time, once nothing is left over, in any cells between thresholds
HELD = 10  # every tenth draw judges, and is searched last
TRIES = 3  # searches at a point that find nothing
LOOKED = 400  # points with a residual that a search may start from


class Expansion:
    """Asks for draws, then for what tells missing terms, then for the last bits of thresholds.

    Args:
        book: of the answers; it is filled by whoever asks.
        draw: returns (n, J) values of ordinary and random inputs.
        width: searches side by side.
        rng: draws names, and gaps that are asked about together.
    """

    def __init__(
        self, book: Book, draw: Callable[[int], Array], width: int, rng: Generator
    ) -> None:
        self.book, self._draw, self._width, self._rng = book, draw, width, rng
        (self._far,) = rng.spawn(1)
        self.drawn: list[bytes] = []
        self.chosen = 0  # inputs that were asked in place of draws, because they tell more
        self._tried: dict[int, int] = {}
        self._doubted: list[Array] = []  # values that are asked again
        self._searches: list[tuple[Shrinking, Steps[bool], Array]] = []
        self._surprised = 0  # of the draws, how many had been drawn then
        self._asked = self._stale = self._seen = 0
        self._done: set[Gap] = set()
        self._sharp_for = 0  # terms that were known when gaps were last looked at

    @property
    def clean(self) -> int:
        """Draws answered whole since the last surprise, if nothing is left over of any answer.

        A surprise is a draw that tells anything new, or a search that does. Chosen questions that
        narrow a gap are none: what draws were answered before still speaks for the sum. An answer
        that leaves confidences out cannot surprise, and does not count; its label can.
        """
        if self.book.left.any() or self.book.belied:
            return 0
        return sum(self.book.whole(key) for key in self.drawn[self._surprised :])

    @property
    def withheld(self) -> float:
        """Share of the draws asked that were refused, or answered without all confidences."""
        asked = [self.book.whole(key) for key in self.drawn if key in self.book.places]
        return 1 - sum(asked) / len(asked) if asked else 0.0

    def questions(self) -> Iterator[Array]:
        """Yield (m, J) values to ask, new ones; their answers are in the book when it goes on."""
        book = self.book
        none = np.empty((0, len(book.at.anchor)))
        while True:
            self.settle()
            before = book.changes
            self._resume()
            self._begin()
            if book.changes != before:
                self._surprised = len(self.drawn)
            if len(book.terms) != self._sharp_for:  # new terms may tell more gaps
                self._sharp_for = len(book.terms)
                self._done.clear()
            wanted = [values for _, _, values in self._searches]
            for values in self._doubted:
                book.again(values)
            wanted += [values[None] for values in self._doubted]
            self._doubted = []
            drawn = len(self.drawn) + self.chosen
            behind = int(SHARE * self._asked) - drawn
            extra = max(0, behind) if drawn < DRAWS else 0
            if not wanted:
                wanted = [sharp_questions(book, SHARP, self._done, self._rng)]
                extra = max(len(wanted[0]), LEAST) if len(wanted[0]) else CHUNK
                # What is in a narrow cell of several features is met by hardly any draw
                wanted.append(book.at.spread(book.switches.cuts, CELLS, self._far))
                if not len(wanted[0]):
                    wanted.append(self._beside())
            draws = self.draws(extra) if extra else none
            yield from self._new(np.vstack([*wanted, draws]))

    def settle(self) -> None:
        """Move thresholds whose side new answers tell: these are no terms that are missing."""
        book, told = self.book, set[bytes]()
        for i in range(self._seen, book.n):
            before = book.changes
            book.settle(i)
            if book.changes != before:
                told.add(book.values[i].tobytes())
        if told and not told.isdisjoint(self.drawn):
            self._surprised = len(self.drawn)
        self._seen = book.n

    def _beside(self) -> Array:
        """(m, J) values on either side of a threshold, at any distance by its logarithm.

        Two thresholds that are near each other may have been taken for one, and hardly any other
        row lies between them. The threshold's term counts there; the rest goes by cells.
        """
        book, rng = self.book, self._far
        values = book.at.spread(book.switches.cuts, CELLS, rng)
        holding: dict[int, list[Term]] = {}
        for term in book.terms.place:
            for v in term:
                if book.switches.name[v] == NUMBER:
                    holding.setdefault(v, []).append(term)
        if not holding:
            return values
        for row, v in zip(values, rng.choice([*holding], CELLS), strict=True):
            for u in holding[v][rng.integers(len(holding[v]))]:
                row[book.switches.feature[u]] = book.switches.turned_on(u)
            j = book.switches.feature[v]
            row[j] = book.at.near(j, book.switches.cut(v), rng)
        return values

    def draws(self, n: int) -> Array:
        """(n, J) values of inputs that nobody chose."""
        values = self._draw(n)
        self.drawn += [row.tobytes() for row in values]
        return values

    @property
    def open_share(self) -> float:
        """Share of the draws of which something is left over."""
        known = self._known
        return float(self.book.left[known].mean()) if known else 1.0

    @property
    def unlike_share(self) -> float:
        """Share of the draws that are answered otherwise than most: what a constant leaves open."""
        if not (known := self._known):
            return 1.0
        counts = np.unique(self.book.targets[known], axis=0, return_counts=True)[1]
        return float(1 - counts.max() / len(known))

    @property
    def _known(self) -> list[int]:
        """The places of the draws that were answered."""
        places = (self.book.places.get(key) for key in self.drawn)
        return [place for place in places if place is not None]

    @property
    def held(self) -> set[int]:
        """The places of every tenth draw: they judge, and are searched last."""
        places = self.book.places
        found = (places.get(key) for key in self.drawn[HELD - 1 :: HELD])
        return {place for place in found if place is not None}

    def _new(self, values: Array) -> Iterator[Array]:
        """Yield what was not asked yet; where draws bring nothing new for long, the same again."""
        unique = {row.tobytes(): row for row in values if row not in self.book}
        self._stale = 0 if unique else self._stale + 1
        if unique or self._stale > STALE:
            self._asked += len(unique)
            yield np.array(list(unique.values())) if unique else values

    def _resume(self) -> None:
        """Let each search go on as far as it comes without a further question."""
        going = []
        for search, steps, _ in self._searches:
            wanted = self._advanced(search, steps)
            if wanted is not None:
                going.append((search, steps, wanted))
        self._searches = going

    def _advanced(self, search: Shrinking, steps: Steps[bool]) -> Array | None:
        """Return the next new questions of a search; None where it has ended."""
        try:
            while True:
                new = [row for row in next(steps) if row not in self.book]
                if new:
                    return np.array(new)
        except StopIteration as end:
            if not end.value and self.book.changes == search.begun:
                self._tried[search.start] = tried = self._tried.get(search.start, 0) + 1
                if tried == 1:  # was it answered by chance?
                    self._doubted.append(self.book.values[search.start].copy())
            return None

    def _begin(self) -> None:
        """Begin searches where fewest switches are on, at different residuals."""
        book = self.book
        room = self._width - len(self._searches)
        if not room:
            return
        left = np.flatnonzero(book.left)
        late = np.isin(left, list(self.held))
        order = np.lexsort((book.on[left].sum(axis=1), late))
        for i in left[order][:LOOKED].tolist():
            if not room:
                return
            if self._tried.get(i, 0) >= TRIES or book.settle(i) or self._alike(i):
                continue
            search = Shrinking(book, i, self._rng)
            steps = search.steps()
            wanted = self._advanced(search, steps)
            if wanted is not None:
                self._searches.append((search, steps, wanted))
                room -= 1

    def _alike(self, i: int) -> bool:
        """Whether a search under way is about the same residual."""
        book = self.book
        return any(
            np.abs(search.residual - book.residual[i]).max() <= 2 * book.limit(i)
            for search, _, _ in self._searches
        )
