"""Noise of a known law: its likelihood, and what an attacker who knows it gets."""

import numpy as np
import pytest
from shop import victim_of

from moatbench.attacks.equation_solving import EquationSolving, known_of
from moatbench.defense import Defense
from moatbench.defenses.noise import Noise
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.numerics.simplex import normalised
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.noise_likelihood import LAWS, Gaussian, Laplace, NoisyAnswers
from moatbench.stack import Stack
from moatbench.types import Array
from moatbench.victim import Victim

SEEDS = range(3)
DRAWS = 400_000


def curve(
    target: Victim, defense: Defense, checkpoints: list[int], seed: int = 0, noise: str = "known"
) -> list[Checkpoint]:
    """Attack, and return the points."""
    attack = EquationSolving(intervals=True, noise=noise)
    return list(Extraction(target, defense, attack, checkpoints, seed))


def noise(distribution: str, sigma: float, mode: str = "fresh") -> Noise:
    return Noise(distribution, sigma, mode, 1e-6)


def density(answer: list[float], p: list[float], law: str, sigma: float) -> float:
    """Return what the objective says of one answer to a row whose probabilities are p."""
    objective = NoisyAnswers(np.array([answer]), LAWS[law](sigma))
    return float(np.exp(-objective.value(np.log([p]))[0]))


def simulated(p: list[float], law: str, sigma: float) -> Array:
    """Draw many answers as the defense makes them."""
    rng, shape = np.random.default_rng(0), (DRAWS, len(p))
    draw = rng.normal(size=shape) if law == "gaussian" else rng.laplace(0, 0.5**0.5, shape)
    return normalised((np.array(p) + sigma * draw).clip(0, 1))


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
@pytest.mark.parametrize("p", [[0.93, 0.07], [0.8, 0.15, 0.05]])
def test_a_certain_answer_is_as_likely_as_it_is_frequent(law: str, p: list[float]) -> None:
    certain = [1.0] + [0.0] * (len(p) - 1)
    share = float((simulated(p, law, 0.1)[:, 0] == 1).mean())
    assert density(certain, p, law, 0.1) == pytest.approx(share, rel=0.02)


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
@pytest.mark.parametrize(("p", "at"), [(0.6, 0.55), (0.97, 0.93), (0.02, 0.1), (0.98, 0.97)])
def test_an_answer_between_is_as_likely_as_the_answers_around_it(
    law: str, p: float, at: float
) -> None:
    told, width = simulated([p, 1 - p], law, 0.1)[:, 0], 0.01
    share = float((np.abs(told - at) < width / 2).mean()) / width
    assert density([at, 1 - at], [p, 1 - p], law, 0.1) == pytest.approx(share, rel=0.05)


def test_an_answer_that_leaves_one_class_of_three_out_has_a_density_on_the_rest() -> None:
    p, width = [0.55, 0.4, 0.05], 0.02
    told = simulated(p, "gaussian", 0.1)
    near = (told[:, 2] == 0) & (np.abs(told[:, 0] - 0.6) < width / 2)
    found = density([0.6, 0.4, 0.0], p, "gaussian", 0.1)
    assert found == pytest.approx(float(near.mean()) / width, rel=0.05)


@pytest.mark.parametrize("law", [Gaussian(0.05), Laplace(0.05)])
def test_the_truth_is_the_likeliest_on_average(law: Gaussian | Laplace) -> None:
    name = "gaussian" if isinstance(law, Gaussian) else "laplace"
    told = simulated([0.9, 0.08, 0.02], name, 0.05)[:50_000]
    objective = NoisyAnswers(told, law)
    scores = np.tile(np.log([0.9, 0.08, 0.02]), (len(told), 1))
    slopes = objective.value(scores)[1] * len(told)
    assert np.abs(slopes.mean(axis=0) / (slopes.std(axis=0) / len(told) ** 0.5)).max() < 4


@pytest.mark.parametrize("law", ["gaussian", "laplace"])
@pytest.mark.parametrize("seed", SEEDS)
def test_noise_of_a_tenth_hides_little_of_a_logistic(law: str, seed: int) -> None:
    # A censored maximum-likelihood fit to uniform queries errs by .009 at 50 (d + 1) queries.
    target = victim_of("logistic", "breast_cancer", seed=seed)
    metrics = curve(target, noise(law, 0.1), [50 * 31], seed)[0].metrics
    assert metrics["tv_uniform"] < 0.003
    assert metrics["fidelity_test"] >= 0.99


def test_soft_labels_of_noisy_answers_are_biased_however_many() -> None:
    target, defense = victim_of("logistic", "breast_cancer"), noise("gaussian", 0.1)
    known, ignored = (
        curve(target, defense, [50 * 31], noise=how)[0].metrics["tv_uniform"]
        for how in ("known", "ignored")
    )
    assert known < 0.1 * ignored


@pytest.mark.parametrize("mode", ["fresh", "keyed"])
def test_noise_that_is_keyed_to_the_input_hides_no_more(mode: str) -> None:
    metrics = curve(victim_of("softmax", "iris"), noise("gaussian", 0.1, mode), [750])[0].metrics
    assert metrics["fidelity_uniform"] >= 0.98


def test_one_vs_rest_has_a_likelihood_too() -> None:
    target, defense = victim_of("one_vs_rest", "iris"), noise("gaussian", 0.05)
    known, ignored = (
        curve(target, defense, [3000], noise=how)[0].metrics["tv_uniform"]
        for how in ("known", "ignored")
    )
    assert known < 0.5 * ignored


def test_what_is_asked_does_not_depend_on_the_checkpoints() -> None:
    target, defense = victim_of("logistic", "breast_cancer"), noise("gaussian", 0.1)
    one, many = (curve(target, defense, c)[-1].metrics for c in ([620], [100, 333, 334, 620]))
    np.testing.assert_equal(one["tv_uniform"], many["tv_uniform"])


def test_noise_beside_another_perturbation_has_no_known_law() -> None:
    gaussian, other = noise("gaussian", 0.1), ReverseSigmoid(1.0, 0.2, True)
    assert known_of(gaussian).law == Gaussian(0.1)
    assert known_of(Stack({"a": gaussian, "b": Rounding(2)})).law == Gaussian(0.1)
    assert known_of(Stack({"a": other, "b": gaussian})).law is None
    assert known_of(Defense()) == (None, None)


def test_an_unknown_treatment_of_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="noise must be known or ignored, got 'maybe'"):
        EquationSolving(True, noise="maybe")
