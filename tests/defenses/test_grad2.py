"""GRAD^2: the steering of the gradient, against torch and a general solver."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import linprog
from shop import fresh, refuses_what_it_cannot_train_on

from moatbench.defense import Defense
from moatbench.defenses.grad2 import LEAD, GradientRedirection, redirected
from moatbench.defenses.rounding import Rounding
from moatbench.models.perceptron import Perceptron
from moatbench.reply import Reply, from_outputs
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Victim

NAN = float("nan")
PLAIN = GradientRedirection(1.0, False, "signs", 16, 50)
GUARDED = replace(PLAIN, guard=True)


def drawn(k: int, n: int, seed: int = 0, spread: float = 0.5) -> Array:
    return np.random.default_rng(seed).dirichlet([spread] * k, n)


def weights(d: int, hidden: int, k: int, seed: int) -> Perceptron:
    rng = np.random.default_rng(seed)
    shapes = ((d, hidden), (hidden,), (hidden, k), (k,))
    return Perceptron(*(rng.normal(size=shape) for shape in shapes))


@pytest.mark.parametrize(
    "defense",
    [
        GUARDED,
        replace(PLAIN, direction="ones"),
        replace(PLAIN, epsilon=2.0),
        Stack({"grad2": GUARDED, "round": Rounding(2)}),
    ],
    ids=lambda d: f"{type(d).__name__}{getattr(d, 'guard', '')}",
)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


# The derivative


@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_slopes_are_those_of_forward_differentiation(k: int) -> None:
    at, z = weights(4, 6, k, seed=0), weights(4, 6, k, seed=1)
    x = np.random.default_rng(2).uniform(-1, 1, (7, 4))

    def log_p(*parts: torch.Tensor) -> torch.Tensor:
        first, shift, last, bias = parts
        scores = torch.tanh(torch.tensor(x) @ first + shift) @ last + bias
        return torch.log_softmax(scores, dim=1)

    primals, tangents = (tuple(torch.tensor(part) for part in w) for w in (at, z))
    values, expected = torch.func.jvp(log_p, primals, tangents)  # type: ignore[misc]
    assert_allclose(at.outputs(x), torch.exp(values).numpy(), rtol=1e-12)
    assert_allclose(at.slopes(x, z), expected.numpy(), atol=1e-12)


def test_ones_are_no_direction_for_the_last_layer_and_signs_are_one() -> None:
    at, x = weights(4, 6, 5, seed=0), np.random.default_rng(2).uniform(-1, 1, (7, 4))
    ones, signs = (at.toward(name, np.random.default_rng(3)) for name in ("ones", "signs"))
    still = {"first": np.zeros((4, 6)), "shift": np.zeros(6)}
    assert_allclose(at.slopes(x, ones._replace(**still)), 0, atol=1e-13)
    assert np.abs(at.slopes(x, signs._replace(**still))).min(axis=1).max() > 0.1
    assert np.abs(at.slopes(x, ones)).max(axis=1).min() > 0.05  # the first layer feels them
    assert set(np.abs(np.concatenate([part.ravel() for part in signs])).tolist()) == {1.0}


def test_a_step_on_the_answer_told_moves_further_along_the_target(toy: Victim) -> None:
    """What the defense is for: the attacker's gradient, not the closed form of it."""
    defense, x = fresh(PLAIN, toy), toy.shares.pool[:40]
    inputs = torch.tensor(toy.space.encode(x))
    parts = [torch.tensor(part, requires_grad=True) for part in defense.surrogate]
    reply = toy.predict(x)
    told = defense.respond(x, reply, "alice").outputs
    assert reply.outputs is not None
    assert told is not None

    def along(answer: Array) -> float:
        first, shift, last, bias = parts
        log_p = torch.log_softmax(torch.tanh(inputs @ first + shift) @ last + bias, dim=1)
        gained = torch.autograd.grad((torch.tensor(answer) * log_p).sum(), parts)
        return sum(
            float((g.numpy() * z).sum()) for g, z in zip(gained, defense.target, strict=True)
        )

    assert along(told) > along(reply.outputs) + 10


