"""Rounding and noise on logarithms: what they tell of many classes, what attackers know of it."""

import numpy as np
import pytest
from shop import attack_of, composed, victim_of

from moatbench.compose.build import build_defense
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.reply import from_outputs
from moatbench.runner.extract import Extraction
from moatbench.solvers.grids import bounds, grid_of
from moatbench.types import Array

WIDE: Array = np.random.default_rng(0).dirichlet(np.full(500, 0.3), 20)


def test_logarithms_are_rounded_and_zero_stays() -> None:
    x, p = np.zeros((1, 2)), np.array([[0.7, 0.3, 0.0]])
    told = Rounding(0, "log").respond(x, from_outputs(p), "a").outputs
    assert told is not None
    assert told[0] == pytest.approx([1, np.exp(-1), 0])


def test_of_many_classes_logarithms_tell_more_than_probabilities() -> None:
    x = np.zeros((20, 2))
    plain, logs = (
        Rounding(1, s).respond(x, from_outputs(WIDE), "a") for s in ("probability", "log")
    )
    assert plain.outputs is not None
    assert logs.outputs is not None
    assert (plain.outputs > 0).mean() < 0.01
    seen = WIDE > 1e-9
    assert np.abs(np.log(logs.outputs[seen]) - np.log(WIDE[seen])).max() <= 0.05 + 1e-9
    traits = Rounding(1, "log").traits
    assert traits.answer_grid is not None
    low, high = bounds(grid_of(traits.answer_grid), logs.outputs)
    assert ((low <= WIDE + 1e-12) & (high + 1e-12 >= WIDE)).all()


@pytest.mark.parametrize("distribution", ["gaussian", "laplace"])
def test_noise_on_logarithms_is_as_wide_as_it_says(distribution: str) -> None:
    noise = Noise(distribution, 0.2, "fresh", 1e-6, "log")
    noise.deploy(victim_of("softmax", "iris"), np.random.default_rng(0))
    told = noise.respond(np.zeros((20, 4)), from_outputs(WIDE), "a").outputs
    assert told is not None
    assert told.sum(axis=1) == pytest.approx(np.ones(20))
    gap = np.log(told) - np.log(np.maximum(WIDE, 1e-300))
    assert (gap - gap.mean(axis=1, keepdims=True)).std() == pytest.approx(0.2, rel=0.05)
    law = noise.traits.noise
    assert law is not None
    assert law.distribution == "other"  # no sum of a probability and a draw


def test_a_word_that_is_no_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="rounding: scale must be probability or log"):
        Rounding(1, "logs")
    with pytest.raises(ValueError, match="noise: scale must be probability or log"):
        Noise("gaussian", 0.2, "fresh", 1e-6, "logs")


def test_equations_are_solved_through_rounded_logarithms() -> None:
    cfg = composed("defense=rounding", "defense.rounding.scale=log", "defense.rounding.decimals=1")
    victim, attack = victim_of("softmax", "iris"), attack_of("equation_solving")
    point = next(iter(Extraction(victim, build_defense(cfg.defense), attack, [60])))
    assert point.metrics["fidelity_uniform"] > 0.97
