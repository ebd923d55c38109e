"""Defenses that lie, count or cost: from reverse sigmoid to proof of work."""

import math
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import permutations, product

import numpy as np
import pytest
from numpy.testing import assert_allclose
from shop import deployed, outputs_told

from moatbench.api import Deployment, MeteredAPI
from moatbench.defense import Defense, evidence_of
from moatbench.defenses.bdpl import BDPL, truth_probability
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.quota import Quota
from moatbench.defenses.proof_of_work import ProofOfWork
from moatbench.defenses.refuse import Refuse
from moatbench.defenses.reverse_sigmoid import ReverseSigmoid
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.shuffle import Shuffle
from moatbench.defenses.throttle import Throttle
from moatbench.numerics import gnmax
from moatbench.reply import Reply, from_outputs
from moatbench.space import Categorical, InputSpace
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Shares, Victim

NAN = float("nan")
W, B = np.array([1.0, -2.0, 0.5, 0.0]), 0.1  # of the binary victim
WORK = ProofOfWork(teachers=20, sigma=2.0, delta=1e-5, base=1.01, queries=100)


@pytest.fixture
def binary() -> Victim:
    """A linear victim with four features and two classes, labels only."""
    x = np.random.default_rng(0).uniform(-1, 1, (400, 4))

    def predict(rows: Array) -> Reply:
        return Reply((rows @ W + B > 0).astype(np.int64))

    y = predict(x).labels
    shares = Shares(InputSpace.box(4), ("n", "y"), x[:200], y[:200], x[200:], x[:200], y[:200])
    return Victim(shares, predict)


def labels(defense: Defense, victim: Victim, x: Array) -> list[int]:
    told: list[int] = defense.respond(x, victim.predict(x), "alice").labels.tolist()
    return told


OF_CLASSES: list[Defense] = [
    ReverseSigmoid(1.0, 1.0, False),
    QueryMonitoring(Quota(100), Refuse()),
    QueryMonitoring(Quota(0), ReverseSigmoid(0.8, 0.2, False)),
    QueryMonitoring(Quota(50), Throttle(1.0)),
    Throttle(0.5),
    Stack({"work": WORK, "sigmoid": ReverseSigmoid(0.8, 0.2, True), "round": Rounding(2)}),
]


@pytest.mark.parametrize("defense", OF_CLASSES, ids=lambda d: type(d).__name__)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


@pytest.mark.parametrize("defense", [BDPL(0.1, 0.125, 1e-6), BDPL(4, 0.25, 0.1), BDPL(1, 0, 1)])
def test_the_contract_holds_on_two_classes(binary: Victim, defense: Defense) -> None:
    assert check_defense(binary, defense) == ""


# Reverse sigmoid


def bent(y: list[float], beta: float, gamma: float) -> list[float]:
    """The paper's formula, in plain arithmetic."""
    z = [math.log(p / (1 - p)) for p in y]
    rest = [p - beta * (1 / (1 + math.exp(-gamma * v)) - 0.5) for p, v in zip(y, z, strict=True)]
    rest = [max(v, 0.0) for v in rest]
    return [v / sum(rest) for v in rest]


@pytest.mark.parametrize(("beta", "gamma"), [(0.8, 0.2), (0.21, 0.2), (1.0, 0.1)])
def test_reverse_sigmoid_is_the_formula_of_the_paper(beta: float, gamma: float) -> None:
    y = [[0.7, 0.2, 0.1], [0.4, 0.35, 0.25], [0.98, 0.015, 0.005]]
    told = outputs_told(ReverseSigmoid(beta, gamma, True), np.array(y))
    assert_allclose(told, [bent(row, beta, gamma) for row in y], rtol=1e-13)


def test_reverse_sigmoid_of_a_half_by_hand() -> None:
    # logit(1/2) = 0: no bump. logit(1/4) = -log 3, and sigmoid(-log 3 / 2) = 1 / (1 + sqrt 3)
    bump = 0.8 * (0.5 - 1 / (1 + math.sqrt(3)))
    told = outputs_told(ReverseSigmoid(0.8, 0.5, True), np.array([[0.5, 0.25, 0.25]]))
    total = 1 + 2 * bump
    expected = [[0.5 / total, (0.25 + bump) / total, (0.25 + bump) / total]]
    assert_allclose(told, expected, rtol=1e-14)