# The linear program


def best_value(y: Array, c: Array, epsilon: float) -> float:
    """The greatest y'.c, by a general solver, of y' = y + up - down."""
    k = len(y)
    found = linprog(
        np.concatenate([-c, c]),
        A_ub=np.ones((1, 2 * k)),
        b_ub=[epsilon],
        A_eq=np.repeat([[1.0, -1.0]], k, axis=1),
        b_eq=[0.0],
        bounds=[*[(0, None)] * k, *[(0, v) for v in y]],
    )
    assert found.success
    return float(y @ c - found.fun)


@pytest.mark.parametrize("epsilon", [0.05, 0.4, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("k", [2, 3, 4, 10, 40])
def test_the_greedy_answer_is_the_solver_s(k: int, epsilon: float) -> None:
    rng = np.random.default_rng(k)
    y = np.concatenate([drawn(k, 15), drawn(k, 5, seed=1, spread=0.05), np.eye(k)[:2]])
    c = rng.normal(size=y.shape)
    told = redirected(y, c, epsilon, guard=False)
    expected = [best_value(*row, epsilon) for row in zip(y, c, strict=True)]
    assert_allclose((told * c).sum(axis=1), expected, atol=1e-9)
    assert_allclose(told.sum(axis=1), 1, atol=1e-12)
    assert told.min() >= 0
    assert np.abs(told - y).sum(axis=1).max() <= epsilon + 1e-12


def test_the_greedy_answer_by_hand() -> None:
    # 0.3 moves onto class 2: first all of class 1, the cheapest, then 0.1 of class 3
    y, c = np.array([[0.4, 0.2, 0.1, 0.3]]), np.array([[0.0, -2.0, 5.0, -1.0]])
    assert_allclose(redirected(y, c, 0.6, guard=False), [[0.4, 0.0, 0.4, 0.2]], atol=1e-15)
    # No more than the 0.9 that the others have
    assert_allclose(redirected(y, c, 2.0, guard=False), [[0, 0, 1, 0]], atol=1e-15)


# The guard


@pytest.mark.parametrize("epsilon", [0.05, 0.4, 1.0, 2.0])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_the_guard_cuts_the_budget_to_the_largest_that_keeps_the_top_class(
    k: int, epsilon: float
) -> None:
    y, c = drawn(k, 25), np.random.default_rng(1).normal(size=(25, k))
    for true, slope, told in zip(y, c, redirected(y, c, epsilon, guard=True), strict=True):
        top = int(true.argmax())
        budgets = np.append(np.arange(0, epsilon, 0.01), epsilon)
        tries = np.concatenate(
            [redirected(true[None], slope[None], budget, False) for budget in budgets]
        )
        leads = tries[:, top] - np.delete(tries, top, axis=1).max(axis=1)
        kept = np.flatnonzero(leads >= LEAD)
        largest = budgets[kept[-1]] if len(kept) else 0.0
        assert np.abs(told - true).sum() == pytest.approx(
            np.abs(redirected(true[None], slope[None], largest, False) - true).sum(), abs=0.011
        )
        assert told.argmax() == top


def test_the_guard_by_hand() -> None:
    # Class 0 gives all that class 2 gains, until class 1, which gives nothing, would lead
    y, c = np.array([[0.4, 0.38, 0.22]]), np.array([[-1.0, 0.0, 1.0]])
    told = redirected(y, c, 1.0, guard=True)
    assert_allclose(told, [[0.38 + LEAD, 0.38, 0.24 - LEAD]], atol=1e-12)
    # Class 1 gives its 0.1 first, then the top class half of what is left of the lead
    told = redirected(np.array([[0.8, 0.1, 0.1]]), np.array([[0.0, -1.0, 1.0]]), 2.0, guard=True)
    assert_allclose(told, [[0.5 + LEAD / 2, 0.0, 0.5 - LEAD / 2]], atol=1e-12)


@pytest.mark.parametrize("epsilon", [1e-3, 0.5, 2.0])
def test_ties_and_certainty_keep_their_top_class(epsilon: float) -> None:
    y = np.concatenate([np.eye(3), [[0.5, 0.5, 0], [0.4, 0.4, 0.2], [0.2, 0.4, 0.4]]])
    for seed in range(20):
        c = np.random.default_rng(seed).normal(size=y.shape)
        told = redirected(y, c, epsilon, guard=True)
        assert np.array_equal(told.argmax(axis=1), y.argmax(axis=1))


def test_labels_stay_under_the_guard_and_follow_the_answer_without(toy: Victim) -> None:
    x = toy.space.sample(500, np.random.default_rng(1))
    truth = toy.predict(x)
    kept = fresh(GUARDED, toy).respond(x, truth, "alice")
    free = fresh(PLAIN, toy).respond(x, truth, "alice")
    assert kept.outputs is not None
    assert free.outputs is not None
    assert np.array_equal(kept.labels, truth.labels)
    assert np.array_equal(kept.outputs.argmax(axis=1), truth.labels)
    assert np.array_equal(free.outputs.argmax(axis=1), free.labels)
    assert np.mean(free.labels != truth.labels) > 0.3
    assert (GUARDED.traits.keeps_labels, PLAIN.traits.keeps_labels) == (True, False)


# Deployment


def test_the_surrogate_learns_the_victim_from_the_defender_s_data(toy: Victim) -> None:
    x = toy.shares.x_test
    surrogate = fresh(PLAIN, toy).surrogate
    found = surrogate.outputs(toy.space.encode(x)).argmax(axis=1)
    assert np.mean(found == toy.predict(x).labels) > 0.95


def test_another_deployment_steers_elsewhere(toy: Victim) -> None:
    x = toy.shares.x_test
    one, again, other = (fresh(PLAIN, toy, seed=seed) for seed in (0, 0, 1))
    told = [d.respond(x, toy.predict(x), "alice").outputs for d in (one, again, other)]
    assert np.array_equal(told[0], told[1])
    assert not np.array_equal(told[0], told[2])


def test_no_budget_answers_the_very_same_bits(toy: Victim) -> None:
    reply = from_outputs(drawn(3, 5))
    assert fresh(replace(PLAIN, epsilon=0), toy).respond(np.zeros((5, 4)), reply, "a") is reply


def test_a_row_without_outputs_stays_without(toy: Victim) -> None:
    outputs = np.array([[NAN] * 3, [0.45, 0.35, 0.2]])
    told = fresh(PLAIN, toy).respond(np.zeros((2, 4)), Reply(np.array([2, 0]), outputs), "a")
    assert told.outputs is not None
    assert np.isnan(told.outputs).any(axis=1).tolist() == [True, False]
    assert told.labels[0] == 2


def test_ten_thousand_answers_of_ten_classes_take_less_than_a_second(toy: Victim) -> None:
    defense, y = fresh(PLAIN, toy), drawn(10, 10_000)
    x = toy.space.sample(10_000, np.random.default_rng(0))
    defense.surrogate = weights(4, 32, 10, seed=0)
    defense.target = defense.surrogate.toward("signs", np.random.default_rng(0))
    start = time.process_time()
    defense.respond(x, from_outputs(y), "alice")
    assert time.process_time() - start < 1


# What it needs, and what it refuses


def test_a_victim_that_lacks_what_is_needed_is_told_at_once(toy: Victim) -> None:
    refuses_what_it_cannot_train_on(PLAIN, toy)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(PLAIN, epsilon=3), "epsilon must be a number from 0 to 2, got 3; 0 is no"),
        (lambda: replace(PLAIN, guard="no"), "guard must be true or false, got 'no'"),
        (lambda: replace(PLAIN, direction="up"), "direction must be signs or ones, got 'up'"),
        (lambda: replace(PLAIN, hidden=0), "hidden must be a whole number of at least 1, got 0"),
        (lambda: replace(PLAIN, steps=0.5), "steps must be a whole number of at least 1, got 0.5"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
