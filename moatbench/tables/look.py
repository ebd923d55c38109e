"""A column of cells at first sight: what is empty, what is a number, and what is odd among them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.notation import roles, taken_apart

# What stands for a missing value in a column of numbers, whatever its case; lines by origin
_MARKS = """
na n/a n.a. n.a nan -nan <na> #na #n/a 1.#ind -1.#ind 1.#qnan -1.#qnan
null none nil (null) \\n
? ?? - -- --- . .. missing unknown
#value! #div/0! #ref! #name? #num! #null!
"""
MARKS = frozenset([*_MARKS.split(), "#n/a n/a"])
# Those that pandas takes for missing in a column of names too, and UCI's
DOUBTFUL = frozenset([*_MARKS.splitlines()[1].split(), "null", "none", "?"]) - {"n.a.", "n.a"}
TRUTHS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
SEEN = 1000  # numbers in which a decimal sign is looked for

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Look:
    """A column of cells.

    Args:
        name: of the column.
        texts: (n,) cells; '' is empty.
        lines: (n,) where each stands.
        word: what a place is called.
    """

    name: str
    texts: NDArray[Any]
    lines: NDArray[Any]
    word: str = "line"

    @cached_property
    def _sorted_out(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the distinct texts in the order of their first place, and (n,) which each is."""
        import pandas as pd

        codes, found = pd.factorize(self.texts)
        return np.asarray(found, dtype=object), codes

    @cached_property
    def _read(self) -> NDArray[Any]:
        """Read the distinct texts as a computer writes numbers; NaN for others."""
        import pandas as pd

        found = pd.to_numeric(pd.Series(self._sorted_out[0], dtype=object), errors="coerce")
        return found.to_numpy(dtype=np.float64)

    @cached_property
    def empty(self) -> Mask:
        """(n,) which cells hold nothing."""
        found, codes = self._sorted_out
        return np.asarray((found == "")[codes], dtype=bool)

    @cached_property
    def numbers(self) -> NDArray[Any]:
        """(n,) numbers as a computer writes them; NaN elsewhere."""
        return np.asarray(self._read[self._sorted_out[1]])

    @cached_property
    def distinct(self) -> dict[str, int]:
        """Count each distinct text, in the order of its first place; '' is none."""
        found, codes = self._sorted_out
        counts = np.bincount(codes, minlength=len(found)).tolist()
        return {str(t): n for t, n in zip(found, counts, strict=True) if t != ""}

    @cached_property
    def odd(self) -> dict[str, int]:
        """Count each distinct text that is no number, in the order of its first place."""
        strange = self._sorted_out[0][np.isnan(self._read)].tolist()
        return {text: self.distinct[text] for text in strange if text != ""}

    def each(self, known: Mapping[str, str]) -> tuple[NDArray[Any], Mask]:
        """Read texts as the numbers that they mean, all of one type.

        Args:
            known: what a computer writes for each text; others are missing.

        Returns:
            (n,) numbers, 0 where one is missing, and (n,) where.
        """
        import pandas as pd

        found, codes = self._sorted_out
        here = np.array([text in known for text in found], dtype=bool)
        numbers = pd.to_numeric(pd.Series([known[text] for text in found[here]], dtype=object))
        read = numbers.to_numpy()
        if read.dtype == object:  # whole numbers beyond 64 bits
            read = read.astype(np.float64)
        values = np.zeros(len(found), dtype=read.dtype)
        values[here] = read
        return values[codes], ~here[codes]

    @cached_property
    def full(self) -> int:
        """How many cells hold something."""
        return int((~self.empty).sum())

    def at(self, kept: Mask) -> "Look":
        """Return the rows that are kept."""
        return Look(self.name, self.texts[kept], self.lines[kept], self.word)

    def place(self, text: str) -> str:
        """Say where a text stands first."""
        return f"{self.word} {self.lines[int(np.argmax(self.texts == text))]}"

    def first(self, where: Mask) -> str:
        """Say where something first holds."""
        return f"{self.word} {self.lines[int(np.argmax(where))]}"

    def shown(self, texts: Iterable[str]) -> str:
        """Show the first of some texts with its place: '?' (line 17)."""
        text = next(iter(texts))
        return f"{text[:40]!r} ({self.place(text)})"


def with_gaps(values: NDArray[Any], missing: Mask) -> NDArray[Any]:
    """Return values as objects, None where one is missing."""
    found = values.astype(object)
    found[missing] = None
    return np.asarray(found)


def usual_decimal(looks: Iterable[Look]) -> str | None:
    """Name the decimal sign that a file's numbers have, where they agree and leave no doubt."""
    found: set[str] = set()
    for look in looks:
        texts = list(look.distinct)[:SEEN]
        numbers = [number for text in texts if (number := taken_apart(text)) is not None]
        if len(numbers) >= 0.5 * len(texts):
            found |= {sign for n in numbers for role, sign in roles(n.body) if role == "decimal"}
    return found.pop() if len(found) == 1 else None
