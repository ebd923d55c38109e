"""Monitors of several accounts: what a thief asks from many in turn."""

from copy import deepcopy
from math import inf, log2
from typing import Any

import numpy as np
import pytest
from shop import by_hand, softmax_of

from moatbench.defenses.monitors.several_accounts import (
    SeveralAccounts,
    _Seen,
    covered,
    unlike_shares,
)
from moatbench.numerics.calibration import Calibration
from moatbench.types import Array
from moatbench.victim import Victim

LOOSE = Calibration(false_positives=0.1, horizon=60, accounts=19)


def several(statistic: str = "links", **knobs: Any) -> SeveralAccounts:
    own = {"cosine": 0.8, "running": 2, "joined": 3, "check_every": 10, "growth": 0.0}
    return SeveralAccounts(statistic, **(own | {"calibration": LOOSE} | knobs))


@pytest.fixture(scope="module")
def victim() -> Victim:
    """Customers are around the middle of eight features; four classes are its first two signs."""
    weights = np.zeros((8, 4))
    weights[0], weights[1] = [9, 9, -9, -9], [9, -9, 9, -9]
    x = 0.3 * np.random.default_rng(0).normal(size=(3000, 8)).clip(-3, 3)
    return by_hand(softmax_of(weights, np.zeros(4)), x, (1500, 1600), classes=tuple("abcd"))


def ask(monitor: SeveralAccounts, victim: Victim, x: Array, accounts: int) -> dict[str, bool]:
    """Ask the rows from so many accounts in turn; tell who is in alarm."""
    alarmed = {}
    for row, one in enumerate(x):
        name = f"account-{row % accounts}"
        alarmed[name] = bool(monitor.observe(one[None], victim.predict(one[None]).labels, name)[0])
    return alarmed


def thief(n: int) -> Array:
    """(n, 8) rows of a corner where no customer is, on both sides of the boundaries."""
    x = np.random.default_rng(1).uniform(-1, 1, size=(n, 8))
    x[:, 2:] = np.abs(x[:, 2:])
    return x


def test_a_thief_with_sixteen_accounts_is_seen_by_links_and_customers_are_not(
    victim: Victim,
) -> None:
    monitor = several()
    monitor.deploy(victim, np.random.default_rng(0))
    assert sum(ask(deepcopy(monitor), victim, thief(480), 16).values()) >= 12
    assert not any(ask(deepcopy(monitor), victim, thief(30), 1).values())  # alone, nothing is seen
    assert sum(ask(monitor, victim, victim.shares.x_test[:480], 16).values()) <= 3


def test_the_mixture_of_unlike_accounts_is_by_hand() -> None:
    assert unlike_shares(np.array([[4.0, 0], [0, 4]])) == pytest.approx(1.0)
    assert unlike_shares(np.array([[2.0, 2], [3, 3]])) == pytest.approx(0.0)
    each = -(0.25 * log2(0.25) + 0.75 * log2(0.75))
    assert unlike_shares(np.array([[1.0, 3], [3, 1]])) == pytest.approx(1 - each)


def test_boxes_of_a_region_are_covered_by_hand() -> None:
    region, seen = _Seen(2, 2, 0), _Seen(2, 2, 0)
    corners = np.array([[0.0, 0], [4, 2], [0, 0], [1, 1]])
    region.add(corners, np.array([0, 0, 1, 1]))  # boxes 4 by 2 and 1 by 1, of two rows each
    assert covered(region, seen.low, seen.high) == 0
    seen.add(np.array([[1.0, 1.0], [9.0, 2.0]]), np.array([0, 0]))
    assert covered(region, seen.low, seen.high) == pytest.approx((3 / 4 + 1 / 2) / 2 / 2)


def test_joined_boxes_cover_more_than_each(victim: Victim) -> None:
    monitor = several("boxes", running=1)
    monitor.deploy(victim, np.random.default_rng(0))
    x = victim.shares.x_test
    alone = monitor.peek(x[:20], victim.predict(x[:20]).labels, "b")[-1]
    monitor.score(x[20:60], victim.predict(x[20:60]).labels, "a")
    joined = monitor.peek(x[:20], victim.predict(x[:20]).labels, "b")[-1]
    assert -inf < alone < joined <= 1


@pytest.mark.parametrize("statistic", ["links", "boxes"])
def test_batches_make_no_difference_and_a_peek_leaves_no_trace(
    statistic: str, victim: Victim
) -> None:
    monitor = several(statistic)
    monitor.deploy(victim, np.random.default_rng(0))
    x = thief(90)
    labels, whole, parts = victim.predict(x).labels, deepcopy(monitor), deepcopy(monitor)
    expected = whole.score(x, labels, "a")
    found = []
    for start in range(0, 90, 7):
        part = slice(start, start + 7)
        parts.peek(x[::-1], labels[::-1], "a")
        found.append(parts.score(x[part], labels[part], "a"))
    np.testing.assert_allclose(np.concatenate(found), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"statistic": "all"}, "statistic must be links or boxes, got 'all'"),
        ({"cosine": 0.0}, "cosine must be a number above 0 and up to 1"),
        ({"joined": 0}, "joined must be a whole number of at least 1"),
        ({"growth": -1.0}, "growth must be a number of at least 0"),
    ],
)
def test_a_bad_knob_is_told(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        several(**({"statistic": "links"} | knobs))
