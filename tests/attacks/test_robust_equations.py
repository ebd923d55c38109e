"""Perturbed answers, of which the equations that stand are solved without any knob."""

from dataclasses import replace

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.attack import Attack
from moatbench.attacks.robust_equations import RobustEquations
from moatbench.defense import Defense
from moatbench.defenses.grad2 import GradientRedirection
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.mad import MAD
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.inverses.agreement.certain import agreements
from moatbench.inverses.agreement.stated import Equations
from moatbench.models.forward import one_vs_rest, softmax
from moatbench.models.linear import design
from moatbench.runner.extract import Checkpoint, extract
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim

CLOSE = 1e-9
GRAD2 = GradientRedirection(0.5, False, "signs", 32, 50)


def last(victim: Victim, defense: Defense, attack: Attack, queries: int) -> Checkpoint:
    (*_, point) = extract(victim, defense, attack, checkpoints=[queries])
    return point


@pytest.mark.parametrize(
    ("defense", "queries"),
    [
        (MAD(1.0, False), 650),
        pytest.param(MAD(0.3, False), 650, marks=pytest.mark.slow),
        pytest.param(defense_of("modelguard_w"), 1300, marks=pytest.mark.slow),
        pytest.param(GRAD2, 1300, marks=pytest.mark.slow),
        (defense_of("dawn"), 650),
    ],
    ids=["mad", "mad, weaker", "modelguard_w", "grad2", "dawn"],
)
def test_what_stands_gives_the_model_away(defense: Defense, queries: int) -> None:
    point = last(victim_of("softmax", "digits"), defense, attack_of("robust_equations"), queries)
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < CLOSE
    assert "of the equations stand" in point.note


def test_the_lies_of_a_watermark_are_counted() -> None:
    defense = defense_of("dawn", "defense.dawn.share=0.05")
    point = last(
        victim_of("logistic", "breast_cancer"), defense, attack_of("robust_equations"), 200
    )
    assert "in 97.0% of the answers" in point.note  # of 200
    assert "; 6 of the answers are told with another label" in point.note


def test_of_two_models_that_answer_in_turn_the_customers_is_the_victim() -> None:
    """Adaptive misinformation: the other model explains more of the uniform answers."""
    defense = defense_of("adaptive_misinformation")
    for name in ("robust_equations", "equation_solving"):
        point = last(victim_of("softmax", "digits"), defense, attack_of(name), 650)
        assert "2 models answer in turn" in point.note
        assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
        assert point.metrics["tv_test"] < 1e-3


def test_the_parameters_are_the_victims() -> None:
    victim = victim_of("logistic", "breast_cancer")
    point = last(victim, defense_of("dawn"), attack_of("robust_equations"), 200)
    a, b = np.zeros((2, 30))
    b[0] = 0.1
    outputs = victim.predict(np.array([a, b])).outputs
    assert outputs is not None
    odds = [np.log(p[1] / p[0]) for p in outputs]
    assert point.parameters["coef"][0, 0] == pytest.approx((odds[1] - odds[0]) / 0.1, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defense", "queries"),
    [("mad", 325), ("dawn", 650), ("modelguard_w", 2600)],
)
def test_sigmoids_are_solved_for_with_the_offsets_of_the_rows(defense: str, queries: int) -> None:
    victim = victim_of("one_vs_rest", "digits")
    point = last(victim, defense_of(defense), attack_of("robust_equations"), queries)
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_test"] < CLOSE
    assert "of the equations stand" in point.note


@pytest.mark.parametrize("attack", ["robust_equations", "equation_solving"])
def test_of_two_models_the_customers_is_found_though_the_other_stands_nearly(attack: str) -> None:
    """It was the other one that was told: of sigmoids, with no test row right."""
    defense = defense_of("adaptive_misinformation")
    for seed in (0, 1, 2):
        victim = victim_of("one_vs_rest", "iris", seed=seed)
        (point,) = extract(victim, defense, attack_of(attack), checkpoints=[100], seed=seed)
        assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
        assert "of the equations stand" in point.note


@pytest.mark.slow
def test_a_shift_of_all_sigmoids_that_is_left_shrinks_from_search_to_search() -> None:
    victim = victim_of("one_vs_rest", "digits", seed=1)
    defense, attack = defense_of("adaptive_misinformation"), attack_of("robust_equations")
    (point,) = extract(victim, defense, attack, checkpoints=[650], seed=1)
    assert point.metrics["tv_uniform"] < CLOSE
    assert "of the equations stand" in point.note


def of_sigmoids(n: int, d: int, k: int) -> tuple[Array, Array, Array]:
    """Features (n, d + 1), weights, and what one-vs-rest regression says."""
    rng = np.random.default_rng(0)
    a = design(rng.uniform(-1, 1, (n, d)))
    w = rng.normal(size=(d + 1, k)) * 2 - np.eye(d + 1)[-1:].T
    return a, w, one_vs_rest(a @ w)


