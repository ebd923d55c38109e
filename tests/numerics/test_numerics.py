"""Solvers: each number against another way to get it."""

from collections.abc import Callable
from typing import cast

import numpy as np
import pytest
from scipy.linalg import block_diag
from scipy.special import logit, softmax

from moatbench.models.linear import Linear, cross_entropy, design, log_ratios
from moatbench.models.network import Network
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.minimise import Model, descend, levenberg_marquardt
from moatbench.numerics.objectives import (
    CrossEntropy,
    Intervals,
    LogOdds,
    Objective,
    RoundedOdds,
)
from moatbench.numerics.simplex import normalised
from moatbench.solvers.edges import Crossings, Edges, Joint
from moatbench.solvers.grids import Decimals
from moatbench.solvers.log_intervals import LogIntervals
from moatbench.solvers.network_solver import (
    probe_plan,
    probe_points,
    probes_in,
    uneven,
)
from moatbench.solvers.noise_likelihood import Gaussian, Laplace, NoisyAnswers
from moatbench.solvers.pooled_odds import PooledOdds
from moatbench.solvers.readings import completed, decimals, explained, in_single
from moatbench.solvers.withheld import Both, Withheld
from moatbench.space import InputSpace, Numeric
from moatbench.types import Array

N, D, K = 30, 4, 3
STEP = 1e-6

MODELS: dict[str, Callable[[Array], Model]] = {
    "linear": lambda a: Linear(a, K),
    "one_vs_rest": lambda a: OneVsRest(a, K),
    "tanh": lambda a: Network(a, K, 5, "tanh"),
    "logistic": lambda a: Network(a, K, 5, "logistic"),
    "relu": lambda a: Network(a, K, 5, "relu"),
}
ANSWERS: Array = softmax(np.random.default_rng(0).normal(size=(N, K)), axis=1)
LEAST = ANSWERS.min(axis=1, keepdims=True)
CUT: Array = np.where(ANSWERS > LEAST, ANSWERS, 0.0)
TOP: Array = np.where(ANSWERS.max(axis=1, keepdims=True) == ANSWERS, ANSWERS, 0.0)
CLIPPED: Array = normalised(
    (ANSWERS + np.random.default_rng(7).normal(size=(N, K)) * 0.2).clip(0, 1)
)
CROSSINGS = Crossings(np.arange(N) % K, np.full(N, 0.35), np.linspace(0.5, 2.0, N))
SOME = Crossings(np.arange(12) % K, np.full(12, 0.15), np.ones(12))
OBJECTIVES: dict[str, Objective] = {
    "cross_entropy": CrossEntropy(ANSWERS),
    "log_odds": LogOdds(ANSWERS),
    "log_odds_of_some": LogOdds(CUT),
    "intervals": Intervals(ANSWERS.round(1), 0.05, 0.5),
    "intervals_of_some": Intervals(CUT.round(1), 0.05, 0.5),
    "rounded_odds": RoundedOdds(ANSWERS.round(1), 0.05, 3.0),
    "crossings": CROSSINGS,
    "log_intervals": LogIntervals(np.log(CUT.round(1) + 1e-9) - 0.3, np.log(ANSWERS) + 0.1, 0.5),
    "pooled_odds": PooledOdds(TOP),
    "withheld": Withheld(np.arange(N) % K, 0.6, 0.5),
    "both": Both(PooledOdds(TOP[:18]), Withheld(np.arange(12) % K, 0.6, 0.5), 18, 2.0),
    "gaussian_noise": NoisyAnswers(CLIPPED, Gaussian(0.2)),
    "laplace_noise": NoisyAnswers(CLIPPED, Laplace(0.2)),
    "joint": Joint(Intervals(ANSWERS[:18].round(1), 0.05, 0.5), SOME),
}


def built(name: str) -> tuple[Model, Array]:
    """Return a model on random rows, and unknowns for it."""
    rng = np.random.default_rng(1)
    model = MODELS[name](design(rng.uniform(-1, 1, (N, D))))
    size = model.unknowns if isinstance(model, Network) else (D + 1) * K
    return model, 0.5 * rng.normal(size=size)


