"""Which columns and rows of a table are kept; what is left out is told."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from moatbench.tables.grid import NAMELESS
from moatbench.tables.kinds import is_mark
from moatbench.tables.look import Look, Mask
from moatbench.tables.told import Knobs, Report, find, many, override
from moatbench.tables.values import Values

if TYPE_CHECKING:
    pass

Columns = dict[str, Look | Values]
MOST_TOLD = 4  # columns of which a line says how many values they lack


def known(knobs: Knobs, names: list[str], report: Report) -> Knobs:
    """Return the knobs with the columns that they name, as the table writes them.

    Raises:
        ValueError: there is none of such a name, or two, or the target is left out.
    """
    drop = [find(name, names, report.source) for name in knobs.drop]
    categorical = [find(name, names, report.source) for name in knobs.categorical]
    target = None if knobs.target is None else find(knobs.target, names, report.source)
    if target in drop:
        raise ValueError(
            f"data.drop must leave the target, got {target} for both; choose another target"
        )
    if f"{target}.1" in names and any(f"is now '{target}.1'" in note for note in report.notes):
        raise ValueError(
            f"{report.source}: two columns are called {target!r}, the target; rename one"
        )
    return replace(knobs, target=target, drop=drop, categorical=categorical)


def marked(columns: Columns, knobs: Knobs, report: Report) -> Columns:
    """Empty the cells that hold one of the marks for missing that the user gives."""
    marks = set(knobs.missing_marks or ()) - {""}
    if not marks:
        return columns
    found, seen, told = dict(columns), set(), []
    for name, column in columns.items():
        texts = column.texts if isinstance(column, Look) else column.as_look(name).texts
        here = np.isin(texts.astype(str), sorted(marks))
        if not here.any():
            continue
        seen |= set(texts[here])
        told.append(f"{name} {int(here.sum())} (first in {place_of({name: column}, here)})")
        if isinstance(column, Look):
            found[name] = replace(column, texts=np.where(here, "", column.texts))
        else:
            found[name] = replace(column, missing=column.missing | here)
    if told:
        report.notes.append(f"missing_marks found: {', '.join(told)}")
    if lost := sorted(marks - seen):
        report.notes.append(f"missing_marks: {', '.join(map(repr, lost))} stands nowhere")
    return found


def with_class(columns: Columns, knobs: Knobs, report: Report) -> tuple[Columns, int]:
    """Leave out rows without a class; how many.

    Raises:
        ValueError: there is no other.
    """
    if knobs.target is None:
        return columns, 0
    target = columns[knobs.target]
    lacking: Mask = target.empty if isinstance(target, Look) else target.missing
    n = int(lacking.sum())
    if n == len(lacking):
        raise ValueError(
            f"{report.source}: the target {knobs.target} is empty in all {n} rows; choose "
            "another column"
        )
    if not n:
        return columns, 0
    report.notes.append(
        f"{many(n, 'row')} dropped without a class (target {knobs.target}, first in "
        f"{place_of(columns, lacking)})"
    )
    return {name: column.at(~lacking) for name, column in columns.items()}, n


def without_nothing(columns: Columns, knobs: Knobs, report: Report) -> Columns:
    """Leave out columns that are empty, and a nameless one that only names the rows."""
    asked = {knobs.target, *knobs.categorical}
    kept: Columns = {}
    for place, (name, column) in enumerate(columns.items()):
        told = (
            f"column {place + 1}, without a name," if NAMELESS.fullmatch(name) else f"column {name}"
        )
        empty = column.empty if isinstance(column, Look) else column.missing
        if name not in asked and empty.all():
            report.notes.append(f"{told} is empty: left out")
        elif name not in asked and isinstance(column, Look) and _is_hollow(column, knobs):
            report.notes.append(f"{told} holds nothing but {column.shown(column.odd)}: left out")
        elif name not in asked and isinstance(column, Look) and _names_rows(column, place):
            report.notes.append(
                f"{told} names the rows ({column.shown(column.distinct)}): left out; "
                f"{override('categorical', name)} keeps it as names"
            )
        else:
            if NAMELESS.fullmatch(name) and name not in asked:
                report.notes.append(f"column {place + 1} has no name: it is called {name!r}")
            kept[name] = column
    return kept


def _is_hollow(look: Look, knobs: Knobs) -> bool:
    """Whether one mark for missing stands in all cells that are not empty."""
    return len(look.distinct) == 1 and all(is_mark(text, knobs) for text in look.distinct)


def _names_rows(look: Look, place: int) -> bool:
    """Whether a column without a name gives each row a name or a whole number of its own."""
    if not NAMELESS.fullmatch(look.name) or len(look.distinct) < len(look.texts):
        return False
    whole = all(re.fullmatch(r"\d+", text) for text in look.distinct)
    return whole or (place == 0 and len(look.odd) == len(look.texts))


def place_of(columns: Columns, where: Mask) -> str:
    """Say where something first holds: in a line of a text, else in a row."""
    first, column = int(np.argmax(where)), next(iter(columns.values()))
    if isinstance(column, Look):
        return f"{column.word} {column.lines[first]}"
    return f"row {first + 1 if column.rows is None else column.rows[first]}"
