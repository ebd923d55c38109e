"""How a model of one's own is asked: in the data's units, under its names, in its order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np

from moatbench.data import Column, Dataset, Table
from moatbench.data.arrays import Arrays
from moatbench.data.frame import Frames
from moatbench.knobs import check_choice
from moatbench.types import Array
from moatbench.victim import Shares
from moatbench.victims.encoders import known_values

OwnEncoding = Literal["frame", "one_hot", "codes", "scaled"]
Inputs = Callable[[Array], Any]
TRIED = 5  # rows of the training data, to see what a model takes


@dataclass(frozen=True)
class Asked:
    """What a model of one's own answers, and how.

    Args:
        shares: the data, in the space of the API.
        inputs: turns (n, d) rows of that space into what the model takes: a frame or an array.
        encoding: a name of `OwnEncoding`.
    """

    shares: Shares
    inputs: Inputs
    encoding: OwnEncoding


@dataclass(frozen=True)
class AsTheyAre:
    """Rows as an API takes them."""

    def __call__(self, x: Array) -> Array:
        """Return them."""
        return x


@dataclass(frozen=True)
class Named:
    """What `inputs` makes of rows, as a frame with a model's columns in its order.

    Args:
        inputs: makes a frame, or an array.
        labels: of the array's columns.
        names: the model's.
    """

    inputs: Inputs
    labels: tuple[str, ...]
    names: tuple[str, ...]

    def __call__(self, x: Array) -> Any:
        """Return the frame of (n, d) rows."""
        import pandas as pd

        made = self.inputs(x)
        is_frame = isinstance(made, pd.DataFrame)
        frame = made if is_frame else pd.DataFrame(made, columns=list(self.labels))
        return frame[list(self.names)]


def asked(
    model: Any,
    ask: Callable[[Any], Any],
    data: Dataset,
    rng: np.random.Generator,
    encoding: OwnEncoding | None,
) -> Asked:
    """Find out how a model is asked, and draw the shares in the space of such an API.

    Args:
        model: tells what it can of its inputs, as scikit-learn's do: `feature_names_in_`,
            `n_features_in_`, and, of a pipeline, the categories of its encoders.
        ask: the call that answers what `inputs` makes of rows; it is tried on a few.
        data: what the model was trained for.
        rng: draws the shares.
        encoding: None for a frame where the model knows column names, and otherwise for an array in
            the data's units. `frame`: as the owner's own. `one_hot`: numbers as they are, 0 and 1
            for names. `codes`: a name as its place. `scaled`: numbers from -1 to 1, and so names.

    Raises:
        ValueError: names, number of columns or categories of the model are not the data's, or it
            cannot be asked in this way.
    """
    if encoding is not None:
        check_choice("victim.encoding", encoding, get_args(OwnEncoding))
    names = _names(model)
    table = data.table if encoding == "scaled" else _with_names(model, data.table, encoding)
    data = replace(data, table=table)
    state = rng.bit_generator.state
    refused = ""
    for choice in [encoding] if encoding else _choices(model, names, table):
        for dtype in (None, "category"):
            rng.bit_generator.state = state  # each try draws the same shares
            found = _as(choice, data, rng, names, dtype)
            try:
                ask(found.inputs(found.shares.x_train[:TRIED]))
            except Exception as error:  # whatever somebody's model raises at what it does not take
                line = str(error).strip().splitlines() or [type(error).__name__]
                refused = refused or f"{choice}: {line[0]:.300}"
                if choice != "frame" or not any(c.categories for c in table.columns):
                    break
            else:
                return found
    raise ValueError(
        f"the model must answer rows of {table.name} ({', '.join(_labels(table))}), and refused "
        f"them as {refused}; choose the data it was trained on, or victim.encoding"
    )


def _choices(model: Any, names: tuple[str, ...] | None, table: Table) -> list[OwnEncoding]:
    """Name the encodings that may be a model's, by what it says of its columns."""
    hot, codes = (len(_labels(table, hot=hot)) for hot in (True, False))
    if names is not None:
        own = set(names) == {column.name for column in table.columns}
        return ["frame"] if own or set(names) != set(_labels(table, hot=True)) else ["one_hot"]
    wanted = getattr(model, "n_features_in_", None)
    if wanted is None:
        return ["one_hot", "frame"]
    if wanted not in (hot, codes):
        columns = f"{codes} columns" + (f", or {hot} in one-hot groups" if hot != codes else "")
        raise ValueError(
            f"the model must take {columns}, as {table.name} has, got {wanted}; choose the data it "
            "was trained on, or leave columns out with data.drop"
        )
    if known_values(model, [column.name for column in table.columns]):
        return ["frame"]
    return ["one_hot" if wanted == hot else "codes"]


