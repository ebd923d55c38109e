"""Tables, and their three disjoint shares: the defender's, the attacker's, the judge's."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from moatbench.knobs import check_choice, check_number
from moatbench.space import OFF, ON, Categorical, InputSpace, Numeric, fixed
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import Shares

Encoding = Literal["one_hot", "codes"]


@dataclass(frozen=True)
class Column:
    """A feature of a table.

    Args:
        name: of the feature.
        values: (n,) numbers, or the codes of `categories`.
        categories: the names of the values, for a categorical feature.
        bounds: the declared range of a numeric feature; None takes the table's own.
    """

    name: str
    values: Array
    categories: tuple[str, ...] | None = None
    bounds: tuple[float, float] | None = None


@dataclass(frozen=True)
class Table:
    """A data set as it was read: complete rows, coded classes.

    Args:
        name: for people.
        columns: the features, in order.
        y: (n,) the class of each row.
        classes: the names of the classes.
        image: (height, width) where the columns are pixels.
        notes: how it was read: source, rows dropped, missing values.
    """

    name: str
    columns: tuple[Column, ...]
    y: Labels
    classes: tuple[str, ...]
    image: tuple[int, int] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError(f"data {self.name}: there is no feature beside the target")
        if (k := len(self.classes)) < 2:
            raise ValueError(f"data {self.name}: the target has {k} class; it needs two or more")

    def sha256(self) -> str:
        """Hash the content: what was read, whatever file it came from."""
        digest = hashlib.sha256()
        names = [(c.name, c.categories, c.bounds) for c in self.columns]
        digest.update(json.dumps([names, self.classes]).encode())
        for values in (*(c.values for c in self.columns), self.y.astype(np.float64)):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class Dataset:
    """A table and how it is shared out.

    Args:
        table: the data.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
    """

    table: Table
    test_share: float = 0.3
    pool_share: float = 0.25

    def __post_init__(self) -> None:
        check_number("data.test_share", self.test_share, 0, 1, above=True, below=True)
        check_number("data.pool_share", self.pool_share, 0, 1, below=True)

    def shares(self, rng: Generator, encoding: Encoding = "one_hot") -> Shares:
        """Draw the shares at random, as Tramèr et al. 2016, sec. 4, do: 70 % and 30 %.

        Equal rows go where the first of them falls: nobody is judged on rows that the attacker
        owns. Numeric features are scaled to [-1, 1]; categorical ones become one-hot groups of -1
        and +1, or one column of codes.

        Raises:
            ValueError: a class is missing from the defender's share, or the judge's is empty.
        """
        check_choice("encoding", encoding, get_args(Encoding))
        table, first = self.table, first_equal(self.table)
        train, pool, test = self._split(rng, first)
        if not len(test):
            raise ValueError(
                f"data {table.name}: none of {len(first)} rows ({len(np.unique(first))} distinct) "
                "fell into the judge's share; raise data.test_share, or change seed"
            )
        missing = sorted(set(range(len(table.classes))) - set(table.y[train].tolist()))
        if missing:
            raise ValueError(
                f"data {table.name}: no row of class {table.classes[missing[0]]!r} fell into the "
                "defender's share; drop the class, lower test_share or pool_share, or change seed"
            )
        odd = table.y != table.y[first]  # equal to a row of another class
        space, x = encoded(table, encoding)
        return Shares(
            space=space,
            classes=table.classes,
            x_train=fixed(x[train]),
            y_train=table.y[train],
            pool=fixed(x[pool]),
            x_test=fixed(x[test]),
            y_test=table.y[test],
            test_rows=test,
            y_pool=table.y[pool],
            provenance={
                "name": table.name,
                "sha256": table.sha256(),
                "rows": len(table.y),
                "distinct_rows": len(np.unique(first)),
                "duplicated_share": float(np.mean(np.bincount(first)[first] > 1)),
                "conflicting_share": float(np.mean(np.isin(first, first[odd]))),
                "test_rows": len(test),
                "test_share": self.test_share,
                "pool_share": self.pool_share,
                "encoding": encoding,
                **table.notes,
            },
        )

    def _split(self, rng: Generator, first: Rows) -> tuple[Rows, Rows, Rows]:
        order = rng.permutation(len(first))
        tests = round(self.test_share * len(order))
        pools = round(self.pool_share * (len(order) - tests))
        share = np.empty(len(order), np.intp)
        share[order] = np.repeat([2, 1, 0], [tests, pools, len(order) - tests - pools])
        share = share[first][order]
        return order[share == 0], order[share == 1], order[share == 2]


def first_equal(table: Table) -> Rows:
    """(n,) the first row that is equal to each, as an API is sent it; labels do not count."""
    x = np.ascontiguousarray(encoded(table, "codes")[1] + 0.0)  # -0.0 is 0.0
    rows = x.view(np.dtype((np.void, x.strides[0]))).ravel()
    _, first, place = np.unique(rows, return_index=True, return_inverse=True)
    return np.asarray(first[place])


def encoded(table: Table, encoding: Encoding) -> tuple[InputSpace, Array]:
    """Encode all rows: the input space and (n, d)."""
    features: list[Numeric | Categorical] = []
    parts: list[Array] = []
    for column in table.columns:
        if column.categories is None:
            features.append(Numeric(column.name))
            parts.append(_scaled(column)[:, None])
        elif encoding == "codes":
            features.append(Categorical(column.name, column.categories, one_hot=False))
            parts.append(column.values[:, None])
        else:
            features.append(Categorical(column.name, column.categories))
            hot = column.values[:, None] == np.arange(len(column.categories))
            parts.append(np.where(hot, ON, OFF))
    return InputSpace(tuple(features), table.image), np.hstack(parts)


def _scaled(column: Column) -> Array:
    """Scale to [-1, 1]; a constant becomes 0."""
    low, high = column.bounds or (float(column.values.min()), float(column.values.max()))
    if low == high:
        return np.zeros(len(column.values))
    return 2 * ((column.values - low) / (high - low)) - 1
