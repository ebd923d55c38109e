"""Extraction of a sum of trees, term by term, by answers."""

from collections.abc import Callable, Iterator

import numpy as np

from moatbench.solvers.expansion.book import Book
from moatbench.solvers.expansion.shrinking import Shrinking, Steps
from moatbench.types import Array, Generator, Mask

FIRST = 2000  # draws before the first term is searched
SHARE, DRAWS = 0.25, 3000  # later, of all questions the draws, until there are so many
WIDTH = 16  # searches side by side
CHUNK = 64  # draws at a time
HELD = 10  # every tenth draw judges, and is searched last
TRIES = 3  # searches at a point that find nothing
LOOKED = 400  # points with a residual that a search may start from


class Expansion:
    """Asks for draws, then for what tells missing terms.

    Args:
        book: of the answers; it is filled by whoever asks.
        draw: returns (n, J) values of ordinary and random inputs.
        rng: draws names.
    """

    def __init__(self, book: Book, draw: Callable[[int], Array], rng: Generator) -> None:
        self.book, self._draw, self._rng = book, draw, rng
        self.drawn: list[bytes] = []
        self._tried: dict[int, int] = {}
        self.asked = 0
        self.found = 0
        self.clean = 0
        self._searches: list[tuple[Shrinking, Steps[bool], Array]] = []

    def questions(self) -> Iterator[Array]:
        """Yield (m, J) values to ask, new ones; their answers are in the book when it goes on."""
        while len(self.drawn) < FIRST:
            yield from self._new(self._draws(CHUNK))
        while True:
            self._resume()
            self._begin()
            wanted = [values for _, _, values in self._searches]
            behind = SHARE * self.asked - len(self.drawn)
            extra = int(behind) if behind >= 1 and len(self.drawn) < DRAWS else 0
            if not wanted:
                extra = CHUNK
            draws = self._draws(extra) if extra else np.empty((0, len(self.book.at.anchor)))
            yield from self._new(np.vstack([*wanted, draws]))

    def _new(self, values: Array) -> Iterator[Array]:
        unique = {row.tobytes(): row for row in values if row not in self.book}
        if unique:
            self.asked += len(unique)
            yield np.array(list(unique.values()))

    def _draws(self, n: int) -> Array:
        values = self._draw(n)
        self.drawn += [row.tobytes() for row in values]
        return values

    def _resume(self) -> None:
        """Let each search go on as far as it comes without a further question."""
        going = []
        for search, steps, values in self._searches:
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
            if end.value:
                self.found += 1
            else:
                self._tried[search.start] = self._tried.get(search.start, 0) + 1
            return None

    def _begin(self) -> None:
        """Begin searches where fewest switches are on, at different residuals."""
        book = self.book
        room = WIDTH - len(self._searches)
        if not room:
            return
        left = np.flatnonzero(book.left)
        count = book.on[left].sum(axis=1)
        for i in left[np.argsort(count, kind="stable")][:LOOKED].tolist():
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
            np.abs(search.residual - book.residual[i]).max() <= 2 * book.slack[i]
            for search, _, _ in self._searches
        )
