"""Kernel logistic regression leaks the training rows that it is made of."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.defense import Defense
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.models.kernel_logistic import KernelLogistic
from moatbench.numerics.objectives import CrossEntropy, LogOdds, RoundedOdds
from moatbench.randomness import stream
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.kernel_logistic import kernel_logistic


def trained(representers: int, seed: int = 0) -> Victim:
    victim: Victim = kernel_logistic(bundled("digits"), stream(seed, "victim"), representers)
    return victim


def stolen(victim: Victim, queries: int, defense: Defense | None = None, seed: int = 0) -> Any:
    deployment = Deployment(victim, defense or Defense(), stream(seed, "defense"))
    api = MeteredAPI(deployment, [queries])
    attack = EquationSolving(intervals=True)
    return next(iter(attack.run(Target(api, victim.shares.pool[:0]), stream(seed, "attack"))))


def likeness(found: Array, rows: Array) -> Array:
    """Pixel correlations of recovered representers with distinct rows, matched one to one."""
    table = np.corrcoef(found, rows)[: len(found), len(found) :]
    matched: Array = table[linear_sum_assignment(-table)]
    return matched


@pytest.fixture(scope="module")
def small() -> Victim:
    return trained(4)


@pytest.fixture(scope="module")
def surrogate(small: Victim) -> Any:
    return stolen(small, 130)


def test_it_publishes_its_kernel_and_not_its_representers(small: Victim) -> None:
    x = small.shares.x_train
    gamma = 1 / (x.shape[1] * x.var())
    assert small.family == "kernel_logistic"
    assert small.architecture == {"kernel": "rbf", "gamma": gamma, "representers": 4}


def test_twenty_representers_read_digits() -> None:
    shares = (victim := trained(20)).shares
    assert (victim.predict(shares.x_test).labels == shares.y_test).mean() > 0.9


@pytest.mark.parametrize("batch", [1, 7, 64, 100])
def test_the_batch_size_does_not_change_one_bit(batch: int, small: Victim) -> None:
    x = small.space.sample(300, np.random.default_rng(1))
    parts = [small.predict(x[i : i + batch]).outputs for i in range(0, len(x), batch)]
    assert np.array_equal(np.concatenate(parts), small.predict(x).outputs)  # type: ignore[arg-type]


def test_gradients_are_those_of_finite_differences() -> None:
    rng = np.random.default_rng(0)
    model = KernelLogistic(rng.uniform(-1, 1, (30, 5)), 3, 0.3, 4)
    objective = CrossEntropy(rng.dirichlet(np.ones(3), 30))
    theta, way = rng.normal(size=4 * 5 + 5 * 3), rng.normal(size=4 * 5 + 5 * 3)

    def value(t: float) -> float:
        return objective.value(model.scores(theta + t * way))[0]

    gradient = model.gradient(theta, objective.value(model.scores(theta))[1])
    assert float(gradient @ way) == pytest.approx((value(1e-6) - value(-1e-6)) / 2e-6, rel=1e-6)


def test_130_answers_are_solved_for_four_training_images(small: Victim, surrogate: Any) -> None:
    assert surrogate.note == "equations solved"
    found = surrogate.parameters["representers"]
    assert likeness(found, small.shares.x_train).min() > 0.9999
    assert np.abs(found[:, None] - small.shares.x_train).max(axis=2).min(axis=1).max() < 1e-3


def test_the_solution_answers_as_the_victim_does(small: Victim, surrogate: Any) -> None:
    for x in (small.shares.x_test, small.space.sample(500, np.random.default_rng(0))):
        gap = np.abs(surrogate.predict(x).outputs - small.predict(x).outputs)
        assert 0.5 * gap.sum(axis=1).mean() < 1e-6


def test_too_few_answers_still_make_a_model(small: Victim) -> None:
    surrogate = stolen(small, 20)
    assert surrogate.note == "softmax on soft labels"
    assert not surrogate.parameters


@pytest.mark.parametrize(("decimals", "least"), [(5, 0.999), (3, 0.9)])
def test_rounding_blurs_the_representers(small: Victim, decimals: int, least: float) -> None:
    surrogate = stolen(small, 390, Rounding(decimals))
    assert surrogate.note == f"fit to {decimals} decimals"
    found = surrogate.parameters["representers"]
    assert likeness(found, small.shares.x_train).mean() > least
    x = small.space.sample(2000, np.random.default_rng(0))
    assert (surrogate.predict(x).labels == small.predict(x).labels).mean() > 0.98


def test_noise_leaves_a_linear_model(small: Victim) -> None:
    surrogate = stolen(small, 390, Noise("gaussian", 0.05, "fresh", 1e-6))
    assert surrogate.note == "softmax on soft labels"


@pytest.mark.parametrize("objective", ["weighted", "shared"])
def test_the_normal_matrix_is_that_of_finite_differences(objective: str) -> None:
    rng = np.random.default_rng(0)
    model = KernelLogistic(rng.uniform(-1, 1, (30, 3)), 3, 0.3, 2)
    answers, theta = rng.dirichlet(np.ones(3), 30).round(2), rng.normal(size=2 * 3 + 3 * 3)
    goal = RoundedOdds(answers, 0.005, 10.0) if objective == "weighted" else LogOdds(answers + 0.1)
    curvature = goal.curvature(model.scores(theta))
    steps = 1e-6 * np.eye(len(theta))
    slopes = [(model.scores(theta + s) - model.scores(theta - s)) / 2e-6 for s in steps]
    jacobian = np.stack(slopes, axis=-1)  # (n, k, unknowns)
    every = np.broadcast_to(curvature, (30, 3, 3))
    expected = np.einsum("nku,nkl,nlv->uv", jacobian, every, jacobian)
    found = model.normal(theta, curvature)
    np.testing.assert_allclose(np.triu(found), np.triu(expected), atol=1e-6)


def test_the_attack_names_what_is_not_published(small: Victim) -> None:
    silent = replace(small, architecture={"kernel": "rbf"})
    api = MeteredAPI(Deployment(silent, Defense(), stream(0, "d")), [1])
    reason = EquationSolving(intervals=True).unmet(Target(api, small.shares.pool))
    assert "gamma and the number of representers" in reason


@pytest.mark.parametrize(("knob", "value"), [("representers", 0), ("gamma", 0.0), ("C", -1.0)])
def test_bad_knobs_are_refused(knob: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"victim.{knob} must"):
        kernel_logistic(bundled("digits"), stream(0, "victim"), **{knob: value})


@pytest.mark.slow
def test_twenty_representers_are_recovered_from_650_queries() -> None:
    """Tramèr et al. 2016, Figure 2, show pictures only."""
    means = []
    for seed in range(3):
        victim = trained(20, seed)
        found = stolen(victim, 650, seed=seed).parameters["representers"]
        means.append(likeness(found, victim.shares.x_train).mean())
    assert np.median(means) > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("decimals", [3, 5])
def test_twenty_representers_show_through_rounding(decimals: int) -> None:
    victim = trained(20)
    found = stolen(victim, 2600, Rounding(decimals)).parameters["representers"]
    assert likeness(found, victim.shares.x_train).mean() > 0.9