def slopes(function: Callable[[Array], Array], at: Array) -> Array:
    """Differentiate numerically: (..., len(at))."""
    steps = STEP * np.eye(len(at))
    return np.stack([(function(at + s) - function(at - s)) / (2 * STEP) for s in steps], axis=-1)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_is_the_slope_of_the_value(name: str, objective: str) -> None:
    model, theta = built(name)
    goal = OBJECTIVES[objective]
    expected = slopes(lambda t: np.array(goal.value(model.scores(t))[0]), theta)
    found = model.gradient(theta, goal.value(model.scores(theta))[1])
    np.testing.assert_allclose(found, expected, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("name", MODELS)
def test_a_normal_matrix_is_the_jacobian_on_both_sides_of_the_curvature(
    name: str, objective: str
) -> None:
    model, theta = built(name)
    curvature = OBJECTIVES[objective].curvature(model.scores(theta))
    jacobian = slopes(lambda t: model.scores(t).ravel(), theta)
    expected = jacobian.T @ block_diag(*np.broadcast_to(curvature, (N, K, K))) @ jacobian
    found = model.normal(theta, curvature)
    np.testing.assert_allclose(
        np.triu(found), np.triu(expected), atol=1e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize("objective", ["cross_entropy", "log_odds", "log_odds_of_some"])
def test_the_curvature_of_linear_scores_is_the_slope_of_their_gradient(objective: str) -> None:
    goal, scores = OBJECTIVES[objective], np.random.default_rng(2).normal(size=(N, K))
    curvature = np.broadcast_to(goal.curvature(scores), (N, K, K))
    numeric = slopes(lambda s: goal.value(s.reshape(N, K))[1].ravel(), scores.ravel())
    np.testing.assert_allclose(block_diag(*curvature), numeric, atol=1e-8)


def test_cross_entropy_finds_what_scikit_learn_finds() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, D)), rng.integers(K, size=200)
    centred = np.hstack([x, np.ones((200, 1))])  # scikit-learn leaves intercepts unpenalised
    reference = LogisticRegression(C=2.0, fit_intercept=False, tol=1e-10, max_iter=5000)
    reference.fit(centred, y)
    coef, converged = cross_entropy(x, np.eye(K)[y], ridge=1 / (2.0 * 200), tolerance=1e-9)
    assert converged
    np.testing.assert_allclose(coef.T, reference.coef_, atol=1e-6)


def test_a_start_at_the_solution_stays_there() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(200, D)), rng.integers(K, size=200)
    coef, _ = cross_entropy(x, np.eye(K)[y], ridge=1e-3)
    again, converged = cross_entropy(x, np.eye(K)[y], ridge=1e-3, start=coef, iterations=1)
    assert converged
    np.testing.assert_allclose(again, coef, atol=1e-6)


def test_both_ways_downhill_end_at_one_place() -> None:
    model, theta = built("linear")
    goal = OBJECTIVES["cross_entropy"]
    newton = levenberg_marquardt(model, goal, theta, iterations=100, ridge=1e-3)
    flat = descend(model, goal, theta, iterations=1000, ridge=1e-3, tolerance=1e-9)
    assert newton.converged
    assert flat.converged
    np.testing.assert_allclose(newton.theta, flat.theta, atol=1e-5)


def test_a_search_that_is_cut_short_says_so() -> None:
    model, theta = built("tanh")
    assert not levenberg_marquardt(model, OBJECTIVES["log_odds"], theta, iterations=1).converged
    goal = OBJECTIVES["cross_entropy"]
    assert not descend(model, goal, theta, iterations=1, ridge=0.0, tolerance=1e-12).converged


def test_log_ratios_need_one_row_an_unknown_of_one_class() -> None:
    rng = np.random.default_rng(4)
    a, truth = design(rng.uniform(-1, 1, (D + 1, D))), rng.normal(size=(D + 1, K))
    coef = log_ratios(a, softmax(a @ truth, axis=1))
    np.testing.assert_allclose(coef, truth - truth.mean(axis=1, keepdims=True), atol=1e-11)


