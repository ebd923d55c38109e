"""Reverse sigmoid and DCP, answer by answer: their branches as candidates."""

import numpy as np
import pytest
from scipy.special import softmax as softmax_of_scores
from shop import attack_of, victim_of

from moatbench.defense import Defense
from moatbench.defenses.dcp import DCP
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.runner.extract import extract
from moatbench.stack import Stack
from moatbench.types import Array

CLOSE = 1e-7
BUMPS = [
    ReverseSigmoid(0.8, 0.2, True),
    ReverseSigmoid(0.8, 0.2, False),
    ReverseSigmoid(1.0, 1.0, True),
    ReverseSigmoid(1.28, 1.0, False),
    DCP(1.0, 0.1, 1000.0, True),
    DCP(0.5, 0.1, 1000.0, True),
    DCP(1.5, 0.1, 1000.0, False),
]


def truths(k: int, n: int = 40) -> Array:
    """(n, k) answers: certain to the last bit, two alike, all alike, and any."""
    rng = np.random.default_rng(k)
    sharpness = rng.choice([0.5, 1.5, 6.0], size=(n, 1))
    found: Array = softmax_of_scores(rng.normal(size=(n, k)) * sharpness, axis=1)
    found[0], found[1] = np.eye(k)[0], np.eye(k)[:2].mean(axis=0)
    found[2] = 1 / k
    return found


def told(defense: Defense, true: Array) -> Reply:
    return defense.respond(true, Reply(true.argmax(axis=1).astype(np.int64), true), "alice")


def undone(defense: Defense, reply: Reply, guess: Array | None = None) -> Origins:
    inverse = inverse_of(defense)
    assert inverse is not None
    return inverse(Origins.of(reply), guess)


@pytest.mark.parametrize("k", [2, 3, 6])
@pytest.mark.parametrize("defense", BUMPS, ids=str)
def test_the_truth_is_among_the_origins_of_a_bump(defense: Defense, k: int) -> None:
    true = truths(k)
    assert undone(defense, told(defense, true)).holds(true, CLOSE).all()


@pytest.mark.parametrize("defense", BUMPS[:2] + BUMPS[4:5], ids=str)
def test_the_truth_is_among_the_origins_where_trees_vote_and_classes_tie(defense: Defense) -> None:
    true = np.random.default_rng(0).multinomial(20, np.full(6, 1 / 6), size=60) / 20
    assert (np.diff(np.sort(true, axis=1))[:, -1] == 0).mean() > 0.2
    assert undone(defense, told(defense, true)).holds(true, CLOSE).all()


@pytest.mark.parametrize("defense", BUMPS[:2] + BUMPS[4:5], ids=str)
def test_put_through_the_defense_each_origin_gives_what_was_told(defense: Defense) -> None:
    reply = told(defense, truths(4))
    found = undone(defense, reply)
    found = found.take(found.exact)
    again, outputs = told(defense, found.low).outputs, reply.outputs
    assert again is not None
    assert outputs is not None
    assert np.abs(again - outputs[found.rows]).max() < CLOSE


def test_of_three_classes_a_bump_leaves_four_origins_at_most_nearly_always() -> None:
    """Two of the three have two branches each."""
    defense = BUMPS[0]
    counts = undone(defense, told(defense, truths(3, 100))).counts[3:]
    assert np.median(counts) <= 4
    assert counts.min() >= 1


def test_answers_of_another_rule_have_no_origin() -> None:
    """Random ones; of few classes some may be told by chance."""
    outputs = np.random.default_rng(0).dirichlet(np.full(6, 0.5), size=20)
    reply = Reply(outputs.argmax(axis=1).astype(np.int64), outputs)
    assert (undone(BUMPS[0], reply).counts == 0).mean() > 0.9


@pytest.mark.parametrize("defense", [BUMPS[0], BUMPS[4]], ids=str)
def test_rounding_behind_a_bump_leaves_bounds(defense: Defense) -> None:
    true = truths(3)
    stack = Stack({"bump": defense, "rounding": Rounding(2)})
    found = undone(stack, told(stack, true))
    assert found.holds(true, CLOSE).all()
    assert np.median(found.high - found.low) < 0.5


def test_two_solutions_in_one_cell_of_the_grid_are_both_found() -> None:
    """Between the ends of a cell the sum of all falls to 1, and rises again."""
    weights = [111, 213, 6103, 214, 217, 27, 7, 2900, 140, 68]
    true = normalised(np.array([weights], float))
    assert undone(BUMPS[0], told(BUMPS[0], true)).holds(true, CLOSE).all()


@pytest.mark.parametrize(
    ("defense", "weights"),
    [
        (BUMPS[0], [14, 404, 3158, 350, 1172, 143, 84, 4212, 165, 299]),
        (BUMPS[4], [4, 192, 796, 357, 4930, 219, 181, 2936, 350, 34]),
        (BUMPS[4], [6, 168, 1839, 157, 2873, 195, 74, 4560, 65, 63]),
    ],
    ids=str,
)
def test_a_solution_where_the_sum_falls_does_not_hide_the_one_where_it_rises(
    defense: Defense, weights: list[int]
) -> None:
    """Both are in one cell of the grid: answers of gradient boosting on digits."""
    true = normalised(np.array([weights], float))
    assert undone(defense, told(defense, true)).holds(true, CLOSE).all()


@pytest.mark.slow
def test_of_many_classes_a_guess_says_which_branch() -> None:
    true = truths(20, 8)[3:]
    near = normalised(true * np.exp(np.random.default_rng(2).normal(size=true.shape) * 0.01))
    found = undone(BUMPS[0], told(BUMPS[0], true), near)
    assert found.holds(true, CLOSE).mean() > 0.8
    assert undone(BUMPS[0], told(BUMPS[0], true)).holds(true, CLOSE).all()


def test_a_softmax_regression_is_exact_through_reverse_sigmoid() -> None:
    victim, defense = victim_of("softmax", "iris"), BUMPS[0]
    (point,) = extract(victim, defense, attack_of("inversion"), checkpoints=[100])
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-6


@pytest.mark.slow
@pytest.mark.parametrize(("defense", "queries"), [(BUMPS[0], 325), (BUMPS[4], 650)], ids=str)
def test_of_ten_classes_a_model_tells_which_of_some_hundred_origins(
    defense: Defense, queries: int
) -> None:
    """Origins are chosen, and the model fitted to them, from a fit to the labels on."""
    victim = victim_of("softmax", "digits")
    (point,) = extract(victim, defense, attack_of("inversion"), checkpoints=[queries])
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < CLOSE
