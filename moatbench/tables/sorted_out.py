"""Which columns and rows of a table are kept; what is left out is told."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.tables.grid import NAMELESS
from moatbench.tables.kinds import is_mark
from moatbench.tables.look import Look, Mask, with_gaps
from moatbench.tables.told import Knobs, Report, find, override
from moatbench.tables.values import NAME, NUMBER, TRUTH, Values

if TYPE_CHECKING:
    import pandas as pd

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
            f"data {report.source}: two columns are called {target!r}, the target; rename one"
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
        told.append(f"{name} {int(here.sum())}")
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
            f"data {report.source}: the target {knobs.target} is empty in all {n} rows; choose "
            "another column"
        )
    if not n:
        return columns, 0
    report.notes.append(
        f"{n} rows dropped without a class (target {knobs.target}, first in "
        f"{_place(columns, lacking)})"
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


def frame_of(
    found: dict[str, Values], columns: Columns, knobs: Knobs, report: Report, without: int
) -> tuple["pd.DataFrame", int]:
    """Keep the rows that lack nothing needed; how many are dropped, those without a class too.

    Raises:
        ValueError: none is left.
    """
    import pandas as pd

    needed = {
        name: values.missing
        for name, values in found.items()
        if knobs.missing == "drop" or values.kind == NUMBER
    }
    n = len(next(iter(found.values())).missing) if found else 0
    lacking = np.zeros(n, dtype=bool)
    for missing in needed.values():
        lacking |= missing
    told = _lacking(needed, columns)
    if lacking.all():
        worst = max(needed, key=lambda name: int(needed[name].sum()), default="")
        other = " or data.missing=category" if knobs.missing == "drop" else ""
        raise ValueError(
            f"data {report.source}: no complete row is left of {n + without} ({told}); say "
            f"{override('drop', worst)}{other}"
        )
    if lacking.any():
        report.notes.append(f"{int(lacking.sum())} rows dropped that lack a value ({told})")
    kept = ~lacking
    frame = pd.DataFrame({name: _series(values, kept) for name, values in found.items()})
    return frame, int(lacking.sum()) + without


def _series(values: Values, kept: Mask) -> Any:
    import pandas as pd

    if values.kind == TRUTH and values.missing[kept].any():
        texts = with_gaps(values.values.astype(str), values.missing)
        return pd.Series(list(texts[kept]))
    if values.kind == NAME:
        return pd.Series(list(values.values[kept]))
    return pd.Series(values.values[kept])


def _lacking(needed: dict[str, Mask], columns: Columns) -> str:
    """Say which columns lack how much, those that lack most first."""
    counts = {name: int(missing.sum()) for name, missing in needed.items() if missing.any()}
    worst = sorted(counts, key=lambda name: -counts[name])
    told = [f"{name} {counts[name]}" for name in worst[:MOST_TOLD]]
    told += [f"{len(worst) - MOST_TOLD} more columns"] if len(worst) > MOST_TOLD else []
    places = [_place(columns, needed[name]) for name in worst[:1]]
    return ", ".join(told) + (f"; first in {places[0]}" if places else "")


def _place(columns: Columns, where: Mask) -> str:
    """Say where something first holds: in a line of a text, else in a row."""
    look = next((c for c in columns.values() if isinstance(c, Look)), None)
    return look.first(where) if look is not None else f"row {int(np.argmax(where)) + 1}"
