"""Fitting through a known defense: what it recovers, and where it says that it cannot."""

from dataclasses import dataclass

import numpy as np
import pytest

from moatbench.attacks.fit_through import FitThrough
from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.defenses.mad import MAD
from moatbench.defenses.modelguard_s import ModelGuardS
from moatbench.defenses.modelguard_w import ModelGuardW
from moatbench.defenses.noise import Noise
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, extract
from moatbench.solvers.through import Changed
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import logistic, one_vs_rest, softmax

PUBLISHED = ReverseSigmoid(beta=0.8, gamma=0.2, guard=True)


@dataclass
class Temperature(Defense):
    """The README's example of a defense of one's own."""

    power: float = 0.5

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        flat = reply.outputs**self.power
        return reply.with_outputs(flat / flat.sum(axis=1, keepdims=True))


def last(
    victim: Victim, defense: Defense, queries: int, seed: int = 0, knowledge: str = "exact"
) -> Checkpoint:
    attack = FitThrough(knowledge, "cube")
    (*_, point) = extract(victim, defense, attack, checkpoints=[queries], seed=seed)
    return point


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_reverse_sigmoid_hides_nothing_of_a_softmax_regression_at_five_queries_a_column(
    seed: int,
) -> None:
    victim = softmax(bundled("digits"), stream(seed, "victim"))
    point = last(victim, PUBLISHED, 5 * (victim.space.d + 1), seed)
    assert point.note == "every answer explained, through the defense"
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-6


@pytest.mark.parametrize("seed", [0, 1])
def test_it_hides_nothing_of_a_logistic_regression_at_two_queries_a_column(seed: int) -> None:
    victim = logistic(bundled("breast_cancer"), stream(seed, "victim"))
    point = last(victim, PUBLISHED, 2 * (victim.space.d + 1), seed)
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-6


@pytest.mark.parametrize("make", [softmax, one_vs_rest])
def test_a_defense_of_ones_own_is_seen_through_as_well(make: object) -> None:
    data: Dataset = bundled("iris")
    victim = make(data, stream(0, "victim"))  # type: ignore[operator]
    assert last(victim, Temperature(), 60).metrics["tv_uniform"] < 1e-6


def test_to_know_the_family_is_enough_where_the_knobs_are_in_use() -> None:
    victim = logistic(bundled("breast_cancer"), stream(0, "victim"))
    point = last(victim, ReverseSigmoid(0.32, 0.2, True), 155, knowledge="family")
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["tv_uniform"] < 1e-6


def test_the_parameters_are_the_victims() -> None:
    victim = logistic(bundled("breast_cancer"), stream(0, "victim"))
    recovered = last(victim, PUBLISHED, 155).parameters["coef"]
    a, b = np.zeros((2, 30))
    b[0] = 0.1
    odds = [np.log(p[1] / p[0]) for p in victim.predict(np.array([a, b])).outputs]
    assert recovered[0, 0] == pytest.approx((odds[1] - odds[0]) / 0.1, rel=1e-6)


def test_fewer_answers_than_unknowns_are_believed_to_be_labels() -> None:
    victim = logistic(bundled("breast_cancer"), stream(0, "victim"))
    assert last(victim, PUBLISHED, 31).note == "labels: too few answers"


@pytest.mark.parametrize(
    ("defense", "reason"),
    [
        (MAD(1.0, True), "inputs matter"),
        (ModelGuardW(1.0), "many true answers are told alike"),
    ],
)
def test_where_it_cannot_see_through_it_says_so_and_trains_on_labels(
    defense: Defense, reason: str, toy: Victim
) -> None:
    assert last(toy, defense, 60).note == f"labels: the copy of the defense: {reason}"


@pytest.mark.parametrize(
    ("defense", "reason"),
    [
        (Defense(), "nothing to see through"),
        (Rounding(2), "nothing to see through"),
        (ModelGuardS(1.0), "the past"),
        (Noise("gaussian", 0.1, "fresh", 1e-6), "chance"),
    ],
)
def test_where_it_does_not_apply_it_says_why(defense: Defense, reason: str, toy: Victim) -> None:
    with pytest.raises(NotApplicable, match=reason):
        last(toy, defense, 60)


def test_the_gradient_is_that_of_the_loss() -> None:
    rng = np.random.default_rng(0)
    scores, told = rng.normal(size=(5, 4)), rng.dirichlet(np.ones(4), 5)
    objective = Changed(lambda y: y**2 / (y**2).sum(axis=1, keepdims=True), told, 0.1)
    gradient, step = objective.value(scores)[1], 1e-5
    for row, column in np.ndindex(scores.shape):
        up, down = scores.copy(), scores.copy()
        up[row, column] += step
        down[row, column] -= step
        slope = (objective.value(up)[0] - objective.value(down)[0]) / (2 * step)
        assert gradient[row, column] == pytest.approx(slope, abs=1e-6)


def test_the_loss_is_square_near_and_linear_far_from_what_is_told() -> None:
    told = np.array([[0.5, 0.5]])
    near = Changed(lambda y: told + np.array([[1e-3, 0.0]]), told, 0.1).value(np.zeros((1, 2)))[0]
    far = Changed(lambda y: told + np.array([[1e3, 0.0]]), told, 0.1).value(np.zeros((1, 2)))[0]
    assert near == pytest.approx(0.5 * 1e-6, rel=1e-3)
    assert far == pytest.approx(0.1 * 1e3, rel=1e-3)
