"""Intervals over victims and attack seeds: against brute force, and by how often they cover."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from moatbench.report.measure.bootstrap import (
    clustered_interval,
    expanded_tail,
    mean_of_means,
    weights,
)
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.worst import over_seeds
from moatbench.report.select.records import Curve, Setting

Groups = list[list[float]]


def every_resample(groups: Groups) -> list[float]:
    """All hierarchical resamples of a small design, each as likely as any other."""
    inner = [[np.mean(pick) for pick in product(g, repeat=len(g))] for g in groups]
    assert len({len(i) for i in inner}) == 1, "equally likely only if all have as many seeds"
    slots = product(range(len(groups)), range(len(inner[0])))
    choices = [inner[victim][draw] for victim, draw in slots]
    return [float(np.mean(pick)) for pick in product(choices, repeat=len(groups))]


def test_resamples_have_the_law_of_all_that_there_are() -> None:
    """Three victims of two seeds: 12^3 = 1,728 equally likely resamples, counted by hand."""
    groups = [[0.1, 0.5], [0.2, 0.3], [0.9, 0.6]]
    exact = np.sort(every_resample(groups))
    drawn = np.sort(weights((2, 2, 2)) @ np.concatenate(groups))
    assert len(exact) == 12**3
    shares = [np.searchsorted(of, exact + 1e-9) / len(of) for of in (drawn, exact)]
    # Kolmogorov's bound, which 9,999 draws of the right law exceed once in a thousand times
    assert np.abs(shares[0] - shares[1]).max() < 1.95 / 9_999**0.5


def test_of_one_seed_each_it_is_the_bootstrap_over_victims() -> None:
    """Five victims: 5^5 = 3,125 resamples; the ends are those of their expanded tail."""
    values = [0.2, 0.5, 0.55, 0.7, 0.95]
    exact = np.sort([np.mean(pick) for pick in product(values, repeat=5)])
    interval = clustered_interval([[v] for v in values])
    at = int(expanded_tail(5) * len(exact))
    assert interval.low == pytest.approx(exact[at], abs=0.03)
    assert interval.high == pytest.approx(exact[-1 - at], abs=0.03)
    assert interval.mean == pytest.approx(np.mean(values))


def test_a_resamples_weights_are_of_a_mean_of_means() -> None:
    drawn = weights((1, 3, 2, 2, 1))
    assert drawn.min() == 0.0
    assert drawn.sum(axis=1) == pytest.approx(1.0)
    # Each victim as much as any other, whatever its seeds; within it, each seed
    assert drawn.mean(axis=0) == pytest.approx(
        [1 / 5, *[1 / 15] * 3, *[1 / 10] * 4, 1 / 5], abs=0.01
    )


def test_the_tail_is_students_behind_the_normal_distribution() -> None:
    """Of 5 victims t = 2.7764 (any table): Phi(-sqrt(5/4) 2.7764) = Phi(-3.1041) = 0.00095."""
    assert expanded_tail(5) == pytest.approx(0.00095, abs=1e-5)
    assert expanded_tail(1000) == pytest.approx(0.025, abs=2e-4)


def normal(victims: int, seeds: int, rng: np.random.Generator) -> Groups:
    """Values about 0, of victims as unlike each other as an attack's seeds are."""
    return [list(rng.normal() + rng.normal(size=seeds)) for _ in range(victims)]


@pytest.mark.parametrize(
    ("victims", "seeds", "least", "most"),
    [(3, 3, 0.93, 0.98), (4, 3, 0.92, 0.97), (5, 1, 0.91, 0.96), (5, 3, 0.95, 0.99),
     (10, 1, 0.93, 0.97), (10, 3, 0.95, 0.99)],
)  # fmt: skip
def test_it_covers_the_truth_about_as_often_as_it_says(
    victims: int, seeds: int, least: float, most: float
) -> None:
    rng = np.random.default_rng(1)
    drawn = [clustered_interval(normal(victims, seeds, rng)) for _ in range(1000)]
    assert least <= np.mean([i.low <= 0 <= i.high for i in drawn]) <= most


def test_seeds_of_one_victim_taken_for_independent_cover_too_little() -> None:
    """Why victims are the unit: Student's t over all 15 values covers 83 %, not 95."""
    rng = np.random.default_rng(1)
    drawn = [t_interval(np.concatenate(normal(5, 3, rng))) for _ in range(1000)]
    assert np.mean([i.low <= 0 <= i.high for i in drawn]) < 0.87


def test_plain_percentiles_of_five_victims_cover_too_little(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Why the percentiles are expanded: 2.5 and 97.5 % cover 85 %."""
    monkeypatch.setattr("moatbench.report.measure.bootstrap.expanded_tail", lambda victims: 0.025)
    rng = np.random.default_rng(1)
    drawn = [clustered_interval(normal(5, 1, rng)) for _ in range(1000)]
    assert np.mean([i.low <= 0 <= i.high for i in drawn]) < 0.89


def test_of_two_to_four_victims_it_is_students_over_their_means() -> None:
    groups = [[0.1, 0.3], [0.4], [0.5, 0.7, 0.6]]
    interval = clustered_interval(groups)
    assert interval[:3] == t_interval([0.2, 0.4, 0.6])[:3]
    assert interval.n == 6


def test_of_one_victim_it_is_students_over_its_seeds() -> None:
    assert clustered_interval([[0.1, 0.3, 0.4]]) == t_interval([0.1, 0.3, 0.4])


def test_what_was_not_measured_is_left_out() -> None:
    nan = float("nan")
    assert clustered_interval([[0.1, nan], [nan], [0.3]]).n == 2
    assert clustered_interval([[nan], []]).n == 0
    assert mean_of_means([[0.2, nan], [0.4, 0.6]]) == pytest.approx(0.35)
    assert np.isnan(mean_of_means([[nan]]))


def test_it_ends_where_the_scale_does() -> None:
    interval = clustered_interval([[0.99], [1.0], [0.2]], 0.0, 1.0)
    assert (interval.low, interval.high) == (0.0, 1.0)


def test_the_same_values_give_the_same_interval() -> None:
    groups = [[0.1, 0.2], [0.5, 0.1], [0.3, 0.3], [0.9, 0.4], [0.2, 0.2]]
    weights.cache_clear()
    first = clustered_interval(groups)
    weights.cache_clear()
    assert clustered_interval(groups) == first


def curve(seed: str, value: float) -> Curve:
    rows: list[dict[str, Any]] = [{"queries": 10, "fidelity_test": value}]
    return Curve(Setting("softmax", "iris"), "none", "a", seed, rows, None)  # type: ignore[arg-type]


def test_runs_of_one_victim_seed_are_one_victim() -> None:
    curves = [curve(f"{v}:{s}", v / 10 + s / 100) for v in (1, 2, 3) for s in (7, 8)]
    by_hand = t_interval([0.175, 0.275, 0.375])
    found = over_seeds(curves, "fidelity_test")
    assert found.mean == pytest.approx(by_hand.mean)
    assert found.low == pytest.approx(by_hand.low)
