"""From a table to rows of numbers that an API accepts, and the space they lie in."""

from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moatbench.data.table import Column, Table
from moatbench.space import OFF, ON, Categorical, InputSpace, Numeric
from moatbench.types import Array, Rows

Encoding = Literal["one_hot", "codes"]
Units = Literal["own", "scaled"]


class Encoded(NamedTuple):
    """The rows of a table (n, d), in bytes if they are pixels, and the space of their API."""

    space: InputSpace
    x: NDArray[Any]


def encoded(table: Table, encoding: Encoding, units: Units, steps: bool = True) -> Encoded:
    """Encode all rows.

    Args:
        table: the data.
        encoding: of names: `one_hot`, a group of columns of -1 and +1; `codes`, a column of codes.
        units: of numbers: `own`, as they stand in the data, without those that never vary;
            `scaled`, from -1 for the least to +1 for the greatest.
        steps: whether numbers in their own units are taken to the last decimal seen only.

    Raises:
        ValueError: in its own units, no column varies.
    """
    if table.pixels is not None and units == "own" and steps:
        numbers = tuple(_number(column, units, steps) for column in table.columns)
        return Encoded(InputSpace(numbers, table.image), table.pixels)
    features: list[Numeric | Categorical] = []
    parts: list[Array] = []
    for column in table.columns:
        if column.categories is None:
            if units == "own" and column.constant:
                continue
            features.append(_number(column, units, steps))
            values = column.values if units == "own" else _scaled(column)
            parts.append(values[:, None])
        elif encoding == "codes":
            features.append(Categorical(column.name, column.categories, one_hot=False))
            parts.append(column.values[:, None])
        else:
            features.append(Categorical(column.name, column.categories))
            hot = column.values[:, None] == np.arange(len(column.categories))
            parts.append(np.where(hot, ON, OFF))
    if not parts:
        raise ValueError(f"data {table.name}: no column varies; give one that does")
    return Encoded(InputSpace(tuple(features), table.image), np.hstack(parts))


def first_equal(table: Table) -> Rows:
    """(n,) the first row that is equal to each, as an API is sent it; labels do not count."""
    x: NDArray[Any]
    if table.pixels is not None:  # digests of rows sort in a fraction of the memory
        digests = [blake2b(row.data, digest_size=16).digest() for row in table.pixels]
        x = np.frombuffer(b"".join(digests), np.uint8).reshape(len(digests), -1)
    else:
        x = np.column_stack([column.values for column in table.columns]) + 0.0  # -0.0 is 0.0
        x = np.ascontiguousarray(x)
    rows = x.view(np.dtype((np.void, x.strides[0]))).ravel()
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    return np.asarray(first[place])


def _number(column: Column, units: Units, steps: bool) -> Numeric:
    if units == "scaled":
        return Numeric(column.name)
    low, high = column.range
    return Numeric(column.name, low, high, column.step if steps else 0.0)


def _scaled(column: Column) -> Array:
    """Scale to [-1, 1]; a constant becomes 0."""
    low, high = column.range
    if low == high:
        return np.zeros(len(column.values))
    return 2 * ((column.values - low) / (high - low)) - 1
