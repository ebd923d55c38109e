"""A subgroup of customers is named in the data's own units."""

import numpy as np
import pytest

from moatbench.compose.subgroup import members
from moatbench.data import Column, Table

TABLE = Table(
    "people",
    (
        Column("age", np.array([18.0, 30.0, 64.5, 80.0])),
        Column("sex", np.array([0.0, 1.0, 0.0, 1.0]), ("Female", "Male")),
        Column("a:b", np.array([0.0, 0.0, 1.0, 1.0]), ("x:y", "no")),
    ),
    np.array([0, 1, 0, 1]),
    ("poor", "rich"),
)


@pytest.mark.parametrize(
    ("rule", "inside"),
    [
        ("sex:Female", [0, 2]),
        ("sex: Male", [1, 3]),
        ("age:30", [1]),
        ("age:30..64.5", [1, 2]),
        ("age:60..", [2, 3]),
        ("age:..30", [0, 1]),
        ("a:b:x:y", [0, 1]),
    ],
)
def test_a_rule_names_its_rows(rule: str, inside: list[int]) -> None:
    assert np.flatnonzero(members(rule, TABLE)).tolist() == inside


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("sex", "must be a column and a value, got 'sex'; write sex:Female"),
        ("sx:Male", r"must name a column of people, got 'sx:Male'; did you mean sex\?"),
        ("sex:F", "sex must be one of Female, Male, got 'F'"),
        ("age:old", "age holds numbers, got 'old'"),
        ("age:90..", "age runs from 18 to 80, and no row has '90..'"),
        ("age:nan", "no row has 'nan'"),
    ],
)
def test_a_rule_that_names_nobody_says_why(rule: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        members(rule, TABLE)