def test_a_class_that_is_raised_in_each_answer_leaves_the_odds_of_the_other_sigmoids() -> None:
    a, w, true = of_sigmoids(120, 4, 6)
    raised = np.random.default_rng(1).integers(6, size=120)
    told = 0.5 * true + 0.5 * np.eye(6)[raised]
    (one,) = agreements(Equations.of(a, told, sigmoids=True), told.argmax(axis=1), 6)
    assert one.exact
    np.testing.assert_allclose(one.w, w, atol=1e-6)
    assert one.stands.sum(axis=1).min() >= 5


def test_a_sigmoid_that_is_raised_most_of_the_time_is_found_by_the_others_offsets() -> None:
    rng = np.random.default_rng(0)
    a = design(rng.uniform(-1, 1, (200, 6)))
    w = rng.normal(size=(7, 8)) * 2 - 5 * np.eye(7)[-1:].T
    true = one_vs_rest(a @ w)
    large = true[:, 0] > np.quantile(true[:, 0], 0.4)
    raised = np.where(large, 0, rng.integers(8, size=200))
    told = 0.5 * true + 0.5 * np.eye(8)[raised]
    (one,) = agreements(Equations.of(a, told, sigmoids=True), told.argmax(axis=1), 8)
    assert one.exact
    np.testing.assert_allclose(one.w, w, atol=1e-6)
    np.testing.assert_array_equal(one.stands[:, 0], raised != 0)


def test_of_answers_that_stand_nearly_each_has_its_row_though_nothing_of_it_is_usable() -> None:
    a, _, true = of_sigmoids(120, 4, 6)
    told = true * np.exp(np.random.default_rng(1).normal(size=true.shape) * 3e-3)
    told[:3] = 0.0
    (one,) = agreements(Equations.of(a, told, sigmoids=True), true.argmax(axis=1), 6)
    assert not one.exact
    assert len(one.stands) == 120
    assert not one.stands[:3].any()


def test_noise_on_every_entry_leaves_no_sigmoid_standing() -> None:
    a, _, true = of_sigmoids(120, 4, 6)
    told = true * np.exp(np.random.default_rng(1).normal(size=true.shape) * 0.3)
    told /= told.sum(axis=1, keepdims=True)
    assert agreements(Equations.of(a, told, sigmoids=True), told.argmax(axis=1), 6) == []


def test_two_sigmoids_leave_one_odds_and_are_refused() -> None:
    victim = victim_of("one_vs_rest", "breast_cancer")
    with pytest.raises(NotApplicable, match="three classes or more"):
        last(victim, defense_of("mad"), attack_of("robust_equations"), 100)


def answers(n: int, d: int, k: int) -> tuple[Array, Array]:
    """Features (n, d + 1), and what some softmax regression says of them."""
    rng = np.random.default_rng(0)
    a = design(rng.uniform(-1, 1, (n, d)))
    return a, softmax(a @ rng.normal(size=(d + 1, k)))


def test_noise_on_every_entry_leaves_nothing_that_agrees() -> None:
    a, true = answers(200, 4, 5)
    told = true * np.exp(np.random.default_rng(1).normal(size=true.shape) * 0.1)
    assert agreements(Equations.of(a, told), told.argmax(axis=1), 5) == []


def test_a_class_that_is_raised_wherever_it_is_large_is_found_where_it_is_small() -> None:
    a, true = answers(300, 4, 5)
    told = true.copy()
    large = true[:, 0] > np.quantile(true[:, 0], 0.35)
    told[large, 0] += np.random.default_rng(1).uniform(0.1, 0.4, large.sum())
    (one,) = agreements(Equations.of(a, told), true.argmax(axis=1), 5)
    np.testing.assert_array_equal(one.stands[:, 0], ~large)
    assert one.stands[:, 1:].all()


def test_equations_that_do_not_stand_leave_the_labels() -> None:
    """Reverse sigmoid moves every entry."""
    victim = victim_of("softmax", "iris")
    point = last(victim, ReverseSigmoid(0.8, 0.2, True), attack_of("robust_equations"), 100)
    assert point.note == "labels: hardly any equation stands"


@pytest.mark.parametrize(
    ("defense", "reason"),
    [
        (Defense(), "nothing to see through"),
        (Rounding(2), "nothing to see through"),
        (LabelOnly(), "labels only"),
    ],
)
def test_where_it_does_not_apply_it_says_why(defense: Defense, reason: str, toy: Victim) -> None:
    with pytest.raises(NotApplicable, match=reason):
        last(toy, defense, attack_of("robust_equations"), 60)


def test_a_share_beyond_all_is_told() -> None:
    own = attack_of("robust_equations")
    assert isinstance(own, RobustEquations)
    with pytest.raises(ValueError, match="robust_equations: pool"):
        replace(own, pool=1.5)


def test_rows_that_do_not_span_the_inputs_certify_no_parameters() -> None:
    """Some pixels are black in all digits: what equations of such rows say of them is made up."""
    attack, victim = attack_of("robust_equations", "attack.pool=1"), victim_of("softmax", "digits")
    (point,) = extract(victim, defense_of("dawn"), attack, checkpoints=[650])
    assert "they leave directions open" in point.note
    assert not point.parameters
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["fidelity_uniform"] < 0.6
