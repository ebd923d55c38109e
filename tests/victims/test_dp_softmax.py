"""A model whose training data stay private is stolen all the same."""

from collections.abc import Mapping
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.compose.archive import dump, load
from moatbench.defense import Defense
from moatbench.models.linear import design
from moatbench.models.private_descent import (
    clipped_gradient,
    noise_multiplier,
    private_softmax,
    spent,
)
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import LinearModel, dp_softmax, softmax


def made(data: str, **knobs: Any) -> Victim:
    victim: Victim = dp_softmax(bundled(data), stream(0, "victim"), **knobs)
    return victim


def accuracy(victim: Victim) -> float:
    shares = victim.shares
    return float((victim.predict(shares.x_test).labels == shares.y_test).mean())


def test_the_loss_of_100_steps_at_ten_times_the_sensitivity_is_as_by_hand() -> None:
    """A hundred times rho = 1 / (2 * 10^2) is 0.5; 0.5 + 2 sqrt(0.5 * 11.512925) = 5.298526."""
    assert spent(10.0, 100, 1e-5) == pytest.approx(5.298526, abs=1e-6)


def test_the_noise_for_one_step_at_epsilon_one_is_as_by_hand() -> None:
    """The root of rho is sqrt(11.512925 + 1) - sqrt(11.512925) = 0.1442912; 1 / (sqrt 2 * that)."""
    assert noise_multiplier(1.0, 1e-5, 1) == pytest.approx(4.900555, abs=1e-6)


@pytest.mark.parametrize("epsilon", [1e-6, 0.1, 1.0, 10.0, 1e6])
def test_noise_made_for_an_epsilon_spends_it(epsilon: float) -> None:
    assert spent(noise_multiplier(epsilon, 1e-5, 70), 70, 1e-5) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize("order", [1.5, 2.0, 8.0])
def test_one_step_has_the_renyi_divergence_that_is_accounted_for(order: float) -> None:
    """rho-zCDP: at each order, order * rho at most; for two Gaussians one apart, exactly that."""
    sigma = 1.7

    def density(z: float) -> float:
        logs = norm.logpdf(z, 1.0, sigma), norm.logpdf(z, 0.0, sigma)
        return exp(order * logs[0] + (1 - order) * logs[1])

    divergence = np.log(quad(density, -40, 60, points=[order])[0]) / (order - 1)
    assert divergence == pytest.approx(order / (2 * sigma**2), rel=1e-6)


@pytest.mark.parametrize("epsilon", [0.3, 1.0, 4.0])
def test_the_exact_loss_of_all_steps_is_no_more_than_is_promised(epsilon: float) -> None:
    """All steps are one Gaussian mechanism with mu = sqrt(steps) / multiplier.

    Its exact delta at epsilon: Balle and Wang 2018, arXiv:1805.06530, theorem 8. The accounts err
    on the safe side, by a factor of some hundreds here.
    """
    delta, steps = 1e-5, 100
    mu = sqrt(steps) / noise_multiplier(epsilon, delta, steps)
    exact = norm.cdf(mu / 2 - epsilon / mu) - exp(epsilon) * norm.cdf(-mu / 2 - epsilon / mu)
    assert delta / 2000 < exact <= delta


def test_no_row_moves_the_gradient_by_more_than_the_clip() -> None:
    rng = np.random.default_rng(0)
    moved = []
    for clip in (0.1, 1.0, 5.0):
        a, y = design(rng.uniform(-1, 1, (30, 6))), np.eye(4)[rng.integers(4, size=30)]
        for coef in (np.zeros((7, 4)), 20 * rng.normal(size=(7, 4))):
            whole = clipped_gradient(a, y, coef, clip)
            for row in range(30):
                rest = np.delete(np.arange(30), row)
                gap = whole - clipped_gradient(a[rest], y[rest], coef, clip)
                moved.append(np.linalg.norm(gap) / clip)
    assert max(moved) == pytest.approx(1.0, abs=1e-9)  # reached, by rows that are clipped
    assert min(moved) < 0.5


