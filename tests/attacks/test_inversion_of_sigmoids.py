"""One-vs-rest regression, whose perturbed answers are put through the inverse of their defense."""

from dataclasses import replace

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.api import Deployment
from moatbench.client import Answers
from moatbench.defense import Defense
from moatbench.inverses.origins import Origins
from moatbench.inverses.sigmoids import sigmoid_guess
from moatbench.learners.published import smooth_learner
from moatbench.models.forward import one_vs_rest
from moatbench.models.linear import design
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, extract
from moatbench.victim import Victim

CLOSE = 1e-9


def last(data: str, defense: str, queries: int, seed: int = 0) -> Checkpoint:
    victim, attack = victim_of("one_vs_rest", data, seed=seed), attack_of("inversion")
    (point,) = extract(victim, defense_of(defense), attack, checkpoints=[queries], seed=seed)
    return point


@pytest.mark.parametrize(
    "defense", ["grad2", "mad", "mad_argmax", "shuffle", "reverse_sigmoid", "dcp"]
)
def test_no_perturbation_hides_anything_of_three_sigmoids(defense: str) -> None:
    point = last("iris", defense, 150)
    assert point.note.startswith("equations solved")
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < CLOSE


@pytest.mark.slow
@pytest.mark.parametrize(
    ("defense", "seed"),
    [
        ("grad2", 0),
        ("modelguard_w", 0),
        ("shuffle", 0),
        *(("reverse_sigmoid", seed) for seed in range(3)),
        *(("dcp", seed) for seed in range(3)),
    ],
)
def test_no_perturbation_hides_anything_of_ten_sigmoids(defense: str, seed: int) -> None:
    point = last("digits", defense, 1300, seed)
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < CLOSE


@pytest.mark.parametrize("error", [0.0, 0.1])
def test_a_guess_is_made_where_more_equations_stand_than_there_are_unknowns_alone(
    toy: Victim, error: float
) -> None:
    card = replace(Deployment(toy, Defense(), np.random.default_rng(0)).card(1.0), architecture={})
    learner, rng = smooth_learner("one_vs_rest", card), np.random.default_rng(1)
    x = toy.space.sample_cube(120, rng)
    w = rng.normal(size=(x.shape[1] + 1, learner.k)) * 2
    true = one_vs_rest(design(toy.space.encode(x)) @ w)
    told = normalised(true * np.exp(rng.normal(size=true.shape) * error))
    answers = Answers(x, np.arange(len(x)), told.argmax(axis=1), told, None)
    found = sigmoid_guess(learner, answers, Origins.of(Reply(answers.labels, told)))
    if error:
        assert found is None
    else:
        assert found is not None
        outputs = found(x).outputs
        assert outputs is not None
        np.testing.assert_allclose(outputs, true, atol=1e-6)
