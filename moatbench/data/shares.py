"""Tables, and their three disjoint shares: the defender's, the attacker's, the judge's."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from moatbench.data.alike import Alike
from moatbench.data.encoding import Encoding, Units, encoded, first_equal
from moatbench.data.foreign import as_ours
from moatbench.data.table import Table
from moatbench.knobs import check_choice, check_flag, check_number
from moatbench.space import fixed
from moatbench.types import Generator, Mask, Rows
from moatbench.victim import Shares

FOREIGN = 10_000  # rows of a foreign set at most
APART = {
    "outliers": ("pool", "test", "training"),
    "foreign": ("pool", "test", "training", "outliers"),
}


def check_sharing(
    test_share: float = 0.3, pool_share: float = 0.25, units: Units = "scaled", steps: bool = True
) -> None:
    """Raise a ValueError that names the first knob whose value `Dataset` does not take."""
    check_number("data.test_share", test_share, 0, 1, above=True, below=True)
    check_number("data.pool_share", pool_share, 0, 1, below=True)
    check_choice("data.units", units, get_args(Units))
    check_flag("data.steps", steps)


@dataclass(frozen=True)
class Dataset:
    """A table and how it is shared out.

    Args:
        table: the data.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
        units: of the numbers that an API takes, unless a victim asks for others: `own`, as they
            stand in the data; `scaled`, to [-1, 1].
        steps: whether such an API takes numbers of the data's own units to the last decimal seen.
        test: (m,) rows that are the judge's, where the data have a split of their own; `test_share`
            is then not used.
        pool: another table, whose rows are the attacker's, but for those that are the judge's; None
            gives it its share of this one.
        outliers: another table, whose rows are the defender's, of no class; none of anybody's.
        foreign: another table, on whose rows the judge compares as well, on 10,000 at most; none of
            anybody's.
        resize: whether these pictures may be resized where they serve as one of these.
    """

    table: Table
    test_share: float = 0.3
    pool_share: float = 0.25
    units: Units = "scaled"
    steps: bool = True
    test: Rows | None = None
    pool: Table | None = None
    outliers: Table | None = None
    foreign: Table | None = None
    resize: bool = False

    def __post_init__(self) -> None:
        check_sharing(self.test_share, self.pool_share, self.units, self.steps)

    def shares(
        self, rng: Generator, encoding: Encoding = "one_hot", units: Units | None = None
    ) -> Shares:
        """Draw the shares at random, as Tramèr et al. 2016, sec. 4, do: 70 % and 30 %.

        Equal rows go where the first of them falls: nobody is judged on rows that the attacker
        owns. For encoding and units see `encoded`; without units, the data's.

        Raises:
            ValueError: a class is missing from the defender's share, the judge's is empty, or rows
                are in two shares that must not have them both.
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
        units = units or self.units
        space, x = encoded(table, encoding, units, self.steps)
        others = {"pool": self.pool, "outliers": self.outliers, "foreign": self.foreign}
        given = {
            name: fixed(encoded(other, encoding, units, self.steps).x)
            for name, other in others.items()
            if other is not None
        }
        own = {"pool": fixed(x[pool]), "test": fixed(x[test]), "training": fixed(x[train])}
        told = {name: _told(other) for name, other in others.items() if other is not None}
        if given:
            judged = self._refuse_shared({"training": train, "pool": pool, "test": test})
            if "pool" in given:
                told["pool"]["left_out"] = int(judged.sum())
                given["pool"] = fixed(given["pool"][~judged]) if judged.any() else given["pool"]
        if "foreign" in given:
            given["foreign"] = _some(given["foreign"])
            told["foreign"]["judged"] = len(given["foreign"])
        return Shares(
            space=space,
            classes=table.classes,
            x_train=own["training"],
            y_train=table.y[train],
            pool=given.get("pool", own["pool"]),
            x_test=own["test"],
            y_test=table.y[test],
            test_rows=test,
            y_pool=None if self.pool else table.y[pool],
            outliers=given.get("outliers"),
            foreign=given.get("foreign"),
            provenance={
                **told,
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
                "units": units,
                **table.notes,
            },
        )

    def with_others(
        self,
        pool: "Dataset | None",
        outliers: "Dataset | None",
        foreign: "Dataset | None" = None,
    ) -> "Dataset":
        """Return these data with a pool, outliers, or a set to judge on, of other data."""
        given = {"pool": pool, "outliers": outliers, "foreign": foreign}
        tables = {
            key: as_ours(other.table, self.table, other.resize, key)
            for key, other in given.items()
            if other is not None
        }
        return replace(
            self,
            pool=tables.get("pool"),
            outliers=tables.get("outliers"),
            foreign=tables.get("foreign"),
        )

    def _refuse_shared(self, own: Mapping[str, Rows]) -> Mask:
        """Return which rows of a foreign pool are the judge's, to be left out of it.

        Raises:
            ValueError: all are; or outliers are anybody's rows, or those of the foreign set.
        """
        alike, judged = Alike(self.table), np.zeros(0, bool)
        mine = alike.rows(self.table)
        rows = {name: mine[places] for name, places in own.items()}
        others = {"pool": self.pool, "outliers": self.outliers, "foreign": self.foreign}
        rows |= {name: alike.rows(other) for name, other in others.items() if other is not None}
        if self.pool is not None:
            judged = alike.among(rows["pool"], rows["test"])
            rows["pool"] = rows["pool"][~judged]
            if judged.all():
                raise ValueError(
                    f"pool must have rows that are none of the test's, got {self.pool.name}, whose "
                    f"{len(judged)} all are; choose other data (another data_seed, for generated "
                    "ones)"
                )
        for name, whose in APART.items():
            for other in whose if name in rows else ():
                if other in rows and (shared := int(alike.among(rows[name], rows[other]).sum())):
                    raise ValueError(
                        f"{name} must be none of the {other}'s rows, got {shared} that are; choose "
                        "other data for one of both (another data_seed, for generated ones)"
                    )
        return judged

    def _split(self, rng: Generator, first: Rows) -> tuple[Rows, Rows, Rows]:
        if self.test is not None:
            return self._given(rng, first, self.test)
        order = rng.permutation(len(first))
        tests = round(self.test_share * len(order))
        pools = round(self.pool_share * (len(order) - tests))
        share = np.empty(len(order), np.intp)
        share[order] = np.repeat([2, 1, 0], [tests, pools, len(order) - tests - pools])
        share = share[first][order]
        return order[share == 0], order[share == 1], order[share == 2]

    def _given(self, rng: Generator, first: Rows, test: Rows) -> tuple[Rows, Rows, Rows]:
        """Share out what the data's own split leaves, without rows that the judge has as well."""
        rest = np.flatnonzero(~np.isin(first, first[test]))
        order = rest[rng.permutation(len(rest))]
        pools = round(self.pool_share * len(order))
        return order[pools:], order[:pools], test


def _told(table: Table) -> dict[str, Any]:
    return {"name": table.name, "sha256": table.sha256(), "rows": len(table.y)}


def _some(foreign: NDArray[Any]) -> NDArray[Any]:
    """Draw the rows that the judge compares on, the same in each run: files are often sorted."""
    n = len(foreign)
    if n <= FOREIGN:
        return foreign
    return fixed(foreign[np.sort(np.random.default_rng(0).permutation(n)[:FOREIGN])])