def test_log_odds_of_some_classes_are_equations_too() -> None:
    rng = np.random.default_rng(5)
    truth = rng.normal(size=(D + 1, K))
    model = Linear(design(rng.uniform(-1, 1, (60, D))), K)
    p = softmax(model.a @ truth, axis=1)
    two = np.where(p == p.min(axis=1, keepdims=True), 0.0, p)
    found = model.parameters(model.solve(two, rng).theta)["coef"]
    np.testing.assert_allclose(found, (truth - truth.mean(axis=1, keepdims=True))[:-1].T, atol=1e-9)


def test_intervals_cost_nothing_far_inside_and_the_distance_outside() -> None:
    scores = np.log([[0.5, 0.5]])
    value, _ = Intervals(np.array([[0.5, 0.5]]), 0.01, 1e-3).value(scores)
    assert value == pytest.approx(0, abs=1e-12)
    value, _ = Intervals(np.array([[0.53, 0.47]]), 0.01, 1e-3).value(scores)
    assert value == pytest.approx(2 * 2.0, rel=1e-3)  # two classes, each two half units beyond


def test_a_zero_in_a_row_that_lacks_much_is_a_class_left_out() -> None:
    scores = np.log([[0.6, 0.3, 0.1]])
    assert Intervals(np.array([[0.6, 0.3, 0.0]]), 0.005, 1.0).broken(scores) == 0
    assert Intervals(np.array([[0.7, 0.3, 0.0]]), 0.005, 1.0).broken(scores) > 0


@pytest.mark.parametrize("places", [1, 2, 5, 8, 12])
def test_rounding_shows_in_the_answers(places: int) -> None:
    assert decimals(np.round(ANSWERS, places)) == places


def test_exact_answers_and_top_classes_do_not_look_rounded() -> None:
    assert decimals(ANSWERS) is None
    assert decimals(CUT) is None


@pytest.mark.parametrize("k", [2, 3, 10])
def test_scores_in_single_precision_are_told_from_those_in_double_behind_a_link(k: int) -> None:
    z = np.random.default_rng(0).normal(size=(200, k))
    assert in_single(softmax(z.astype(np.float32).astype(np.float64), axis=1))
    assert not in_single(softmax(z, axis=1))
    halves = np.round(2 * z) / 2  # which either precision holds
    assert not in_single(softmax(halves, axis=1))
    assert not in_single(softmax(z[:3].astype(np.float32).astype(np.float64), axis=1)[:, :2])


def test_answers_without_confidences_have_no_decimals() -> None:
    assert decimals(np.full((3, K), np.nan)) == 0


def test_the_one_class_left_out_is_what_the_others_lack() -> None:
    np.testing.assert_allclose(completed(CUT), ANSWERS, atol=1e-15)
    two = np.array([[0.5, 0.0, 0.0], [0.25, 0.75, 0.0]])
    np.testing.assert_array_equal(completed(two), two)


def test_answers_are_explained_up_to_their_scale() -> None:
    assert explained(np.log(ANSWERS) + 3.0, CUT)
    assert not explained(np.log(ANSWERS) + np.array([0.0, 0.0, 1e-3]), ANSWERS)


def bisected(answer: Callable[[Array], Array], rounds: int) -> Edges:
    """Bisect what a softmax rounded to one decimal answers, foreseen by a model that errs."""
    rng = np.random.default_rng(6)
    x = rng.uniform(-1, 1, (50, D))

    def predict(x: Array) -> Array:
        return np.asarray(softmax(3.1 * x[:, :K] + 0.1, axis=1))

    edges = Edges(
        x, np.round(answer(x), 1), Decimals(1), 20, predict, rng, InputSpace.box(x.shape[1])
    )
    for _ in range(rounds):
        places = edges.open
        edges.learn(places, np.round(answer(edges.questions(places)), 1))
    return edges


def sloped(x: Array) -> Array:
    return np.asarray(softmax(3 * x[:, :K], axis=1))


def test_bisection_finds_where_a_probability_crosses_a_level() -> None:
    edges = bisected(sloped, 60)
    points, crossings = edges.found()
    assert len(points) == edges.count == 20
    found = sloped(points)[np.arange(20), crossings.classes]
    np.testing.assert_allclose(found, crossings.levels, atol=1e-12)
    assert np.allclose(crossings.levels * 10 % 1, 0.5)
    assert not len(edges.open)