def test_reverse_sigmoid_of_certainty_is_finite() -> None:
    told = outputs_told(ReverseSigmoid(0.8, 0.2, True), np.array([[1.0, 0.0, 0.0]]))
    assert_allclose(told, [bent([1 - 1e-9, 1e-9, 1e-9], 0.8, 0.2)], rtol=1e-6)


@pytest.mark.parametrize(("beta", "gamma", "share"), [(0.21, 0.2, 0.017), (0.8, 0.2, 0.075)])
def test_reverse_sigmoid_falls_near_0_and_1(beta: float, gamma: float, share: float) -> None:
    # One entry before it is normalised, the 2 * 10^4 steps of a fine grid
    y = np.linspace(0, 1, 20_001)[1:-1]
    weights = [p - beta * (1 / (1 + ((1 - p) / p) ** gamma) - 0.5) for p in y]
    assert np.mean(np.diff(weights) < 0) == pytest.approx(share, abs=0.001)
    tiny = outputs_told(ReverseSigmoid(beta, gamma, True), np.array([[0.6, 0.399, 0.001]]))
    tinier = outputs_told(ReverseSigmoid(beta, gamma, True), np.array([[0.6, 0.3999, 0.0001]]))
    assert tinier[0, 2] > tiny[0, 2]


def test_without_the_guard_one_answer_in_twenty_has_another_top_class() -> None:
    y = np.random.default_rng(0).dirichlet([0.5] * 10, 20_000)
    reply = ReverseSigmoid(0.8, 0.2, False).respond(np.zeros((len(y), 4)), from_outputs(y), "a")
    assert reply.outputs is not None
    assert np.array_equal(reply.labels, reply.outputs.argmax(axis=1))
    assert 0.03 < np.mean(reply.labels != y.argmax(axis=1)) < 0.08  # 4 to 7 %, REFERENCE 1b


@pytest.mark.parametrize(("beta", "gamma"), [(0.8, 0.2), (1.0, 1.2), (50.0, 3.0)])
def test_with_the_guard_the_top_class_stays(beta: float, gamma: float) -> None:
    y = np.random.default_rng(0).dirichlet([0.5] * 10, 5000)
    guarded, bare = ReverseSigmoid(beta, gamma, True), ReverseSigmoid(beta, gamma, False)
    told, free = outputs_told(guarded, y), outputs_told(bare, y)
    kept = free.argmax(axis=1) == y.argmax(axis=1)
    assert np.array_equal(told.argmax(axis=1), y.argmax(axis=1))
    assert np.array_equal(told[kept], free[kept])  # halved only where it must be
    assert (told[~kept] != y[~kept]).any(axis=1).all()
    assert guarded.traits.keeps_labels
    assert not bare.traits.keeps_labels


def test_the_guard_halves_beta_as_often_as_it_must() -> None:
    y = np.random.default_rng(0).dirichlet([0.5] * 10, 300)
    for row, told in zip(y, outputs_told(ReverseSigmoid(2.0, 1.0, True), y), strict=True):
        tries = [bent(row.tolist(), 2.0 * 0.5**h, 1.0) for h in range(30)]
        top = int(np.argmax(row))
        first = next(t for t in tries if t[top] > 1e-9 + max(np.delete(t, top)))
        assert_allclose(told, first, rtol=1e-9)


