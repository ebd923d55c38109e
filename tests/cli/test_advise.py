"""moatbench-advise: what it takes, and whom it puts on the ladder."""

import subprocess
import sys
from pathlib import Path

import pytest

from moatbench.cli.advise import queries, read
from moatbench.cli.options import BadOption
from moatbench.compose.build import options
from moatbench.sweep.ladder import (
    ANSWERS,
    BARE,
    NUMBERS,
    PICTURES,
    WORDS,
    doubling,
    monitors,
    stack,
)


def test_its_own_options_are_told_from_overrides() -> None:
    own, given = read(["data=iris", "budget=300", "seeds=2", "+victim.x=1", "~hydra.y"])
    assert own == {"budget": "300", "seeds": "2"}
    assert given == ("data=iris", "+victim.x=1", "~hydra.y")


@pytest.mark.parametrize(
    ("argument", "says"), [("seed=1", "seeds="), ("checkpoints=[5]", "budget=")]
)
def test_what_the_advice_chooses_cannot_be_given(argument: str, says: str) -> None:
    with pytest.raises(BadOption, match=says):
        read([argument])


def test_a_budget_is_queries_or_dollars() -> None:
    assert queries("500", 4, 1e-4) == 500
    assert queries("$0.5", 4, 1e-4) == 5000
    assert queries(None, 61, 1e-4) == 620


@pytest.mark.parametrize("budget", ["0", "ten", "$x", "$0.0001", "$nan", "$inf", "-5"])
def test_a_budget_that_is_none_is_refused(budget: str) -> None:
    with pytest.raises(BadOption, match="budget must"):
        queries(budget, 4, 1e-4)


def test_a_free_api_takes_no_budget_in_dollars() -> None:
    with pytest.raises(BadOption, match="budget must pay"):
        queries("$5", 4, 0.0)


def test_checkpoints_double_up_to_the_budget() -> None:
    assert doubling(320) == (10, 20, 40, 80, 160, 320)


def test_monitors_suit_the_inputs() -> None:
    assert monitors(3, 1, pictures=False) == ("quota", *WORDS)
    assert monitors(3, 2, pictures=False) == ("quota", *NUMBERS)
    assert monitors(4, 4, pictures=True) == ("quota", *PICTURES)


def test_the_best_that_watches_stands_before_the_best_that_answers() -> None:
    assert stack(["rounding", "prada", "quota"], ["quota", "prada"]) == ("prada", "rounding")
    assert stack(["rounding", "none"], ["quota"]) == ()


def test_all_that_is_on_the_ladder_is_in_conf(composed: object) -> None:
    assert {*BARE, *ANSWERS, *PICTURES, *NUMBERS, *WORDS} <= {*options("defense")}


def test_help_says_what_it_takes() -> None:
    command = Path(sys.executable).parent / "moatbench-advise"
    done = subprocess.run([command, "--help"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: moatbench-advise data=")
