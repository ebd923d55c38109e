"""Names that MLflow does not take are made such that it does, and are told."""

import json
from typing import Any

import pytest
from mlflow.utils import validation

from moatbench.tracking.keys import renamed, taken

STRANGE = ["50%", "a<b", "x" * 400, "y" * 399 + "z", "a:b", "/a", "a//b", "..", ".", "", "a/../b"]


@pytest.mark.parametrize("name", STRANGE)
def test_mlflow_takes_every_name(name: str) -> None:
    check: Any = validation
    check._validate_metric_name(taken(name))
    check._validate_param(taken(name), "1")


def test_what_it_takes_stays_and_no_two_become_one() -> None:
    usual = ["fidelity_test", "summary/area", "pool/fidelity_test", "gr\u00fcn", "a b-c.d"]
    assert [taken(name) for name in usual] == usual
    names = [*usual, *STRANGE, "50_x25_", "x" * 401]
    assert len({taken(name) for name in names}) == len(names)


def test_the_names_that_were_changed_are_told() -> None:
    assert json.loads(renamed(["fine", "50%"])) == {"50_x25_": "50%"}
    assert renamed(["fine"]) == ""