def test_a_row_that_is_not_clipped_gives_its_own_gradient() -> None:
    """Of one row the gradient is a (p - y); with p = (1/2, 1/2) and a = (3, 1), +-a / 2."""
    a, y = np.array([[3.0, 1.0]]), np.array([[1.0, 0.0]])
    np.testing.assert_allclose(
        clipped_gradient(a, y, np.zeros((2, 2)), 100.0), [[-1.5, 1.5], [-0.5, 0.5]]
    )


def test_the_noise_of_a_step_is_the_multiplier_times_the_clip() -> None:
    """One step from zero without rows that pull: n = 1, and the rest is noise."""
    knobs = {"clip": 2.0, "steps": 1, "rate": 1.0, "ridge": 0.0}
    x, y = np.zeros((1, 20_000)), np.array([[0.5, 0.5]])
    coef = private_softmax(x, y, np.random.default_rng(0), multiplier=3.0, **knobs)  # type: ignore[arg-type]
    assert coef.std() == pytest.approx(6.0, rel=0.02)


def test_without_noise_and_clipping_it_is_the_optimum() -> None:
    knobs = {"epsilon": 1e12, "clip": 1e3, "rate": 0.5, "steps": 5000}
    private, plain = made("iris", **knobs), softmax(bundled("iris"), stream(0, "victim"))
    x = private.space.sample(500, stream(1, "x"))
    gap = np.abs(private.predict(x).outputs - plain.predict(x).outputs)
    assert gap.max() < 1e-3


def test_a_large_epsilon_costs_little_accuracy_and_a_small_one_much() -> None:
    plain = accuracy(softmax(bundled("digits"), stream(0, "victim")))
    lost = [plain - accuracy(made("digits", epsilon=epsilon)) for epsilon in (0.05, 1.0, 100.0)]
    assert lost[2] < 0.03
    assert lost[2] < lost[1] < 0.2
    assert lost[0] > 0.5


@pytest.mark.parametrize(("data", "k"), [("iris", 3), ("breast_cancer", 2)])
def test_equation_solving_steals_it_exactly(data: str, k: int) -> None:
    """Tramèr et al. 2016, sec. 7: privacy of the training data does not prevent extraction."""
    victim = made(data)
    assert len(victim.classes) == k
    budget = 2 * (victim.space.d + 1)
    (point,) = Extraction(victim, Defense(), EquationSolving(intervals=True), [budget])
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-9


def test_the_card_tells_the_family_and_the_promise() -> None:
    victim = made("iris", epsilon=2.0)
    assert victim.family == "softmax"
    assert dict(victim.architecture) == {"epsilon": 2.0, "delta": 1e-5}


def test_it_can_be_kept_as_plain_data(tmp_path: Path) -> None:
    victim = made("iris")
    dump(victim.predict, tmp_path / "victim.npz")
    kept = load(tmp_path / "victim.npz")
    assert isinstance(kept, LinearModel)
    x = victim.shares.x_test
    np.testing.assert_array_equal(kept(x).outputs, victim.predict(x).outputs)


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"epsilon": 0.0}, "epsilon must be a number above 0, got 0.0"),
        ({"delta": 0.0}, "delta must be a number above 0 and up to 1, got 0.0"),
        ({"delta": 0.1}, "delta must be below one in 79, the number of training rows, got 0.1"),
        ({"clip": -1.0}, "clip must be a number above 0, got -1.0"),
        ({"steps": 0}, "steps must be a whole number of at least 1, got 0"),
        ({"rate": float("inf")}, "rate must be a number above 0, got inf"),
        ({"C": 0.0}, "C must be a number above 0, got 0.0"),
    ],
)
def test_a_bad_knob_is_refused(knobs: Mapping[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        made("iris", **knobs)
