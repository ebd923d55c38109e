"""Checks of knobs: one voice, and no value slips through."""

from collections.abc import Callable
from math import inf, nan
from typing import Any

import pytest

from moatbench.knobs import check_choice, check_flag, check_kind, check_number, check_whole


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: check_number("p: a", -1, 0), "p: a must be a number of at least 0, got -1"),
        (lambda: check_number("a", 0, 0, above=True), "a must be a number above 0, got 0"),
        (lambda: check_number("a", 2, 0, 1), "a must be a number from 0 to 1, got 2"),
        (lambda: check_number("a", 0, 0, 1, above=True), "above 0 and up to 1, got 0"),
        (lambda: check_number("a", 1, 0, 1, below=True), "from 0 to below 1, got 1"),
        (lambda: check_number("a", 0, 0, 1, above=True, below=True), "between 0 and 1, got 0"),
        (lambda: check_number("a", 1, 0, 1, above=True, below=True), "between 0 and 1, got 1"),
        (lambda: check_number("a", "x", 0, 1, other="auto"), "from 0 to 1, or auto, got 'x'"),
        (lambda: check_number("a", -1, 0, hint="; 0 is none"), "at least 0, got -1; 0 is none"),
        (lambda: check_whole("a", 0, 1), "a must be a whole number of at least 1, got 0"),
        (lambda: check_whole("a", 9, 1, 3, other="null"), "from 1 to 3, or null, got 9"),
        (lambda: check_choice("a", "x", ("b", "c")), "a must be b or c, got 'x'"),
        (lambda: check_choice("a", [], {"b": 1}, hint="; try b"), r"a must be b, got \[\]; try b"),
        (lambda: check_flag("a", "yes"), "a must be true or false, got 'yes'"),
        (lambda: check_kind("a", 1, Exception), "a must be an Exception, got 1"),
        (lambda: check_kind("a", 1, str, hint="; quote it"), "a must be a str, got 1; quote it"),
    ],
)
def test_a_message_says_what_is_allowed_what_came_and_what_to_do(
    check: Callable[[], None], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        check()


@pytest.mark.parametrize("value", [nan, inf, -inf, True, "1", None])
def test_only_a_finite_number_is_a_number(value: Any) -> None:
    with pytest.raises(ValueError, match="a must be a number"):
        check_number("a", value, 0)


@pytest.mark.parametrize("value", [1.0, True, "1", None])
def test_only_a_whole_number_is_one(value: Any) -> None:
    with pytest.raises(ValueError, match="a must be a whole number"):
        check_whole("a", value, 0)


def test_what_is_allowed_passes() -> None:
    check_number("a", 0, 0)
    check_number("a", 1.0, 0, 1)
    check_number("a", 0.5, 0, 1, above=True, below=True)
    check_whole("a", 3, 1, 3)
    check_choice("a", "b", ("b", "c"))
    check_flag("a", False)
    check_kind("a", "b", str)
