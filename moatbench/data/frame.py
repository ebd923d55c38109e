"""From a data frame to a table, and from an API's rows back to frames of the owner's own types."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.data.table import Column, Table
from moatbench.knobs import check_choice
from moatbench.space import InputSpace
from moatbench.types import Array, Rows

if TYPE_CHECKING:
    import pandas as pd

MISSING = ("drop", "category")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def from_frame(
    frame: "pd.DataFrame",
    name: str,
    target: str,
    drop: Sequence[str],
    missing: str,
    categorical: Sequence[str],
    notes: dict[str, Any],
) -> Table:
    """Make a table of a data frame: numbers are numeric features, all else is categorical.

    Args:
        frame: the data.
        name: of the table.
        target: column of the classes.
        drop: columns to leave out.
        missing: `drop` leaves out rows in which anything is missing; `category` makes "missing" a
            value of its own of a categorical feature, and leaves out rows that miss a number.
        categorical: columns of numbers that are names all the same.
        notes: where it came from.
    """
    check_choice("data.missing", missing, MISSING)
    for column in (target, *drop, *categorical):
        _check_column(frame, column, name)
    frame = frame.drop(columns=list(drop))
    total = len(frame)
    names = [str(c) for c in frame.columns if c != target]
    words = [c for c in names if c in categorical or not _is_number(frame[c])]
    needed = list(frame.columns) if missing == "drop" else [c for c in frame if c not in words]
    frame = frame.dropna(subset=needed)
    if frame.empty:
        raise ValueError(
            f"data {name}: no complete row is left of {total}; try data.missing=category"
        )
    classes, y, _ = _coded(frame[target])
    columns = tuple(
        _categorical(c, frame[c])
        if c in words
        else Column(c, frame[c].to_numpy(dtype=np.float64), dtype=frame[c].dtype)
        for c in names
    )
    facts = {"target": target, "rows_dropped": total - len(frame), "missing": missing}
    return Table(name, columns, y, classes, notes={**notes, **facts})


@dataclass(frozen=True)
class Frames:
    """Rows of an API that takes codes and the data's own units, as frames like the owner's.

    Args:
        columns: of the owner's data.
        space: that the rows lie in.
    """

    columns: tuple[Column, ...]
    space: InputSpace

    def __call__(self, x: Array) -> "pd.DataFrame":
        """Return rows (n, d) with the names and types of the data; numbers snapped to their step.

        Columns that never vary stand there as ever. Whole numbers stay integers, unless the space
        takes fractions of them.
        """
        import pandas as pd

        x, space = self.space.answered(x), self.space
        places = {f.name: c.start for f, c in zip(space.features, space.columns, strict=True)}

        def column(c: Column) -> "pd.Series[Any]":
            if c.name not in places:
                return _restored(c, np.full(len(x), c.range[0]))
            place = places[c.name]
            any_number = c.categories is None and not space.steps[place]
            return _restored(replace(c, dtype=np.float64) if any_number else c, x[:, place])

        return pd.DataFrame({c.name: column(c) for c in self.columns})


def _restored(column: Column, values: Array) -> "pd.Series[Any]":
    """Return numbers or codes as the owner's frame has them."""
    import pandas as pd

    if column.categories is None:
        return pd.Series(values).astype(column.dtype or np.float64)
    originals = column.originals or column.categories
    taken = np.empty(len(originals), dtype=object)
    taken[:] = originals
    return pd.Series(taken[values.astype(np.intp)], dtype=column.dtype or object)


def in_order(names: Sequence[str]) -> Rows:
    """(n,) places of names in their order: numbers by size (1, 2, 10), other names as text."""
    if all(NUMBER.fullmatch(name) for name in names):
        return np.array(sorted(range(len(names)), key=lambda i: float(names[i])), dtype=np.intp)
    return np.array(sorted(range(len(names)), key=lambda i: names[i]), dtype=np.intp)


def _categorical(name: str, values: "pd.Series[Any]") -> Column:
    categories, codes, originals = _coded(values)
    return Column(name, codes.astype(np.float64), categories, None, values.dtype, originals)


def _coded(values: "pd.Series[Any]") -> tuple[tuple[str, ...], Any, tuple[Any, ...]]:
    """Name the distinct values, in order; code each row; what is missing is called "missing".

    Returns the names, (n,) codes, and what stands in the frame for each name.
    """
    import pandas as pd

    texts = values.astype(object).where(values.notna(), "missing").map(lambda v: str(v).strip())
    codes, uniques = pd.factorize(texts)
    order = in_order([str(u) for u in uniques])
    rank = np.argsort(order)
    first = np.unique(codes, return_index=True)[1][order]
    originals = tuple(values.iloc[first].tolist())
    return tuple(str(uniques[i]) for i in order), rank[codes].astype(np.int64), originals


def _is_number(values: "pd.Series[Any]") -> bool:
    import pandas as pd

    numeric = pd.api.types.is_numeric_dtype(values)
    return bool(numeric and not pd.api.types.is_bool_dtype(values))


def _check_column(frame: "pd.DataFrame", column: str, name: str) -> None:
    known = [str(c) for c in frame.columns]
    if column in known:
        return
    near = get_close_matches(column, known, 3)
    hint = f"; did you mean {' or '.join(near)}?" if near else "."
    raise ValueError(
        f"data {name}: there is no column {column!r}{hint} Columns: {', '.join(known)}"
    )