def _as(
    encoding: OwnEncoding,
    data: Dataset,
    rng: np.random.Generator,
    names: tuple[str, ...] | None,
    dtype: str | None,
) -> Asked:
    """Draw the shares for an encoding, and make what turns their rows into it."""
    table = data.table
    if encoding == "scaled":
        shares = data.shares(rng, "one_hot", "scaled")
        arrays = Arrays(table.columns, shares.space)
        return Asked(shares, _labelled(arrays.labels, names, AsTheyAre()), encoding)
    if encoding == "frame":
        shares = data.shares(rng, "codes", "own")
        columns = table.columns
        if dtype:
            columns = tuple(replace(c, dtype=dtype) if c.categories else c for c in columns)
        frames = Frames(bare(columns), shares.space)
        return Asked(shares, _labelled([c.name for c in columns], names, frames), encoding)
    table = replace(table, columns=tuple(_flag(c) for c in table.columns))
    shares = replace(data, table=table).shares(rng, encoding, "own")
    arrays = Arrays(bare(table.columns), shares.space)
    return Asked(shares, _labelled(arrays.labels, names, arrays), encoding)


def _labelled(labels: Sequence[str], names: tuple[str, ...] | None, inputs: Inputs) -> Inputs:
    """Return the inputs under the model's names and in its order, if it knows any.

    Raises:
        ValueError: its names are others.
    """
    if names is None:
        return inputs
    if sorted(names) != sorted(labels):
        lacks = sorted(set(names) - set(labels))
        told = f"; the data lack {', '.join(lacks)}" if lacks else ""
        more = sorted(set(labels) - set(names))
        way = f"; leave out what it does not take: 'data.drop=[{','.join(more)}]'" if more else ""
        raise ValueError(
            f"the model's columns must be the data's ({', '.join(labels)}), got "
            f"{', '.join(names)}{told}{way}"
        )

    return Named(inputs, tuple(labels), names)


def bare(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Return columns without their numbers: a victim is kept, and the data are not its own."""
    none = np.empty(0)
    return tuple(
        replace(c, values=none, bounds=c.range) if c.categories is None else replace(c, values=none)
        for c in columns
    )


def _with_names(model: Any, table: Table, encoding: OwnEncoding | None) -> Table:
    """Take columns that the model encodes for names; compare what it knows of them.

    Raises:
        ValueError: the data hold values that an encoder of the model does not know.
    """
    known = known_values(model, [column.name for column in table.columns])
    if encoding not in (None, "frame"):
        return table
    columns = tuple(_named(c) if c.name in known else c for c in table.columns)
    for column in columns:
        if encoding is None and column.name in known:
            _check_values(column, known[column.name])
    return replace(table, columns=columns)


def _check_values(column: Column, known: Sequence[Any]) -> None:
    values = column.originals or column.categories or ()
    unknown = [v for v in values if v is not None and v == v and v not in set(known)]
    if unknown:
        raise ValueError(
            f"the model knows other values of {column.name} than the data: it knows "
            f"{_listed(known)}; the data have {_listed(values)}; choose the data it was trained "
            "on, or set victim.encoding=frame where it copes with values that it does not know"
        )


def _named(column: Column) -> Column:
    """Return a column of numbers as one of names."""
    if column.categories is not None:
        return column
    values, codes = np.unique(column.values, return_inverse=True)
    whole = getattr(column.dtype, "kind", "f") in "iu"
    originals = tuple(int(v) if whole else float(v) for v in values)
    names = tuple(f"{v:.12g}" for v in originals)
    return Column(column.name, codes.astype(np.float64), names, None, column.dtype, originals)


def _flag(column: Column) -> Column:
    """Return booleans as numbers 0 and 1."""
    if column.categories is None or not column.boolean or len(column.categories) != 2:
        return column
    return Column(column.name, column.values)


def _labels(table: Table, hot: bool = False) -> list[str]:
    """Name the columns of the data, or those that one-hot groups make of them."""
    found = []
    for column in map(_flag, table.columns):
        names = column.categories if hot else None
        found += [f"{column.name}_{v}" for v in names] if names is not None else [column.name]
    return found


def _names(model: Any) -> tuple[str, ...] | None:
    names = getattr(model, "feature_names_in_", None)
    return None if names is None else tuple(str(name) for name in names)


def _listed(values: Sequence[Any], most: int = 20) -> str:
    shown = ", ".join(str(v) for v in values[:most])
    return f"{shown}, ... ({len(values)} in all)" if len(values) > most else shown
