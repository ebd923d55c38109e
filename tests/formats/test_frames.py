"""Names become a model's own categories, and no two of them the same one."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from moatbench.formats.readers.frames import in_categories


def codes(asked: list[Any], values: list[Any]) -> list[int]:
    found = in_categories(pd.Series(asked, name="zip"), values)
    assert list(found.categories) == values
    return [int(code) for code in found.codes]


@pytest.mark.parametrize(
    "values", [["01", "1", "x"], ["1e3", "1000"], ["1_0", "10"], ["Infinity", "inf"], ["1", "True"]]
)
def test_names_that_are_the_same_number_stay_apart(values: list[str]) -> None:
    assert codes(values[::-1], values) == list(range(len(values)))[::-1]


@pytest.mark.parametrize(
    ("asked", "values"),
    [
        (["101", "7"], [101, 7]),
        ([101.0, 7.0], ["101", "7"]),
        ([101, 7], [101.0, 7.0]),
        ([True, False], ["1", "0"]),
    ],
)
def test_one_number_is_known_however_it_is_written(asked: list[Any], values: list[Any]) -> None:
    assert codes(asked, values) == [0, 1]


def test_what_is_left_out_is_no_category() -> None:
    assert codes([None, "no", np.nan, "nan"], ["nan", "no"]) == [-1, 1, -1, 0]


def test_numbers_are_not_guessed_where_names_are_the_same_number() -> None:
    with pytest.raises(ValueError, match=r"zip as one of the categories 01, 1, got 1\.0"):
        codes([1.0], ["01", "1"])
