"""Spaces in the owner's units: steps, frames and arrays of the data's own types."""

import re

import numpy as np
import pandas as pd
import pytest

from moatbench.api import Deployment, MeteredAPI
from moatbench.data import Column, Dataset, Table
from moatbench.data.arrays import Arrays
from moatbench.data.frame import Frames, from_frame
from moatbench.defense import Defense
from moatbench.space import InputSpace, Numeric
from moatbench.victims.linear import softmax

OWN = InputSpace((Numeric("age", 17, 90, 1), Numeric("rate", -0.3, 0.7, 0.1), Numeric("any", 0, 9)))


def owned(n: int = 60) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "age": rng.integers(17, 90, n),
            "rate": np.round(rng.normal(size=n), 2),
            "any": rng.normal(size=n) / 3,
            "whole": rng.integers(0, 9, n).astype(float),
            "member": rng.random(n) < 0.5,
            "town": rng.choice(["York", "Bath"], n),
            "always": np.full(n, 7),
            "grade": rng.choice([1, 2, 10], n),
        }
    )


def table(frame: pd.DataFrame) -> Table:
    return from_frame(frame, "mine", "grade", [], "drop", [], {})


def test_a_row_between_two_steps_is_answered_at_the_nearest() -> None:
    x = np.array([[37.48, 0.34, 2.345], [17.0, -0.26, 9.0], [89.6, 0.7, 0.1]])
    assert OWN.answered(x).tolist() == [[37, 0.3, 2.345], [17, -0.3, 9.0], [90, 0.7, 0.1]]
    assert np.array_equal(OWN.answered(OWN.answered(x)), OWN.answered(x))
    assert np.isnan(OWN.answered(np.full((1, 3), np.nan))).all()


def test_where_any_number_is_taken_the_rows_are_the_same_object() -> None:
    box, x = InputSpace.box(2), np.zeros((3, 2))
    assert box.answered(x) is x
    assert box.scaled(x) is x
    assert box.unscaled(x) is x


def test_uniform_inputs_lie_on_steps_and_each_is_as_likely() -> None:
    space = InputSpace((Numeric("level", 1, 4, 1),))
    x = space.sample(8000, np.random.default_rng(0))
    assert space.valid(x).all()
    assert np.abs(np.unique(x, return_counts=True)[1] / 8000 - 0.25).max() < 0.02
    assert not space.valid(np.array([[1.5]])).any()


@pytest.mark.parametrize("step", [-1, 4, float("nan")])
def test_a_step_lies_within_the_range(step: float) -> None:
    with pytest.raises(ValueError, match=re.escape("step must be 0 (any number) or up to")):
        Numeric("x", 0, 3, step)


def test_scaled_rows_come_back() -> None:
    x = OWN.sample(100, np.random.default_rng(0))
    z = OWN.scaled(x)
    assert -1 <= z.min() < -0.9
    assert 0.9 < z.max() <= 1
    assert np.abs(OWN.unscaled(z) - x).max() < 1e-12
    assert np.abs(OWN.coordinates(x) - OWN.encode(x)).max() < 1e-12


def test_the_api_tells_the_row_that_was_answered() -> None:
    victim = softmax(Dataset(table(owned()), units="own"), np.random.default_rng(0))
    api = MeteredAPI(Deployment(victim, Defense(), np.random.default_rng(0)), [20])
    x = victim.space.sample(5, np.random.default_rng(0))
    told = api.query(x + 0.2 * (victim.space.steps == 1) * (x < victim.space.high))
    assert np.array_equal(told.x, victim.space.answered(told.x))
    assert np.array_equal(told.labels, victim.predict(told.x).labels)
    assert np.array_equal(told.x, x)


@pytest.mark.parametrize(
    ("values", "step"),
    [([1.0, 2, 7], 1), ([0.1, 0.25, 3], 0.01), ([1 / 3, 2, 3], 0), ([1e18, 2e18, 0], 0)],
)
def test_the_step_is_the_last_decimal_seen(values: list[float], step: float) -> None:
    assert Column("x", np.array(values)).step == step


def test_a_frame_becomes_rows_and_rows_the_same_frame() -> None:
    frame = owned()
    data = Dataset(table(frame), units="own")
    shares = data.shares(np.random.default_rng(0), "codes")
    assert shares.test_rows is not None
    back = Frames(data.table.columns, shares.space)(shares.x_test)
    rows = frame.drop(columns="grade").iloc[shares.test_rows].reset_index(drop=True)
    pd.testing.assert_frame_equal(back, rows)
    assert [f.name for f in shares.space.features] == list(rows.columns.drop("always"))


def test_fractions_of_whole_numbers_are_asked_where_the_space_takes_any() -> None:
    data = Dataset(table(owned()), units="own", steps=False)
    shares = data.shares(np.random.default_rng(0), "codes")
    x = shares.space.sample(20, np.random.default_rng(0))
    frame = Frames(data.table.columns, shares.space)(x)
    assert np.array_equal(frame["age"], x[:, 0])


def test_an_array_has_zeros_and_ones_and_the_columns_that_never_vary() -> None:
    frame = owned()
    data = Dataset(table(frame), units="own")
    shares = data.shares(np.random.default_rng(0))
    arrays = Arrays(data.table.columns, shares.space)
    assert shares.test_rows is not None
    dummies = pd.get_dummies(frame.drop(columns="grade"), columns=["member", "town"])
    assert sorted(arrays.labels) == sorted(dummies.columns)
    rows = dummies[list(arrays.labels)].to_numpy(float)[shares.test_rows]
    assert np.array_equal(arrays(shares.x_test), rows)


def test_classes_that_are_numbers_are_in_their_order() -> None:
    assert table(owned()).classes == ("1", "2", "10")


def test_rows_of_the_judge_are_on_steps() -> None:
    shares = Dataset(table(owned()), units="own").shares(np.random.default_rng(0))
    assert shares.space.valid(shares.x_test).all()
    assert shares.space.steps.tolist()[:4] == [1, 0.01, 0, 1]
