"""Defenses that poison: MAD, ModelGuard, adaptive misinformation."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.optimize import approx_fprime, linprog
from shop import deployed, outputs_told

from moatbench.defense import Defense
from moatbench.defenses.adaptive_misinformation import AdaptiveMisinformation, avoidance
from moatbench.defenses.mad import MAD, objective, poisoned
from moatbench.defenses.modelguard_s import ModelGuardS
from moatbench.defenses.modelguard_w import FLOOR, LEAD, ModelGuardW, least_likely
from moatbench.defenses.rounding import Rounding
from moatbench.reply import Reply, from_outputs
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Victim

NAN = float("nan")
WRONG = AdaptiveMisinformation(0.7, 1000.0, 1000)
ALL: list[Defense] = [
    MAD(1.0, False),
    MAD(1.0, True),
    ModelGuardW(1.0),
    ModelGuardS(1.0),
    WRONG,
]
KEEPING = [MAD(1.0, True), ModelGuardW(1.0), ModelGuardS(1.0)]


def name(part: object) -> str:
    return f"{type(part).__name__}{getattr(part, 'guard', '')}"


def drawn(k: int, n: int, seed: int = 0, spread: float = 0.5) -> Array:
    return np.random.default_rng(seed).dirichlet([spread] * k, n)


@pytest.mark.parametrize(
    "defense",
    [
        MAD(2.0, False),
        AdaptiveMisinformation(0.5, 5.0, 50),
        Stack({"mad": MAD(1.0, True), "guard": ModelGuardW(0.5), "round": Rounding(2)}),
    ],
    ids=name,
)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


@pytest.mark.parametrize("defense", ALL, ids=name)
def test_a_row_without_outputs_stays_without(toy: Victim, defense: Defense) -> None:
    outputs = np.array([[NAN] * 3, [0.45, 0.35, 0.2]])
    told = deployed(defense, toy).respond(np.zeros((2, 4)), Reply(np.array([2, 0]), outputs), "a")
    assert told.outputs is not None
    assert np.isnan(told.outputs).any(axis=1).tolist() == [True, False]
    assert told.labels[0] == 2


@pytest.mark.parametrize("defense", ALL, ids=name)
def test_answers_sum_to_one(toy: Victim, defense: Defense) -> None:
    rng = np.random.default_rng(1)
    told = outputs_told(deployed(defense, toy), drawn(3, 500), toy.space.sample(500, rng))
    assert_allclose(told.sum(axis=1), 1, atol=1e-12)
    assert told.min() >= 0


@pytest.mark.parametrize("defense", ALL, ids=name)
def test_strength_zero_answers_the_very_same_bits(toy: Victim, defense: Defense) -> None:
    assert defense.harmless is not None
    weak = deployed(replace(defense, **defense.harmless), toy)  # type: ignore[type-var]
    reply = from_outputs(drawn(3, 5))
    assert weak.respond(np.zeros((5, 4)), reply, "alice") is reply


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.5, 1.0, 1.7, 2.0])
@pytest.mark.parametrize("defense", [*KEEPING, MAD(1.0, False)], ids=name)
def test_the_budget_is_never_exceeded(toy: Victim, defense: Defense, epsilon: float) -> None:
    y = np.concatenate([drawn(3, 150), drawn(3, 50, spread=0.02), np.eye(3), [[0.5, 0.5, 0.0]]])
    x = toy.space.sample(len(y), np.random.default_rng(1))
    told = outputs_told(deployed(replace(defense, epsilon=epsilon), toy), y, x)  # type: ignore[type-var]
    assert np.abs(told - y).sum(axis=1).max() <= epsilon + 1e-12
    assert np.abs(told - y).sum(axis=1).max() > 0.5 * min(epsilon, 1)  # and is made use of


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 1.0, 2.0])
@pytest.mark.parametrize("defense", KEEPING, ids=name)
def test_the_top_class_stays(toy: Victim, defense: Defense, epsilon: float) -> None:
    y = np.concatenate([drawn(3, 150), np.eye(3), [[0.5, 0.5, 0.0], [0.2, 0.4, 0.4]]])
    x = toy.space.sample(len(y), np.random.default_rng(1))
    told = outputs_told(deployed(replace(defense, epsilon=epsilon), toy), y, x)  # type: ignore[type-var]
    assert np.array_equal(told.argmax(axis=1), y.argmax(axis=1))
    assert defense.traits.keeps_labels


# MAD


def test_the_closed_form_is_the_gradient_of_the_last_layer() -> None:
    rng = np.random.default_rng(0)
    weights = torch.tensor(rng.normal(size=(4, 6)), requires_grad=True)
    features = torch.tensor(rng.normal(size=6))
    y, told = drawn(4, 1)[0], drawn(4, 1, seed=1)[0]

    def direction(target: Array) -> Array:
        loss = -(torch.tensor(target) * torch.log_softmax(weights @ features, 0)).sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        return np.asarray(gradient / gradient.norm())

    p = torch.softmax(weights @ features, 0).detach().numpy()
    expected = ((direction(told) - direction(y)) ** 2).sum()
    assert objective(y[None], p[None], told[None])[0] == pytest.approx(expected, rel=1e-10)


def turned(y: Array, p: Array, told: Array) -> float:
    """The objective, in plain arithmetic."""
    lengths = [math.sqrt(sum((p - v) ** 2)) for v in (told, y)]
    return float(sum(((p - told) / lengths[0] - (p - y) / lengths[1]) ** 2))


def vertices(k: int, top: int, guard: bool) -> list[Array]:
    """Every answer that the heuristic may go towards."""
    if not guard:
        return list(np.eye(k))
    others = [j for j in range(k) if j != top]
    found = []
    for chosen in chain.from_iterable(combinations(others, r) for r in range(k)):
        v = np.zeros(k)
        v[[top, *chosen]] = 1 / (1 + len(chosen))
        v[top] += 1e-5
        found.append(v / v.sum())
    return found


@pytest.mark.parametrize("guard", [True, False])
@pytest.mark.parametrize("k", [2, 3, 4, 7])
def test_mad_goes_towards_the_best_of_all_vertices(k: int, guard: bool) -> None:
    y, p, epsilon = drawn(k, 60), drawn(k, 60, seed=1, spread=5.0), 0.6
    for true, prior, told in zip(y, p, poisoned(y, p, epsilon, guard), strict=True):
        every = vertices(k, int(true.argmax()), guard)
        # Of two classes all vertices tie; the first, the smallest set, is taken
        scores = [round(turned(true, prior, v), 9) for v in every]
        best = every[int(np.argmax(scores))]
        share = min(1.0, epsilon / sum(abs(best - true)))
        assert_allclose(told, (1 - share) * true + share * best, atol=1e-12)


def test_mad_argmax_by_hand() -> None:
    # p is uniform and y leans to class 0: the gradient turns most towards class 0 with 1 or 2, but
    # {0} alone keeps its direction, and {0, 1, 2} is p itself but for the lead
    y, p = np.array([[0.6, 0.3, 0.1]]), np.full((1, 3), 1 / 3)
    told = poisoned(y, p, 0.2, True)[0]
    best = max(vertices(3, 0, True), key=lambda v: turned(y[0], p[0], v))
    assert_allclose(best, np.array([0.5 + 1e-5, 0, 0.5]) / (1 + 1e-5), atol=1e-12)
    assert_allclose(told - y[0], 0.2 * (best - y[0]) / np.abs(best - y[0]).sum(), atol=1e-12)


def test_beyond_ten_classes_the_set_grows_by_the_best_class() -> None:
    k = 12
    y, p = drawn(k, 20), drawn(k, 20, seed=1, spread=5.0)
    for true, prior, told in zip(y, p, poisoned(y, p, 2.0, True), strict=True):
        top = int(true.argmax())
        members, tries = [top], []
        while True:
            v = np.zeros(k)
            v[members] = 1 / len(members)
            v[top] += 1e-5
            tries.append(v / v.sum())
            rest = [j for j in range(k) if j not in members]
            if not rest:
                break

            def grown(j: int, members: list[int] = members, top: int = top) -> Array:
                v = np.zeros(k)
                v[[*members, j]] = 1 / (len(members) + 1)
                v[top] += 1e-5
                return np.asarray(v / v.sum())

            scores = [turned(true, prior, grown(j)) for j in rest]
            members = [*members, rest[int(np.argmax(scores))]]
        assert_allclose(told, max(tries, key=lambda v: turned(true, prior, v)), atol=1e-12)


@pytest.mark.parametrize("guard", [True, False])
def test_mad_turns_gradients_further_than_a_random_answer(guard: bool) -> None:
    y, p = drawn(5, 500), drawn(5, 500, seed=1, spread=50.0)
    told = poisoned(y, p, 1.0, guard)
    random = (y + 0.5 * (drawn(5, 500, seed=2) - y)).clip(0)
    assert objective(y, p, told).mean() > 1.5 * objective(y, p, random).mean()


def test_without_the_guard_the_label_is_the_new_top_class(toy: Victim) -> None:
    defense, y = deployed(MAD(1.0, False), toy), drawn(3, 300)
    reply = defense.respond(np.zeros((300, 4)), from_outputs(y), "alice")
    assert reply.outputs is not None
    assert np.array_equal(reply.labels, reply.outputs.argmax(axis=1))
    assert np.mean(reply.labels != y.argmax(axis=1)) > 0.1
    assert not defense.traits.keeps_labels


def test_the_surrogate_is_drawn_anew_at_each_deployment(toy: Victim) -> None:
    x = toy.space.sample(50, np.random.default_rng(1))
    one, two = MAD(1.0, True), MAD(1.0, True)
    deployed(one, toy, seed=0)
    deployed(two, toy, seed=1)
    assert_allclose(one.surrogate(x).sum(axis=1), 1, atol=1e-12)
    assert np.abs(one.surrogate(x) - two.surrogate(x)).max() > 0.05


# ModelGuard-W


def cheapest(y: Array, epsilon: float) -> float:
    """The least value over all vertices of the polytope, by solving for every one of them."""
    k, top = len(y), int(y.argmax())
    others = [j for j in range(k) if j != top]
    signs = np.array([[1 - 2 * (s >> j & 1) for j in range(k)] for s in range(2**k)], dtype=float)
    lead = np.eye(k)[others] - np.eye(k)[top]
    rows = np.vstack([-np.eye(k), lead, signs])  # rows @ y' <= right
    right = np.concatenate([np.zeros(k), np.full(k - 1, -LEAD), epsilon + signs @ y])
    picks = np.array(list(combinations(range(len(rows)), k - 1)))
    systems = np.concatenate([np.ones((len(picks), 1, k)), rows[picks]], axis=1)
    values = np.concatenate([np.ones((len(picks), 1)), right[picks]], axis=1)
    solvable = np.abs(np.linalg.det(systems)) > 1e-9
    points = np.linalg.solve(systems[solvable], values[solvable][:, :, None])[:, :, 0]
    inside = points[(points @ rows.T <= right + 1e-9).all(axis=1)]
    return float((inside @ np.log(y + FLOOR)).min())


@pytest.mark.parametrize("epsilon", [0.1, 0.5, 1.0, 1.6])
@pytest.mark.parametrize("k", [2, 3, 4])
def test_modelguard_w_is_the_best_of_all_vertices(k: int, epsilon: float) -> None:
    for y in [*drawn(k, 8), *drawn(k, 4, seed=1, spread=0.05), *drawn(k, 3, seed=2, spread=5.0)]:
        if np.diff(np.sort(y))[-1] < LEAD:
            continue
        told = least_likely(y, epsilon)
        assert told @ np.log(y + FLOOR) == pytest.approx(cheapest(y, epsilon), abs=1e-6)
        assert told[y.argmax()] - np.delete(told, y.argmax()).max() > LEAD - 1e-6


@pytest.mark.parametrize("epsilon", [0.25, 1.0])
def test_modelguard_w_is_the_best_of_ten_classes(epsilon: float) -> None:
    # The dual: what the budget (b), each lead (l) and the sum (s) are worth; nobody can do better
    for y in drawn(10, 20, spread=1.0):
        k, top, cost = 10, int(y.argmax()), np.log(y + FLOOR)
        others = np.delete(np.arange(k), top)
        lead = np.minimum(LEAD, y[top] - y[others])
        over = np.eye(k)[others] - np.eye(k)[top]
        moves = np.hstack([np.vstack([np.ones(k), over]), np.vstack([np.ones(k), -over])])
        limits = np.concatenate([[epsilon], y[top] - y[others] - lead])
        most = np.concatenate([np.ones(k), y])  # of each move
        found = linprog(
            np.concatenate([limits, most, [0.0]]),
            A_ub=-np.hstack([moves.T, np.eye(2 * k), np.repeat([1.0, -1.0], k)[:, None]]),
            b_ub=np.concatenate([cost, -cost]),
            bounds=[(0, None)] * (k + 2 * k) + [(None, None)],
        )
        assert (least_likely(y, epsilon) - y) @ cost == pytest.approx(-found.fun, abs=1e-6)


@pytest.mark.parametrize("epsilon", [1.0, 1.5])
def test_two_classes_under_a_large_budget_are_told_nothing_but_the_label(epsilon: float) -> None:
    # REFERENCE 1b
    for y in ([0.9, 0.1], [0.2, 0.8], [0.999, 0.001]):
        expected = np.where(np.array(y) > 0.5, 0.50005, 0.49995)
        assert_allclose(least_likely(np.array(y), epsilon), expected, atol=1e-7)


def test_modelguard_w_by_hand() -> None:
    # A quarter of the mass leaves the top class, whose logarithm is dearest, for the cheapest
    told = least_likely(np.array([0.7, 0.2, 0.1]), 0.5)
    assert_allclose(told, [0.45, 0.2, 0.35], atol=1e-7)


def test_a_near_tie_keeps_its_lead_and_no_more_is_asked() -> None:
    y = np.array([0.4 + 1e-6, 0.4, 0.2 - 1e-6])
    told = least_likely(y, 0.3)
    assert told.argmax() == 0
    assert np.abs(told - y).sum() > 0.1


def test_equal_answers_are_solved_once(toy: Victim) -> None:
    defense = ModelGuardW(1.0)
    deployed(defense, toy)
    y = np.repeat(drawn(3, 10), 20, axis=0)
    outputs_told(defense, y)
    assert (defense._solved.cache_info().misses, defense._solved.cache_info().hits) == (10, 190)


@pytest.mark.slow
def test_ten_thousand_answers_of_ten_classes_take_less_than_a_minute() -> None:
    start = time.process_time()
    for y in drawn(10, 10_000):
        least_likely(y, 1.0)
    assert time.process_time() - start < 60


# ModelGuard-S


def first_within(answers: Array, epsilon: float) -> Array:
    """The incremental quantiser, row after row."""
    lists: dict[int, list[Array]] = {}
    told = []
    for y in answers:
        known = lists.setdefault(int(np.argmax(y)), [])
        near = [c for c in known if sum(abs(c - y)) <= epsilon]
        if not near:
            known.append(y)
        told.append(near[0] if near else y)
    return np.array(told)


@pytest.mark.parametrize("epsilon", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("batch", [1, 17, 600])
def test_modelguard_s_tells_the_first_centroid_that_is_near(
    toy: Victim, epsilon: float, batch: int
) -> None:
    y, defense = drawn(3, 600), deployed(ModelGuardS(epsilon), toy)
    told = [outputs_told(defense, y[i : i + batch]) for i in range(0, len(y), batch)]
    assert np.array_equal(np.concatenate(told), first_within(y, epsilon))


def test_centroids_of_a_class_are_further_apart_than_epsilon(toy: Victim) -> None:
    defense = ModelGuardS(0.3)
    deployed(defense, toy)
    outputs_told(defense, drawn(3, 2000))
    for c, centroids in enumerate(defense.centroids):
        assert len(centroids) > 3
        assert (centroids.argmax(axis=1) == c).all()
        apart = np.abs(centroids[:, None] - centroids).sum(axis=2)
        assert apart[~np.eye(len(centroids), dtype=bool)].min() > 0.3


def test_one_list_serves_all_accounts_and_says_so(toy: Victim) -> None:
    defense, x = deployed(ModelGuardS(0.5), toy), np.zeros((1, 4))
    defense.respond(x, from_outputs(np.array([[0.6, 0.3, 0.1]])), "mallory")
    told = defense.respond(x, from_outputs(np.array([[0.5, 0.3, 0.2]])), "alice").outputs
    assert told is not None
    assert told.tolist() == [[0.6, 0.3, 0.1]]
    assert defense.traits.shared


# Adaptive misinformation


def test_the_gate_is_the_formula_of_the_paper(toy: Victim) -> None:
    y = np.array([[0.7, 0.2, 0.1], [0.75, 0.2, 0.05], [0.4, 0.35, 0.25]])
    gate = AdaptiveMisinformation(0.7, 10.0, 100).gate(y)
    assert_allclose(gate, [0.5, 1 / (1 + math.exp(0.5)), 1 / (1 + math.exp(-3))], rtol=1e-12)


def test_sure_answers_are_true_and_unsure_ones_are_the_wrong_model_s(toy: Victim) -> None:
    x = toy.space.sample(500, np.random.default_rng(1))
    y = toy.predict(x).outputs
    assert y is not None
    defense = replace(WRONG)
    deployed(defense, toy)
    told, sure = outputs_told(defense, y, x), y.max(axis=1)
    assert_allclose(told[sure > 0.75], y[sure > 0.75], atol=1e-12)
    assert_allclose(told[sure < 0.65], defense.wrong(x)[sure < 0.65], atol=1e-12)
    assert min((sure > 0.75).sum(), (sure < 0.65).sum()) > 20


def test_the_gradient_of_the_loss_is_right() -> None:
    rng = np.random.default_rng(0)
    x, labels, flat = rng.normal(size=(30, 2)), rng.integers(3, size=30), rng.normal(size=9)
    numeric = approx_fprime(flat, lambda v: avoidance(v, x, labels, 3)[0], 1e-7)
    assert_allclose(avoidance(flat, x, labels, 3)[1], numeric, atol=1e-5)


def test_the_wrong_model_avoids_the_label(toy: Victim) -> None:
    defense, x = replace(WRONG), toy.shares.x_test
    deployed(defense, toy)
    labels = toy.predict(x).labels
    wrong = defense.wrong(x)
    assert wrong[np.arange(len(x)), labels].mean() < 0.15  # chance is 1/3
    assert np.mean(wrong.argmax(axis=1) == labels) < 0.1


def test_the_wrong_model_is_trained_in_well_under_a_second(toy: Victim) -> None:
    start = time.process_time()
    deployed(replace(WRONG), toy)
    assert time.process_time() - start < 0.5


# What they need, and what they refuse


@pytest.mark.parametrize("defense", ALL, ids=name)
def test_labels_alone_cannot_be_poisoned(toy: Victim, defense: Defense) -> None:
    victim = Victim(toy.shares, lambda x: Reply(toy.predict(x).labels))
    with pytest.raises(ValueError, match="this victim answers labels only"):
        deployed(defense, victim)


@pytest.mark.parametrize("defense", ALL, ids=name)
def test_partial_distributions_cannot_be_poisoned(toy: Victim, defense: Defense) -> None:
    with pytest.raises(ValueError, match="needs whole distributions"):
        deployed(defense, replace(toy, full=False))


def test_misinformation_needs_training_rows(toy: Victim) -> None:
    shares = replace(toy.shares, x_train=np.zeros((0, 4)), y_train=np.zeros(0, dtype=np.int64))
    with pytest.raises(ValueError, match="this victim has 0 training rows"):
        deployed(replace(WRONG), replace(toy, shares=shares))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MAD(-0.1, True), "epsilon must be a number from 0 to 2, got -0.1; 0 is no"),
        (lambda: MAD(3, True), "epsilon must be a number from 0 to 2, got 3"),
        (lambda: MAD(1, "yes"), "guard must be true or false, got 'yes'"),
        (lambda: ModelGuardW(NAN), "modelguard_w: epsilon must be a number from 0 to 2, got nan"),
        (lambda: ModelGuardS(2.5), "modelguard_s: epsilon must be a number from 0 to 2, got 2.5"),
        (lambda: replace(WRONG, tau=1.1), "tau must be a number from 0 to 1, got 1.1"),
        (lambda: replace(WRONG, nu=0), "nu must be a number above 0, got 0; for example 1000"),
        (lambda: replace(WRONG, rows=1), "rows must be a whole number from 2 to 1000, got 1"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
