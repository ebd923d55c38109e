"""Answers that are minimised in a known way: their steps, and what knowing them is worth."""

import numpy as np
import pytest
from shop import victim_of

from moatbench.attacks.equation_solving import EquationSolving, known_of
from moatbench.defense import Defense
from moatbench.defenses.binning import Binning
from moatbench.defenses.confidence_threshold import ConfidenceThreshold
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.significant_digits import SignificantDigits
from moatbench.defenses.top_k import TopK
from moatbench.reply import from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.grids import Bins, Decimals, Digits, Steps, bounds
from moatbench.solvers.pooled_odds import PooledOdds
from moatbench.solvers.withheld import Withheld
from moatbench.stack import Stack
from moatbench.types import Array
from moatbench.victim import Victim

SEEDS = range(3)
STEPS: list[tuple[Defense, Steps]] = [
    (Rounding(1), Decimals(1)),
    (Rounding(3), Decimals(3)),
    (Binning(2), Bins(2)),
    (Binning(7), Bins(7)),
    (SignificantDigits(1), Digits(1)),
    (SignificantDigits(3), Digits(3)),
]


def last(target: Victim, defense: Defense, queries: int, seed: int = 0) -> Checkpoint:
    """Attack with one checkpoint, and return it."""
    return next(iter(Extraction(target, defense, EquationSolving(True), [queries], seed)))


def answered(defense: Defense, p: Array) -> Array:
    """Return what a defense makes of probabilities."""
    outputs = defense.respond(np.zeros((len(p), 1)), from_outputs(p), "someone").outputs
    assert outputs is not None
    return outputs


@pytest.mark.parametrize(("defense", "grid"), STEPS)
def test_a_probability_lies_within_the_step_of_its_answer(defense: Defense, grid: Steps) -> None:
    p = 10 ** -np.random.default_rng(0).uniform(0, 6, (2000, 2))
    low, high = bounds(grid, answered(defense, p))
    assert (low <= p * (1 + 1e-12)).all()
    assert (p <= high * (1 + 1e-12)).all()


@pytest.mark.parametrize(("defense", "grid"), STEPS)
def test_where_a_step_ends_the_next_one_begins(defense: Defense, grid: Steps) -> None:
    p = 10 ** -np.random.default_rng(1).uniform(0.5, 4, (500, 2))
    steps = grid.steps(answered(defense, p))
    ends = grid.ends(steps)
    inside = ends < 1
    for shift, step in ((-1e-9, steps), (1e-9, steps + 1)):
        found = grid.steps(answered(defense, ends * (1 + shift)))
        np.testing.assert_array_equal(found[inside], step[inside])


def test_the_defense_tells_its_steps_in_a_stack_too() -> None:
    assert known_of(Stack({"a": TopK(2, False), "b": SignificantDigits(2)})).grid == Digits(2)
    assert known_of(Stack({"a": Binning(5)})).grid == Bins(5)


def test_the_largest_probability_alone_is_an_equation() -> None:
    p = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3]])
    odds = PooledOdds(np.where(p == p.max(axis=1, keepdims=True), p, 0.0))
    assert odds.equations == 2
    assert odds.value(np.log([[0.6, 0.15, 0.25], [0.4, 0.5, 0.1]]))[0] == pytest.approx(0)
    assert odds.value(np.log([[0.5, 0.4, 0.1], [0.2, 0.5, 0.3]]))[0] > 0.01


def test_a_withheld_row_costs_nothing_where_its_label_leads_and_is_unsure() -> None:
    withheld = Withheld(np.array([0]), 0.9, 1e-3)
    assert withheld.value(np.log([[0.6, 0.3, 0.1]]))[0] == pytest.approx(0, abs=1e-12)
    assert withheld.value(np.log([[0.95, 0.03, 0.02]]))[0] == pytest.approx(np.log(0.95 / 0.9))
    assert withheld.value(np.log([[0.3, 0.6, 0.1]]))[0] == pytest.approx(np.log(2.0))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    "defense", [Rounding(1), Rounding(2), Binning(3), SignificantDigits(1), SignificantDigits(2)]
)
def test_edges_of_any_steps_are_equations(defense: Defense, seed: int) -> None:
    target = victim_of("logistic", "breast_cancer", seed=seed)
    metrics = last(target, defense, 60 * 31, seed).metrics
    assert max(metrics["tv_test"], metrics["tv_uniform"]) < 1e-6
    assert metrics["fidelity_test"] == metrics["fidelity_uniform"] == 1


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("family", "data", "queries"), [("logistic", "breast_cancer", 620), ("softmax", "iris", 200)]
)
def test_two_decimals_hide_nothing_from_twenty_queries_an_unknown(
    family: str, data: str, queries: int, seed: int
) -> None:
    metrics = last(victim_of(family, data, seed=seed), Rounding(2), queries, seed).metrics
    assert metrics["fidelity_uniform"] >= 0.999


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest"])
@pytest.mark.parametrize(
    "defense", [Binning(3), SignificantDigits(1), TopK(1, False), ConfidenceThreshold(0.5, "entry")]
)
def test_other_families_are_solved_too(family: str, defense: Defense) -> None:
    assert last(victim_of(family, "iris"), defense, 600).metrics["tv_uniform"] < 1e-4


def test_twice_as_many_answers_as_unknowns_need_only_tell_the_top_class() -> None:
    point = last(victim_of("softmax", "iris"), TopK(1, False), 30)
    assert point.metrics["tv_uniform"] < 1e-9
    assert point.parameters["coef"].shape == (3, 4)


@pytest.mark.slow
def test_the_top_of_ten_classes_tells_all_of_them() -> None:
    assert last(victim_of("softmax", "digits"), TopK(1, False), 3250).metrics["tv_uniform"] < 1e-9


@pytest.mark.parametrize("scope", ["row", "entry"])
def test_withheld_confidences_are_labels_that_are_less_sure(scope: str) -> None:
    point = last(victim_of("softmax", "iris"), ConfidenceThreshold(0.9, scope), 40)
    assert point.note == "some answers withheld"
    assert point.metrics["fidelity_test"] >= 0.95
    assert point.metrics["tv_uniform"] < 0.1


def test_few_rows_that_are_told_are_enough_where_they_are_exact() -> None:
    point = last(victim_of("softmax", "digits"), ConfidenceThreshold(0.9, "row"), 650)
    assert point.note == "equations solved"
    assert point.metrics["tv_uniform"] < 1e-9