def test_a_few_answers_a_foreseen_edge_tell_three_digits() -> None:
    points, crossings = bisected(sloped, 12).found()
    found = sloped(points)[np.arange(20), crossings.classes]
    assert crossings.reach.max() < 2e-2
    assert (np.abs(logit(found) - logit(crossings.levels)) < 4 * crossings.reach).all()


def test_edges_that_are_not_answered_are_dropped() -> None:
    edges = bisected(sloped, 5)
    places = edges.open
    answers = np.round(sloped(edges.questions(places)), 1)
    answers[3] = np.nan
    edges.learn(places, answers)
    assert edges.count == 19
    assert places[3] not in edges.open


def test_turns_go_round_all_edges() -> None:
    edges = bisected(sloped, 5)
    first = edges.open[:13]
    edges.learn(first, np.round(sloped(edges.questions(first)), 1))
    assert set(edges.open[:7]).isdisjoint(first)


def test_answers_that_never_differ_have_no_edges() -> None:
    edges = bisected(lambda x: np.tile([0.6, 0.4, 0.0], (len(x), 1)), 3)
    assert edges.count == len(edges.open) == 0


def test_probes_are_points_of_the_cube_and_steps_along_each_column() -> None:
    probes = probe_points(D, 2, np.random.default_rng(0), step=1e-3)
    assert probes.shape == (2, D + 1, D)
    assert np.abs(probes).max() < 1
    np.testing.assert_allclose(probes[:, 1:] - probes[:, :1], [1e-3 * np.eye(D)] * 2, atol=1e-15)


def test_probes_lie_on_steps_and_spare_columns_of_few_steps() -> None:
    features = (Numeric("age", 17, 90, 1), Numeric("grade", 1, 16, 1), Numeric("rate", 0, 4))
    space = InputSpace((*features, *(Numeric(f"x{i}") for i in range(5))))
    assert [c.tolist() for c in uneven(space)] == [[1], [0]]
    probes = probes_in(space, 3, np.random.default_rng(0))
    assert probes.shape == (3, 9, 8)
    assert np.array_equal(space.answered(probes.reshape(-1, 8)), probes.reshape(-1, 8))
    moved = probes[:, 1:] - probes[:, :1]
    widths = np.diag([1, 0, 2e-3, *[1e-3] * 5])[[0, 2, 3, 4, 5, 6, 7, 0]]
    widths[-1] *= -1  # few steps: on both sides
    np.testing.assert_allclose(moved, [widths] * 3, atol=1e-12)


def test_probes_are_planned_only_where_uniform_queries_do_not_suffice() -> None:
    first, count = probe_plan(105, 5, 20, "tanh")
    assert count == 5  # ceil(20 / (5 - 1)) gradients span 20 directions
    assert 350 <= first <= 900 - 5 * 106  # adult_race is solved with 900 queries
    assert probe_plan(105, 5, 20, "relu") == (0, 0)
    assert probe_plan(64, 10, 20, "tanh") == (0, 0)  # uniform queries need hardly more
    assert probe_plan(4, 3, 20, "tanh") == (0, 0)


def test_parameters_come_in_the_shapes_of_scikit_learn() -> None:
    binary = Linear(design(np.zeros((1, D))), 2)
    found = cast(dict[str, Array], binary.parameters(np.arange(2.0 * (D + 1))))
    assert (found["coef"].shape, found["intercept"].shape) == ((1, D), (1,))
    model, theta = built("tanh")
    layers = cast(Network, model).parameters(theta)
    assert [v.shape for v in layers.values()] == [(D, 5), (5,), (5, K), (K,)]


def test_beyond_a_thousand_unknowns_a_fit_forms_no_normal_matrix() -> None:
    """2,121 unknowns of 101 classes: a step by their normal matrix takes seconds."""
    rng = np.random.default_rng(0)
    a = design(rng.uniform(-1, 1, (300, 20)))
    targets = softmax(a @ rng.normal(size=(21, 101)), axis=1)
    model, objective = Linear(a, 101), CrossEntropy(targets)
    fit = model.fit(objective, model.begin(rng), 1e-6)
    assert np.abs(softmax(model.scores(fit.theta), axis=1) - targets).mean() < 1e-3
