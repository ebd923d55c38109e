"""How few confidences give each model away: the bars of equation solving, medians of three seeds.

Beside Tramèr et al. 2016, Tables 3 and 4 and Figure 7. A bar on uniform inputs holds on valid ones
and on the raw cube. Seconds are measured by benchmarks/solving.py.
"""

from collections.abc import Mapping

import numpy as np
import pytest
from shop import victim_of

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.defense import Defense
from moatbench.defenses.rounding import Rounding
from moatbench.runner.extract import Extraction

SEEDS = range(3)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("../shared/data"),
]


def stolen(
    family: str, data: str, queries: int, *knobs: str, decimals: int | None = None
) -> Mapping[str, float]:
    """Attack three victims; return the median of each metric."""
    runs = []
    for seed in SEEDS:
        defense = Defense() if decimals is None else Rounding(decimals)
        target = victim_of(family, data, *knobs, seed=seed)
        (point,) = Extraction(target, defense, EquationSolving(True), [queries], seed)
        runs.append(point.metrics)
    return {name: float(np.median([run[name] for run in runs])) for name in runs[0]}


def worst(metrics: Mapping[str, float], prefix: str) -> Mapping[str, float]:
    """Return the metric on test data, and the worse of those on uniform inputs."""
    values = {
        name.removeprefix(prefix): v for name, v in metrics.items() if name.startswith(prefix)
    }
    pick = max if prefix == "tv_" else min
    return {"test": values.pop("test"), "uniform": pick(values.values())}


def assert_exact(metrics: Mapping[str, float], tv: float) -> None:
    assert max(worst(metrics, "tv_").values()) < tv
    assert min(worst(metrics, "fidelity_").values()) == 1


@pytest.mark.parametrize(
    ("data", "d"),
    [
        ("circles", 2),
        ("moons", 2),
        ("diabetes", 8),
        ("breast_cancer_wisconsin", 9),
        ("breast_cancer", 30),
        ("german_credit", 61),
        ("adult_income", 108),
        ("mushrooms", 112),
    ],
)
def test_logistic_falls_to_one_query_an_unknown(data: str, d: int) -> None:
    """The paper: the same."""
    assert_exact(stolen("logistic", data, d + 1), 1e-9)


@pytest.mark.parametrize(
    ("data", "d"), [("adult_race", 105), ("digits", 64), ("gss", 102), ("iris", 4), ("steak", 40)]
)
def test_softmax_falls_to_one_query_a_column(data: str, d: int) -> None:
    """The paper: k (d + 1) queries, k times as many."""
    assert_exact(stolen("softmax", data, d + 1), 1e-9)


@pytest.mark.parametrize("queries", [140, 265])
def test_one_vs_rest_falls_to_a_quarter_of_the_papers_queries(queries: int) -> None:
    """The paper: 99.98 % at 265, 100 % at 530."""
    assert_exact(stolen("one_vs_rest", "adult_race", queries), 1e-9)


@pytest.mark.parametrize("queries", [900, 1112])
def test_a_tanh_network_falls_to_half_as_many_queries_as_it_has_unknowns(queries: int) -> None:
    """The paper: 98.17 / 94.32 at 1,112."""
    assert_exact(stolen("mlp", "adult_race", queries), 1e-9)


@pytest.mark.parametrize("activation", ["relu", "logistic"])
def test_networks_of_other_activations_fall_to_as_many_as_they_have_unknowns(
    activation: str,
) -> None:
    """The paper: 98.68 / 97.23 at 2,225."""
    assert_exact(stolen("mlp", "adult_race", 2225, f"victim.activation={activation}"), 1e-6)


@pytest.mark.parametrize(("data", "unknowns"), [("adult_race", 530), ("digits", 650), ("iris", 15)])
@pytest.mark.parametrize(
    ("decimals", "multiple", "test", "uniform"),
    [(3, 5, 0.999, 0.999), (2, 5, 0.998, 0.998), (1, 20, 0.998, 0.997)],
)
def test_rounding_protects_a_softmax_little(
    data: str, unknowns: int, decimals: int, multiple: int, test: float, uniform: float
) -> None:
    """Figure 7, where two decimals protect well."""
    metrics = stolen("softmax", data, multiple * unknowns, decimals=decimals)
    found = worst(metrics, "fidelity_")
    assert found["test"] >= test
    assert found["uniform"] >= uniform


@pytest.mark.parametrize(("data", "queries"), [("adult_race", 10_600), ("digits", 13_000)])
def test_edges_of_one_decimal_are_equations(data: str, queries: int) -> None:
    assert_exact(stolen("softmax", data, queries, decimals=1), 1e-4)


@pytest.mark.parametrize("decimals", [2, 3])
@pytest.mark.parametrize(("data", "queries"), [("adult_race", 2650), ("digits", 3250)])
def test_rounding_protects_one_vs_rest_little(data: str, queries: int, decimals: int) -> None:
    found = worst(stolen("one_vs_rest", data, queries, decimals=decimals), "fidelity_")
    assert min(found.values()) >= 0.998


def test_one_decimal_of_a_logistic_is_solved_with_60_queries_an_unknown() -> None:
    assert_exact(stolen("logistic", "breast_cancer", 60 * 31, decimals=1), 1e-6)


def test_two_decimals_of_a_logistic_hide_nothing_from_20_queries_an_unknown() -> None:
    metrics = stolen("logistic", "breast_cancer", 20 * 31, decimals=2)
    assert worst(metrics, "fidelity_")["uniform"] >= 0.999
