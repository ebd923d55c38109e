"""What a run says against itself, each line with how grave it is."""

from collections.abc import Iterable
from typing import NamedTuple

INVALID, BOUND, NOTE = "A", "B", "C"
GRADES = {
    INVALID: "invalid: the number is not what it is called",
    BOUND: "bound: the number is one side of the truth only",
    NOTE: "note: a reader should know it",
}


class Flag(NamedTuple):
    """One line against a run.

    Attributes:
        grade: INVALID, BOUND or NOTE; `GRADES` says what each means.
        text: what is the matter, in one line.
    """

    grade: str
    text: str

    def __str__(self) -> str:
        return f"{self.grade}: {self.text}"


def gravest(flags: Iterable[Flag]) -> str:
    """Return the gravest grade of some flags; '' for none."""
    return min((flag.grade for flag in flags), default="")
