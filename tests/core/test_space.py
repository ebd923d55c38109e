"""Input spaces: bounds, one-hot groups, raw codes, features left out."""

import re

import numpy as np
import pytest

from moatbench.space import OFF, ON, Categorical, InputSpace, Numeric
from moatbench.types import Array

COLOURS = ("blue", "green", "red")
HOT = InputSpace((Numeric("size"), Categorical("colour", COLOURS), Numeric("age", 0.0, 90.0)))
CODED = InputSpace((Numeric("size"), Categorical("colour", COLOURS, one_hot=False)))


def draw(space: InputSpace, n: int = 3000) -> Array:
    return space.sample(n, np.random.default_rng(0))


def row(*values: float) -> Array:
    return np.array([values])


@pytest.mark.parametrize("space", [HOT, CODED, InputSpace.box(4)], ids=["hot", "coded", "box"])
def test_uniform_inputs_are_valid_and_accepted(space: InputSpace) -> None:
    x = draw(space)
    assert space.valid(x).all()
    assert space.problem(x, partial=False) == ""


def test_every_category_is_drawn_as_often() -> None:
    for counts in (
        (draw(HOT)[:, 1:4] == ON).sum(axis=0),
        np.bincount(draw(CODED)[:, 1].astype(int)),
    ):
        assert np.abs(counts / 3000 - 1 / 3).max() < 0.03  # 3.5 standard deviations


def test_numbers_fill_their_bounds() -> None:
    age = draw(HOT)[:, 4]
    assert 0 <= age.min() < 1
    assert 89 < age.max() <= 90


def test_the_cube_ignores_groups_and_keeps_codes_whole() -> None:
    rng = np.random.default_rng(0)
    cube = HOT.sample_cube(100, rng)
    assert not HOT.valid(cube).any()
    assert HOT.problem(cube, partial=False) == ""  # as the paper's released code sends them
    assert (CODED.sample_cube(100, rng)[:, 1] % 1 == 0).all()


def test_the_same_rng_draws_the_same_inputs() -> None:
    assert np.array_equal(draw(HOT), draw(HOT))


def test_columns_groups_and_codes_are_where_they_are() -> None:
    assert HOT.d == 5
    assert HOT.groups == (slice(1, 4),)
    assert CODED.coded.tolist() == [1]
    assert CODED.high.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("colour", "valid"),
    [((ON, OFF, OFF), True), ((ON, ON, OFF), False), ((OFF, OFF, OFF), False), ((0, 0, 0), False)],
)
def test_a_group_is_valid_with_one_column_on(colour: tuple[float, ...], valid: bool) -> None:
    assert HOT.valid(row(0, *colour, 50)).tolist() == [valid]


def test_a_group_is_left_out_as_a_whole() -> None:
    nan = float("nan")
    assert HOT.valid(row(nan, nan, nan, nan, 50)).all()
    assert not HOT.valid(row(0, nan, ON, OFF, 50)).any()


@pytest.mark.parametrize(
    ("space", "x", "said"),
    [
        (HOT, np.zeros(5), r"rows of 5 columns, got an array of shape \(5,\)"),
        (HOT, np.zeros((2, 4)), r"rows of 5 columns, got an array of shape \(2, 4\)"),
        (HOT, row(0, ON, OFF, OFF, 91), r"row 0 has 'age' = 91, outside \[0, 90\]"),
        (HOT, row(0, 1.5, OFF, OFF, 9), r"row 0 has 'colour' = 1.5, outside \[-1, 1\]"),
        (HOT, row(np.inf, ON, OFF, OFF, 9), "row 0 has 'size' = inf"),
        (HOT, row(np.nan, ON, OFF, OFF, 9), r"row 0 leaves out 'size' \(NaN\)"),
        (CODED, row(0, 0.5), "'colour' = 0.5, not a whole category code"),
        (CODED, row(0, 3), r"'colour' = 3, outside \[0, 2\]"),
    ],
)
def test_what_is_not_accepted_is_named(space: InputSpace, x: Array, said: str) -> None:
    problem = space.problem(x, partial=False)
    assert re.search(said, problem)
    assert "\n" not in problem


@pytest.mark.parametrize("space", [HOT, CODED, InputSpace.box(5)], ids=["hot", "coded", "box"])
def test_features_may_be_left_out_of_partial_inputs_only(space: InputSpace) -> None:
    x = draw(space, 3)
    x[1, 0] = np.nan
    assert "row 1" in space.problem(x, partial=False)
    assert space.problem(x, partial=True) == ""


def test_no_rows_are_no_problem() -> None:
    assert HOT.problem(np.empty((0, 5)), partial=False) == ""


def test_an_image_has_as_many_columns_as_pixels() -> None:
    assert InputSpace.box(64, (8, 8)).image == (1, 8, 8)
    with pytest.raises(ValueError, match=r"an image of \(1, 8, 8\) needs as many columns, got 63"):
        InputSpace.box(63, (8, 8))


def test_a_feature_without_room_or_values_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'x': low must be below high, got \[1, 1\]"):
        Numeric("x", 1, 1)
    with pytest.raises(ValueError, match="'x' has no values"):
        Categorical("x", ())