def test_the_guard_takes_no_lead_by_a_rounding_error() -> None:
    # beta = gamma = 1 makes every weight 1/2, whatever was answered; half of that does not
    y = np.array([[0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
    told = outputs_told(ReverseSigmoid(1.0, 1.0, True), y)
    assert_allclose(told, (y / 2 + 0.25) / 1.25, rtol=1e-12)


def test_a_table_of_pairs_undoes_two_thirds_of_it() -> None:
    # REFERENCE 1b: K = 3 at (0.8, 0.2), L1 0.285 raw, 0.099 recovered
    rng, defense = np.random.default_rng(0), ReverseSigmoid(0.8, 0.2, True)
    known, y = rng.dirichlet([0.5] * 3, 6000), rng.dirichlet([0.5] * 3, 2000)
    table, told = outputs_told(defense, known), outputs_told(defense, y)
    nearest = np.array([np.abs(table - row).sum(axis=1).argmin() for row in told])
    raw, recovered = (np.abs(a - y).sum(axis=1).mean() for a in (told, known[nearest]))
    assert raw == pytest.approx(0.285, abs=0.01)
    assert recovered < 0.12


def test_a_tie_keeps_its_first_class() -> None:
    told = outputs_told(ReverseSigmoid(5.0, 1.0, True), np.array([[0.5, 0.5, 0.0]]))
    assert told[0].argmax() == 0


def test_a_row_without_outputs_stays_without() -> None:
    outputs = np.array([[NAN] * 3, [0.7, 0.2, 0.1]])
    reply = Reply(np.array([2, 0]), outputs)
    for guard in (True, False):
        told = ReverseSigmoid(0.8, 0.2, guard).respond(np.zeros((2, 4)), reply, "alice")
        assert told.outputs is not None
        assert np.isnan(told.outputs).any(axis=1).tolist() == [True, False]
        assert told.labels.tolist() == [2, 0]


@pytest.mark.parametrize("defense", [ReverseSigmoid(0, 0.2, True), ReverseSigmoid(0.8, 0, True)])
def test_no_bump_answers_the_very_same_bits(defense: Defense) -> None:
    reply = from_outputs(np.array([[0.7, 0.2, 0.1]]))
    assert defense.respond(np.zeros((1, 4)), reply, "alice") is reply


# BDPL


@pytest.mark.parametrize(
    ("epsilon", "expected"), [(0.01, 0.535), (0.1, 0.612), (1, 0.840), (2, 0.936)]
)
def test_the_truth_is_told_with_the_probability_of_the_paper(
    epsilon: float, expected: float
) -> None:
    e = math.exp(epsilon)
    assert truth_probability(epsilon) == pytest.approx(expected, abs=5e-4)
    paper = 0.5 + math.sqrt(e**2 - 1) / (2 + 2 * e)
    assert truth_probability(epsilon) == pytest.approx(paper, rel=1e-12)


@pytest.mark.parametrize("epsilon", [0.01, 0.5, 2.0, 10.0])
def test_two_answers_in_the_zone_keep_epsilon_privacy_and_no_more(epsilon: float) -> None:
    p = truth_probability(epsilon)
    chance = {True: p, False: 1 - p}
    ratios = []
    for truths in product((0, 1), repeat=2):
        same = sum(
            chance[a == truths[0]] * chance[b == truths[1]]
            for a, b in product((0, 1), repeat=2)
            if a == b
        )
        ratios.append(max(same / (1 - same), (1 - same) / same))
    assert max(ratios) == pytest.approx(math.exp(epsilon), rel=1e-9)


def test_the_zone_of_a_linear_boundary_is_a_band(binary: Victim) -> None:
    defense = BDPL(1.0, 0.125, 1e-6)
    deployed(defense, binary)
    x = np.random.default_rng(1).uniform(-0.85, 0.85, (5000, 4))  # no corner leaves the box
    band = np.abs(x @ W + B) < 0.125 * np.abs(W).max()
    assert 0.05 < band.mean() < 0.3
    assert np.array_equal(defense.in_zone(x), band)


def test_outside_the_zone_the_truth_is_told(binary: Victim) -> None:
    x = binary.space.sample(3000, np.random.default_rng(1))
    defense = BDPL(0.01, 0.125, 1e-6)
    deployed(defense, binary)
    outside = ~defense.in_zone(x)
    truth = binary.predict(x[outside]).labels
    assert labels(defense, binary, x[outside]) == truth.tolist()


@pytest.mark.parametrize("epsilon", [0.01, 1.0, 2.0])
def test_inside_the_zone_the_coin_decides(binary: Victim, epsilon: float) -> None:
    x = binary.space.sample(20_000, np.random.default_rng(1))
    defense = BDPL(epsilon, 0.125, 1e-6)
    deployed(defense, binary)
    x = x[defense.in_zone(x)]
    kept = np.mean(np.array(labels(defense, binary, x)) == binary.predict(x).labels)
    spread = 0.5 / math.sqrt(len(x))
    assert kept == pytest.approx(truth_probability(epsilon), abs=4 * spread)


def test_a_repeat_is_told_the_same_and_another_key_another_thing(binary: Victim) -> None:
    x = binary.space.sample(5000, np.random.default_rng(1))
    defense = BDPL(0.01, 0.25, 1e-6)
    one, again = (labels(deployed(defense, binary), binary, x) for _ in range(2))
    assert one == again
    assert labels(deployed(defense, binary, seed=1), binary, x) != one


def test_two_neighbours_across_the_boundary_are_told_the_same(binary: Victim) -> None:
    """Otherwise bisection would be exact, coin or no coin."""
    defense = deployed(BDPL(0.01, 0.125, 0.01), binary)
    x = binary.space.sample(500, np.random.default_rng(1))
    x[:, 0] = -(x[:, 1:] @ W[1:] + B)  # on the boundary, since W[0] = 1
    x = np.round(x[np.abs(x[:, 0]) < 0.9], 2)  # the middle of a cell of side 0.01
    step = np.array([1e-3, 0, 0, 0])
    here, there = x + step, x - step
    crossed = binary.predict(here).labels != binary.predict(there).labels
    assert crossed.sum() > 30
    assert labels(defense, binary, here) == labels(defense, binary, there)


def test_many_neighbours_outvote_the_coin(binary: Victim) -> None:
    # 0.03 from the boundary, coins of 0.61 to 0.39 are thrown anew in each cell
    middle = np.array([-B + 0.03, 0, 0, 0])
    x = middle + np.random.default_rng(0).uniform(-5e-3, 5e-3, (2000, 4))
    told = labels(deployed(BDPL(0.1, 0.125, 1e-6), binary), binary, x)
    assert np.mean(told) == pytest.approx(truth_probability(0.1), abs=0.04)
    assert binary.predict(middle[None]).labels.tolist() == [1]


def test_no_zone_is_label_only(binary: Victim) -> None:
    x = binary.space.sample(500, np.random.default_rng(1))
    defense = deployed(BDPL(0.01, 0, 1e-6), binary)
    assert labels(defense, binary, x) == labels(LabelOnly(), binary, x)
    assert not defense.traits.confidences
    assert not defense.traits.keeps_labels


def test_bdpl_tells_no_confidence_and_no_path(binary: Victim) -> None:
    x = binary.space.sample(5, np.random.default_rng(1))
    truth = replace(binary.predict(x), outputs=np.full((5, 2), 0.5), path=np.zeros((5, 4)))
    reply = deployed(BDPL(1, 0.1, 1e-6), binary).respond(x, truth, "alice")
    assert reply.outputs is None
    assert reply.path is None


def test_bdpl_needs_two_classes_and_a_numeric_feature(toy: Victim, binary: Victim) -> None:
    with pytest.raises(ValueError, match="one of two labels, and this victim has 3 classes"):
        deployed(BDPL(1, 0.1, 1e-6), toy)
    space = InputSpace((Categorical("colour", ("red", "blue", "green", "grey")),))
    with pytest.raises(ValueError, match="along numeric features, and this victim has none"):
        deployed(BDPL(1, 0.1, 1e-6), replace(binary, shares=replace(binary.shares, space=space)))


# Shuffle


def test_a_shuffle_moves_all_but_the_label() -> None:
    outputs = np.random.default_rng(0).dirichlet([0.5] * 5, 1000)
    defense = Shuffle(1e-6)
    defense._key, defense._space = b"key", InputSpace.box(4)
    x = np.random.default_rng(1).uniform(size=(1000, 4))
    told, rows, top = outputs_told(defense, outputs, x), np.arange(1000), outputs.argmax(axis=1)
    assert np.array_equal(told[rows, top], outputs[rows, top])
    assert np.array_equal(np.sort(told, axis=1), np.sort(outputs, axis=1))
    assert 0.7 < np.mean((told != outputs).any(axis=1)) < 0.999  # 1 in 24 stays


def test_a_shuffle_draws_each_permutation_alike(toy: Victim) -> None:
    defense = deployed(Shuffle(1e-6), toy)
    outputs = np.tile([0.1, 0.6, 0.2, 0.1 / 3 * 2, 0.1 / 3], (24_000, 1))
    told = outputs_told(defense, outputs, toy.space.sample(24_000, np.random.default_rng(1)))
    others = np.delete(outputs[0], 1)
    counts = [
        np.all(np.delete(told, 1, axis=1) == np.array(order), axis=1).sum()
        for order in permutations(others)
    ]
    assert sum(counts) == 24_000
    assert sum((c - 1000) ** 2 / 1000 for c in counts) < 50  # chi-square, 23 degrees: p = 0.001


def test_a_shuffle_of_three_is_a_swap_or_not(toy: Victim) -> None:
    reply = toy.predict(toy.shares.x_test)
    told = deployed(Shuffle(1e-6), toy).respond(toy.shares.x_test, reply, "alice")
    assert reply.outputs is not None
    assert told.outputs is not None
    swapped = (told.outputs != reply.outputs).sum(axis=1)
    assert set(swapped.tolist()) == {0, 2}
    assert told.labels is reply.labels


def test_a_repeat_is_shuffled_alike_within_the_grid(toy: Victim) -> None:
    defense, x = deployed(Shuffle(0.125), toy), np.full((1, 4), 0.25)
    outputs = np.random.default_rng(0).dirichlet([1] * 8, 1)
    here = outputs_told(defense, outputs, x)
    assert np.array_equal(outputs_told(defense, outputs, x + 1e-3), here)
    far = [outputs_told(defense, outputs, x + 0.25 * step) for step in range(1, 4)]
    assert any(not np.array_equal(answer, here) for answer in far)


def test_a_row_without_outputs_stays_so_and_its_label_too(toy: Victim) -> None:
    reply = Reply(np.array([1]), np.full((1, 3), NAN))
    told = deployed(Shuffle(1e-6), toy).respond(np.zeros((1, 4)), reply, "alice")
    assert told.outputs is not None
    assert np.isnan(told.outputs).all()


# Quota and throttle


def test_the_quota_is_an_account_s_own_and_ends_never(toy: Victim) -> None:
    monitor, x = Quota(3), np.zeros((2, 4))
    monitor.deploy(toy, np.random.default_rng(0))
    none = np.zeros(2, dtype=np.int64)
    assert monitor.observe(x, none, "alice").tolist() == [False, False]
    assert monitor.observe(x, none, "bob").tolist() == [False, False]
    assert monitor.observe(x, none, "alice").tolist() == [False, True]
    assert monitor.observe(x, none, "alice").tolist() == [True, True]
    monitor.deploy(toy, np.random.default_rng(0))
    assert monitor.observe(x, none, "alice").tolist() == [False, False]


def test_a_quota_refuses_what_lies_beyond_it(toy: Victim) -> None:
    defense = QueryMonitoring(Quota(70), Refuse())
    api = MeteredAPI(Deployment(toy, defense, np.random.default_rng(0)), [200])
    for start in range(0, 120, 40):
        api.query(toy.shares.pool[start : start + 40])
    assert (api.queries, api.refused) == (120, 50)
    assert evidence_of(defense).alarms == {"adversary": 71}
    assert len(api.query(toy.shares.pool[:40], "another").rows) == 40


def test_a_throttle_makes_only_those_in_alarm_wait(toy: Victim) -> None:
    defense, x = deployed(QueryMonitoring(Quota(70), Throttle(2.0)), toy), toy.shares.pool[:80]
    assert defense.wait(30, "alice") == 0
    reply = defense.respond(x, toy.predict(x), "alice")
    assert defense.wait(80, "alice") == 20, "for what lies beyond the quota, asked in one batch"
    assert defense.wait(30, "alice") == 60
    assert defense.wait(30, "bob") == 0
    assert reply.refused is None or not reply.refused.any()
    assert np.array_equal(reply.labels, toy.predict(x).labels)


# Proof of work


def exact_renyi(p: Array, q: Array, order: float) -> float:
    """D(p || q), exact but for rounding errors of about 1e-15 in p and q."""
    terms = order * np.log(p) + (1 - order) * np.log(q)
    return float(np.logaddexp.reduce(terms) / (order - 1))


def winners(votes: list[int], sigma: float) -> Array:
    """(k,) the chance that each class wins a noisy vote, by integration."""
    from scipy.stats import norm

    counts = np.array(votes, dtype=float)
    z = np.linspace(counts.min() - 9 * sigma, counts.max() + 9 * sigma, 20_001)
    below = norm.cdf(z[:, None], counts, sigma)
    density = norm.pdf(z[:, None], counts, sigma)
    others = [np.delete(below, c, axis=1).prod(axis=1) for c in range(len(votes))]
    return np.array([np.trapezoid(density[:, c] * o, z) for c, o in enumerate(others)])


@pytest.mark.parametrize(
    "votes", [[20, 5], [13, 12], [25, 0], [25, 0, 0], [15, 6, 4], [9, 8, 8], [18, 7, 0]]
)
@pytest.mark.parametrize("sigma", [2.0, 4.0])
def test_the_privacy_cost_bounds_the_exact_divergence_from_every_neighbour(
    votes: list[int], sigma: float
) -> None:
    """From these votes to those of a neighbour: Theorem 6 bounds no more than this direction."""
    orders = np.array([1.5, 2.0, 4.0, 8.0, 20.0])
    bound = gnmax.renyi(gnmax.log_doubt(np.array([votes]), sigma), sigma, orders)[0]
    here = winners(votes, sigma)
    assert here.sum() == pytest.approx(1, abs=1e-9)
    for source, target in permutations(range(len(votes)), 2):
        if votes[source]:
            moved = list(votes)
            moved[source], moved[target] = moved[source] - 1, moved[target] + 1
            there = winners(moved, sigma)
            for order, least in zip(orders, bound, strict=True):
                assert exact_renyi(here, there, order) <= least + 1e-9
    if votes[0] == 25:  # and is far below what it costs where teachers dissent
        assert (bound < 0.1 * orders / sigma**2)[:3].all()


def test_doubt_is_the_chance_that_noise_moves_the_winner() -> None:
    # two classes: exactly P[N(0, 2 sigma^2) > gap]; more: at most the sum of the pairs
    two = math.exp(gnmax.log_doubt(np.array([[20.0, 14.0]]), 3.0)[0])
    assert two == pytest.approx(0.5 * math.erfc(6 / (2 * 3)), rel=1e-12)
    assert two == pytest.approx(winners([20, 14], 3.0)[1], rel=1e-6)
    three = math.exp(gnmax.log_doubt(np.array([[12.0, 7.0, 6.0]]), 3.0)[0])
    assert three == pytest.approx(0.5 * math.erfc(5 / 6) + 0.5 * math.erfc(1), rel=1e-12)
    assert three >= 1 - winners([12, 7, 6], 3.0)[0]


def test_agreement_costs_less_than_dissent() -> None:
    votes = np.array([[25.0 - m, m] for m in range(13)])
    cost = gnmax.epsilon(votes, 2.0, 1e-5)
    assert (np.diff(cost) >= 0).all()
    # No data-dependent bound at a tie: order / sigma^2 + log(1 / delta) / (order - 1), at its least
    flat = 1 / 4 + 2 * math.sqrt(math.log(1e5) / 4)
    assert cost[-1] == pytest.approx(flat, rel=1e-3)


def test_each_teacher_votes_as_its_nearest_row(toy: Victim) -> None:
    defense = deployed(WORK, toy)
    assert isinstance(defense, ProofOfWork)
    teachers, x = defense._teachers, toy.shares.x_test[:30]
    each = teachers._labels.shape[1]
    expected = np.zeros((30, 3))
    for row, point in enumerate(x):
        for teacher, told in enumerate(teachers._labels):
            own = teachers._rows[teacher * each : (teacher + 1) * each]
            expected[row, told[np.argmin(np.linalg.norm(own - point, axis=1))]] += 1
    assert np.array_equal(teachers.votes(x, None), expected)


def test_a_training_row_has_no_say_on_itself(toy: Victim) -> None:
    defense = deployed(WORK, toy)
    assert isinstance(defense, ProofOfWork)
    teachers = defense._teachers
    own = np.arange(teachers._labels.size)
    alone = teachers.votes(teachers._rows, own)
    told = teachers.votes(teachers._rows, None)
    assert (alone.sum(axis=1) == 20).all()
    assert 0.05 < np.mean((alone != told).any(axis=1)) < 0.9


def test_a_puzzle_is_the_power_of_the_distance_from_a_benign_account(toy: Victim) -> None:
    defense, x = deployed(WORK, toy), toy.space.sample(150, np.random.default_rng(1))
    assert isinstance(defense, ProofOfWork)
    spent, owed = 0.0, 0.0
    for number, cost in enumerate(defense.cost(x).tolist(), start=1):
        spent += cost
        owed += 1.01 ** abs(spent - defense._benign * number) / 100
    waited = []
    for start in (0, 70, 71):
        part = x[start : {0: 70, 70: 71, 71: 150}[start]]
        waited.append(defense.wait(len(part), "alice"))
        defense.respond(part, toy.predict(part), "alice")
    assert waited[0] == 0
    assert sum(waited) + defense.wait(1, "alice") == pytest.approx(owed, rel=1e-9)
    assert defense.wait(1, "alice") == 0
    assert defense.wait(1, "bob") == 0


def test_a_puzzle_takes_at_most_the_authors_limit() -> None:
    assert WORK.seconds(np.array([0.0, 100.0, 1e9])) == pytest.approx(
        [0.01, 1.01**100 / 100, 29.48]
    )


def test_asking_customers_data_costs_less_work_than_asking_at_random(toy: Victim) -> None:
    """The toy's data are uniform: here a thief asks near the boundary, where teachers dissent."""
    defense = deployed(WORK, toy)
    assert isinstance(defense, ProofOfWork)
    benign = toy.shares.x_test[:200]
    x = toy.space.sample(5000, np.random.default_rng(1))
    outputs = toy.predict(x).outputs
    assert outputs is not None
    prying = x[np.argsort(outputs.max(axis=1))[:200]]
    owed = {}
    for account, rows in (("customer", benign), ("thief", prying)):
        defense.respond(rows, toy.predict(rows), account)
        owed[account] = defense.wait(0, account)
    assert owed["thief"] > 1.5 * owed["customer"]


def test_proof_of_work_needs_classes_and_rows(toy: Victim) -> None:
    with pytest.raises(ValueError, match="201 teachers need two training rows each"):
        deployed(ProofOfWork(201, 2.0, 1e-5, 1.01, 100), toy)
    shares = replace(toy.shares, classes=("value",))
    value = Victim(shares, lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]))
    with pytest.raises(ValueError, match="the value of a regression"):
        deployed(WORK, value)


# All


@pytest.mark.parametrize("defense", [ReverseSigmoid(0.8, 0.2, True), Shuffle(1e-6)])
def test_a_victim_that_lacks_what_is_needed_is_told_at_once(
    toy: Victim, binary: Victim, defense: Defense
) -> None:
    with pytest.raises(ValueError, match="this victim answers labels only"):
        deployed(defense, binary)
    shares = replace(toy.shares, classes=("value",))
    value = Victim(shares, lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]))
    with pytest.raises(ValueError, match="the value of a regression"):
        deployed(defense, value)


