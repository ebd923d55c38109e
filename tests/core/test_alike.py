"""Which rows are the same, though their numbers were kept in something else."""

import numpy as np
import pytest

from moatbench.data import Column, Table
from moatbench.data.alike import Alike
from moatbench.types import Array


def table(x: Array) -> Table:
    columns = tuple(Column(f"c{i}", column.astype(np.float64)) for i, column in enumerate(x.T))
    return Table("t", columns, np.arange(len(x)) % 2, ("a", "b"))


def shared(mine: Array, others: Array) -> int:
    alike = Alike(table(mine))
    return int(alike.among(alike.rows(table(mine)), alike.rows(table(others))).sum())


HOURS = np.column_stack([1.6e9 + 3600.0 * np.arange(60), np.arange(60) % 3])
TENTHS = np.round(np.random.default_rng(0).uniform(-5, 5, (60, 3)), 1)
ANY = np.random.default_rng(1).normal(size=(60, 3))


@pytest.mark.parametrize("x", [TENTHS, ANY, np.arange(120.0).reshape(60, 2)])
def test_rows_in_single_precision_are_the_same(x: Array) -> None:
    assert shared(x, x) == 60
    assert shared(x, x.astype(np.float32).astype(np.float64)) == 60
    assert shared(x.astype(np.float32).astype(np.float64), x) == 60


@pytest.mark.parametrize(
    ("x", "by"),
    [
        (HOURS, 5.0),  # single precision has steps of 128 there
        (np.arange(120.0).reshape(60, 2) % 9, 0.3),  # between the steps of codes
        (TENTHS, 0.01),
        (ANY, 1e-5),
    ],
)
def test_rows_that_differ_by_more_than_precision_are_not(x: Array, by: float) -> None:
    assert shared(x, x + by) == 0
