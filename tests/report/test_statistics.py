"""Intervals and paired tests, against textbook values and by brute force."""

from itertools import product
from math import inf, isnan, nan

import numpy as np
import pytest

from moatbench.report.measure.statistics import (
    holm,
    least_p,
    median,
    paired,
    rank_biserial,
    t_interval,
)


def test_the_interval_is_students() -> None:
    # t quantile for 2 degrees of freedom is 4.3027 (any table), the standard error 1/sqrt(3)
    mean, low, high, n = t_interval([1.0, 2.0, 3.0])
    assert (mean, n) == (2.0, 3)
    assert low == pytest.approx(2 - 4.3027 / 3**0.5, abs=1e-4)
    assert high == pytest.approx(2 + 4.3027 / 3**0.5, abs=1e-4)


def test_the_interval_covers_its_share_of_true_means() -> None:
    rng = np.random.default_rng(0)
    draws = [t_interval(rng.normal(3.0, 2.0, size=5)) for _ in range(1000)]
    covered = np.mean([i.low <= 3.0 <= i.high for i in draws])
    assert 0.93 <= covered <= 0.97


def test_one_seed_has_no_interval() -> None:
    mean, low, high, n = t_interval([0.7])
    assert (mean, n) == (0.7, 1)
    assert isnan(low)
    assert isnan(high)


def test_what_was_not_measured_is_left_out() -> None:
    assert t_interval([0.5, nan, 0.7]).n == 2
    assert t_interval([nan]).n == 0


def test_the_interval_of_a_share_ends_where_the_scale_does() -> None:
    interval = t_interval([0.99, 1.0, 0.9], 0.0, 1.0)
    assert interval.high == 1.0
    assert 0 < interval.low < 0.9


@pytest.mark.parametrize("n", [2, 3, 5, 8])
def test_p_cannot_go_below_one_over_two_to_the_pairs_less_one(n: int) -> None:
    everything_favours_a = np.arange(1.0, n + 1)
    result = paired(everything_favours_a, np.zeros(n))
    assert result.p == pytest.approx(0.5 ** (n - 1))
    assert result.floor == least_p(n) == 0.5 ** (n - 1)


def test_p_is_that_of_all_sign_flips() -> None:
    differences = np.random.default_rng(1).normal(0.4, 1.0, size=7)
    flips = np.array(list(product([-1, 1], repeat=7)))
    means = np.abs((flips * differences).mean(axis=1))
    by_hand = np.mean(means >= abs(differences.mean()) - 1e-12)
    assert paired(differences, np.zeros(7)).p == pytest.approx(by_hand)


def test_many_pairs_draw_their_flips_and_never_reach_zero() -> None:
    result = paired(np.linspace(1, 2, 30), np.zeros(30))
    assert result.p == pytest.approx(2e-4)
    assert result.floor == pytest.approx(2e-4)


def test_without_differences_nothing_is_shown() -> None:
    result = paired([0.5, 0.6, 0.7], [0.5, 0.6, 0.7])
    assert (result.p, result.effect, result.difference.mean) == (1.0, 0.0, 0.0)


def test_a_pair_that_lacks_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match="without NaN"):
        paired([0.5, nan], [0.5, 0.6])


@pytest.mark.parametrize(
    ("differences", "effect"),
    [([1, 2, 3], 1.0), ([-1, -2], -1.0), ([1, 2, -3], 0.0), ([0, 5, -1], 1 / 3)],
)
def test_the_effect_is_favourable_less_unfavourable_ranks(
    differences: list[float], effect: float
) -> None:
    assert rank_biserial(np.array(differences, dtype=float)) == pytest.approx(effect)


def test_holm_steps_down() -> None:
    # 3 * .01; max(.03, 2 * .03); max(.06, 1 * .04)
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(
    ("values", "middle"),
    [([3.0, inf, 1.0], 3.0), ([1.0, inf, inf], inf), ([2.0, 4.0], 3.0), ([2.0, inf], inf)],
)
def test_the_median_bears_censored_values(values: list[float], middle: float) -> None:
    assert median(values) == middle


def test_the_median_of_nothing_is_unknown() -> None:
    assert isnan(median([]))
    assert isnan(median([1.0, nan]))
