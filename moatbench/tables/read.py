"""Read a file as it is meant, say what was understood, or refuse it and say what to decide."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from moatbench.tables.classes import classes_of, named_classes
from moatbench.tables.cut import rows
from moatbench.tables.grid import grid
from moatbench.tables.kept import frame_of
from moatbench.tables.kinds import declared, kind_of
from moatbench.tables.look import Look, usual_decimal
from moatbench.tables.names import check_names
from moatbench.tables.numbers import EXACT, endless, tell_rounded
from moatbench.tables.opened import ARROW, content, text
from moatbench.tables.said import line_of, tell_constants, tell_identifiers
from moatbench.tables.sorted_out import (
    Columns,
    known,
    marked,
    with_class,
    without_nothing,
)
from moatbench.tables.told import Knobs, Refused, Report, Understood
from moatbench.tables.typed import columns_of, loaded
from moatbench.tables.values import NAME, NUMBER, TRUTH, Values

if TYPE_CHECKING:
    import pandas as pd


def read(path: Path, knobs: Knobs) -> Understood:
    """Read a table: CSV and its kin, packed by gzip or zip or not, Parquet, Arrow, Feather.

    Raises:
        ValueError: it is no table, or (`Refused`) something in it must be decided first.
    """
    raw, report = content(path), Report(path.name)
    for magic, kind in ARROW.items():
        if raw.startswith(magic):
            return understood(columns_of(loaded(raw, kind, path, report), path.name), knobs, report)
    found = rows(text(raw, knobs.encoding, report, path), knobs.separator, report)
    table = grid(found, knobs.header, report)
    lines = np.array(table.lines)
    columns: Columns = {
        name: Look(name, np.array(cells, dtype=object), lines, table.word)
        for name, cells in table.cells.items()
    }
    return understood(columns, knobs, report)


def from_typed(frame: "pd.DataFrame", source: str, knobs: Knobs) -> Understood:
    """Understand a data frame whose columns have types; texts in it are looked at as a file's.

    Raises:
        ValueError: see `read`.
    """
    return understood(columns_of(frame, source), knobs, Report(source))


def understood(columns: Columns, knobs: Knobs, report: Report) -> Understood:
    """Understand the columns of a table.

    Raises:
        Refused: at least one of them must be decided first.
        ValueError: a knob names none of them, or no row is left.
    """
    knobs = known(knobs, list(columns), report)
    columns = {name: column for name, column in columns.items() if name not in knobs.drop}
    columns = marked(columns, knobs, report)
    columns, without = with_class(columns, knobs, report)
    columns = without_nothing(columns, knobs, report)
    if not columns.keys() - {knobs.target}:
        why = f" ({'; '.join(report.notes)})" if report.notes else ""
        hint = "give another file, or say data.separator=..." if not why else "mend the file"
        raise ValueError(f"{report.source}: there is no feature beside the target{why}; {hint}")
    looks = [c for c in columns.values() if isinstance(c, Look) and c.name != knobs.target]
    usual = knobs.decimal or usual_decimal(looks)
    found: dict[str, Values] = {}
    for name, column in columns.items():
        if name == knobs.target:
            values: Values | None = _target(column, name, knobs, report)
        elif isinstance(column, Look):
            values = kind_of(column, knobs, usual, report)
        else:
            values = _typed(column, name, knobs, report)
        if values is not None:
            found[name] = values
    if report.problems:
        raise Refused(report.source, report.problems)
    frame, dropped = frame_of(found, columns, knobs, report, without)
    tell_identifiers(frame, knobs, report)
    tell_constants(frame, knobs, report)
    return Understood(
        frame,
        line_of(frame, {n: v.kind for n, v in found.items()}, knobs, report, dropped),
        tuple(f"{report.source}: {note}" for note in report.notes),
        {name: values.kind for name, values in found.items()},
        {name: int(values.missing.sum()) for name, values in found.items()},
        dropped,
        knobs.target,
    )


def _typed(column: Values, name: str, knobs: Knobs, report: Report) -> Values | None:
    """Look at a feature whose type is known; None where something must be decided first."""
    look = column.as_look(name)
    if name in knobs.categorical:
        return declared(look)
    if column.kind == NAME and not check_names(look, knobs, report):
        return None
    if column.kind == NUMBER and np.isinf(column.values).any():
        text = str(look.texts[int(np.argmax(np.isinf(column.values)))])
        report.problems.append(endless(look, text))
        return None
    if column.kind == NUMBER and _is_beyond_floats(column):
        tell_rounded(look, report)
    return column


def _is_beyond_floats(column: Values) -> bool:
    """Whether a column holds whole numbers that a float does not tell apart."""
    values = column.values
    whole = values.dtype.kind in "iu"
    return whole and bool(int(values.max()) > EXACT or int(values.min()) < -EXACT)


def _target(column: Look | Values, name: str, knobs: Knobs, report: Report) -> Values:
    if isinstance(column, Values) and column.kind == NAME:
        named_classes(name, column.values, report)
        return column
    look = column if isinstance(column, Look) else column.as_look(name)
    values = classes_of(look, knobs, report)
    kind = {"b": TRUTH, "O": NAME}.get(values.dtype.kind, NUMBER)
    return Values(kind, values, look.empty)