def test_reverse_sigmoid_needs_whole_distributions_and_shuffle_three_classes(
    toy: Victim, binary: Victim
) -> None:
    with pytest.raises(ValueError, match="needs whole distributions"):
        deployed(ReverseSigmoid(0.8, 0.2, True), replace(toy, full=False))
    two = replace(binary, predict=lambda x: from_outputs(np.full((len(x), 2), 0.5)))
    with pytest.raises(ValueError, match="needs at least 3 classes, and this victim has 2"):
        deployed(Shuffle(1e-6), two)


@pytest.mark.parametrize(
    "defense", [ReverseSigmoid(0.8, 0.2, True), ReverseSigmoid(1, 1, True), Shuffle(1e-6)]
)
def test_ten_thousand_answers_take_less_than_a_second(toy: Victim, defense: Defense) -> None:
    outputs = np.random.default_rng(0).dirichlet([0.5] * 10, 10_000)
    x = toy.space.sample(10_000, np.random.default_rng(0))
    deployed(defense, toy)
    start = time.process_time()
    outputs_told(defense, outputs, x)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ReverseSigmoid(-1, 0.2, True), "beta must be a number of at least 0, got -1"),
        (lambda: ReverseSigmoid(0.8, math.inf, True), "gamma must be .* got inf; 0 is no defense"),
        (lambda: ReverseSigmoid(0.8, 0.2, "no"), "guard must be true or false, got 'no'"),
        (lambda: BDPL(0, 0.1, 1e-6), "epsilon must be a number above 0 and up to 100, got 0"),
        (lambda: BDPL(1, 3, 1e-6), r"zone must be a number from 0 to 2, got 3; features span"),
        (lambda: BDPL(1, 0.1, 0), "grid must be a number above 0 and up to 2, got 0"),
        (lambda: Shuffle("fine"), "grid must be a number above 0, got 'fine'; for example 1e-6"),
        (lambda: Quota(-1), "limit must be a whole number of at least 0, got -1"),
        (lambda: Quota(1.5), "got 1.5"),
        (lambda: Throttle(NAN), "seconds must be a number of at least 0, got nan; 0 is no wait"),
        (lambda: replace(WORK, teachers=1), "teachers must be a whole number of at least 2, got 1"),
        (lambda: replace(WORK, sigma=0), "sigma must be a number above 0, got 0"),
        (lambda: replace(WORK, delta=0.9), "delta must be a number above 0 and up to 0.5, got 0.9"),
        (lambda: replace(WORK, base=0.5), "base must be a number of at least 1, got 0.5"),
        (lambda: replace(WORK, queries=0), "queries must be a whole number of at least 1, got 0"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
