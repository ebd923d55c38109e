"""What a file was understood as, the knobs that change it, and how a refusal is told."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from moatbench.knobs import check_choice, check_flag

if TYPE_CHECKING:
    import pandas as pd

TREATMENTS = ("drop", "category")
SIGNS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "space": " "}
SIGNS |= {"point": ".", "dot": ".", "apostrophe": "'", "none": ""}
_PLAIN = re.compile(r"[A-Za-z_./][\w./-]*|\d+", re.ASCII)
_WORDS = {"null", "none", "true", "false", "nan", "inf", "yes", "no", "on", "off"}
LONGEST = 60  # letters of a name that a message shows
MOST = 3  # problems that one line tells


class Refused(ValueError):
    """A file that cannot be read as it is meant; each problem names a column and a way out."""

    def __init__(self, source: str, problems: Sequence[str]) -> None:
        self.problems = [f"{source}: {problem}" for problem in problems]
        more = len(problems) - MOST
        rest = f"; and {more} more columns (moatbench-data tells them all)" if more > 0 else ""
        super().__init__(f"{source}: {'; '.join(problems[:MOST])}{rest}")


@dataclass(frozen=True)
class Knobs:
    """How a file is to be read; None is found out, and told.

    Args:
        target: column of the classes; None only looks at the file.
        drop: columns to leave out.
        categorical: columns of numbers that are names all the same.
        missing: `drop` leaves out rows in which anything is missing; `category` those that miss a
            number or the class, and makes "missing" a name of its own elsewhere.
        missing_marks: what stands for a missing value, beside an empty cell, in every column; None
            is the usual words and signs, and only in columns of numbers.
        separator: between values; None is comma, semicolon, tab, | or spaces.
        decimal: of numbers, a point or a comma.
        thousands: between groups of three digits.
        encoding: a codec of Python.
        header: whether the first line names the columns.
    """

    target: str | None = None
    drop: Sequence[str] = ()
    categorical: Sequence[str] = ()
    missing: str = "drop"
    missing_marks: Sequence[str] | None = None
    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None
    header: bool | None = None

    def __post_init__(self) -> None:
        check_choice("data.missing", self.missing, TREATMENTS)
        if self.header is not None:
            check_flag("data.header", self.header)
        if self.separator is not None and len(self.separator) != 1:
            raise ValueError(
                f"data.separator must be one sign, or {', '.join(list(SIGNS)[:6])}, got "
                f"{self.separator!r}"
            )
        if self.decimal not in (None, ".", ","):
            raise ValueError(f"data.decimal must be point or comma, got {self.decimal!r}")
        if self.thousands and (len(self.thousands) != 1 or self.thousands.isalnum()):
            raise ValueError(f"data.thousands must be one sign, or none, got {self.thousands!r}")
        if self.decimal is not None and self.decimal == self.thousands:
            raise ValueError(
                f"data.thousands must be another sign than data.decimal, got {self.decimal!r} twice"
            )


def knobs(**given: Any) -> Knobs:
    """Read knobs as people type them: a column alone or a list, numbers for names, signs by name.

    Raises:
        ValueError: a knob is out of range.
    """
    lists = ("drop", "categorical", "missing_marks")
    read = {key: value for key, value in given.items() if value is not None}
    read |= {key: listed(read[key]) for key in lists if key in read}
    for key in ("separator", "decimal", "thousands"):
        if key in read:
            read[key] = SIGNS.get(str(read[key]).strip().casefold(), str(read[key]))
    for key in ("target", "encoding"):
        if key in read:
            read[key] = str(read[key]).strip()
    return Knobs(**read)


def listed(value: Any) -> list[str]:
    """Return a list of names, where a name may stand alone and a number is one."""
    if isinstance(value, str | int | float):
        return [str(value).strip()]
    return [str(one).strip() for one in value]


@dataclass
class Report:
    """What is found while a file is read.

    Args:
        source: the file's name.
        notes: what a reader should know, each naming its column and line.
        problems: what must be decided before the file can be used.
        read: how the file was taken apart, in few words.
    """

    source: str
    notes: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    read: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Understood:
    """A table as it was understood.

    Args:
        frame: the rows that are kept, in the file's order: int64, float64, bool, or text, where
            None is missing.
        line: what was understood, in a line.
        notes: what else a reader should know, a line each.
        kinds: of each column: number, yes/no, name.
        missing: how many values each column lacks, before rows were dropped.
        dropped: how many rows were.
        target: the column of the classes, as the file writes it.
    """

    frame: "pd.DataFrame"
    line: str
    notes: tuple[str, ...]
    kinds: dict[str, str]
    missing: dict[str, int]
    dropped: int
    target: str | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """Return what a run records of it."""
        told = {"rows_dropped": self.dropped, "understood": self.line}
        return told | ({"warnings": list(self.notes)} if self.notes else {})


def override(key: str, *values: str) -> str:
    """Write an override that a shell takes as it stands: `'data.drop=["first name"]'`."""
    inner = ",".join(map(quoted, values))
    return shlex.quote(f"data.{key}=[{inner}]") if values else f"data.{key}="


def quoted(value: str) -> str:
    """Write a text as Hydra reads it: in quotes, unless it is a plain word or a whole number."""
    plain = _PLAIN.fullmatch(value) is not None and value.casefold() not in _WORDS
    # Hydra takes a backslash as it is, unless a quote follows it
    doubled = re.sub(r'(\\+)(?="|\Z)', r"\1\1", value)
    return value if plain else '"' + doubled.replace('"', '\\"') + '"'


def find(name: str, known: Sequence[str], source: str) -> str:
    """Return a column by its name; one that differs in case or spaces alone is taken.

    Raises:
        ValueError: there is none; it names those that are near.
    """
    if name in known:
        return name
    alike = [k for k in known if k.strip().casefold() == name.strip().casefold()]
    if len(alike) == 1 and name in ("True", "False", "None"):  # as Hydra reads true and null
        return alike[0]
    near = alike or get_close_matches(name, known, 3)
    near = near or [k for k in known if name and name.casefold() in k.casefold()][:3]
    if "," in name and all(part.strip() in known for part in name.split(",")):
        near = [f"the list [{name}]"]
    hint = f"; did you mean {' or '.join(map(seen, near))}?" if near else "."
    if len(known) == 1 and re.search(r"\W", known[0]):
        hint = ", but one column alone: say data.separator=... if it holds several."
    raise ValueError(
        f"{source}: there is no column {name!r}{hint} Columns: {shortened(map(seen, known), 40)}"
    )


def seen(name: str) -> str:
    """Return a name as a reader can see it: signs that nobody sees by their numbers, its start."""
    short = name if len(name) <= LONGEST else f"{name[:LONGEST]}..."
    return short if short.isprintable() else ascii(short)


def many(n: int, what: str) -> str:
    """Count things: 1 row, 1,200 rows."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def shortened(names: Iterable[Any], most: int) -> str:
    """List names, the first few of many."""
    every = [str(name) for name in names]
    more = f", ... ({len(every)} in all)" if len(every) > most else ""
    return ", ".join(every[:most]) + more
