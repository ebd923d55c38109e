"""A table as data, in plain words: each format sets it in its own way."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from moatbench.verdict.names import all_shown

NOTHING = "-"
BOLD = "**"  # around a cell that is the best of its column


@dataclass(frozen=True)
class Head:
    """What stands over a column of a table.

    Args:
        heading: a few words.
        help: a line more.
        number: whether it holds numbers.
        paper: whether it stands in the LaTeX table too, whose width is limited.
        narrow: whether it stands in the LaTeX table of one column too.
        named: whether its cells name parts: readers are shown their names.
    """

    heading: str
    help: str = ""
    number: bool = True
    paper: bool = True
    narrow: bool = False
    named: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a heading; '' where the table has one group."""

    heading: str
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Table:
    """A table, in plain words and ASCII; `+-` is a sign, and a cell between `**` is bold.

    Args:
        name: of its files.
        title: a few words.
        caption: what a reader must know to read it: its first sentence stands above the table, with
            the title at most 25 words; the rest are notes below.
        columns: headings.
        groups: rows, a cell for each column.
        folded: the page shows it folded.
    """

    name: str
    title: str
    caption: str
    columns: Sequence[Head]
    groups: Sequence[Group] = field(default_factory=list)
    folded: bool = False

    @property
    def empty(self) -> bool:
        """Whether there is no row."""
        return not any(group.rows for group in self.groups)

    @property
    def lead(self) -> str:
        """The caption as papers print it: a sentence."""
        return re.split(r"(?<=\.) (?=[A-Z])", self.caption, maxsplit=1)[0]

    @property
    def notes(self) -> str:
        """What stands below the table; '' for nothing."""
        return self.caption[len(self.lead) :].strip()


def cell_of(column: Head, cell: str) -> str:
    """Return what readers are shown of a cell."""
    return all_shown(cell) if column.named and cell not in ("", NOTHING) else cell
