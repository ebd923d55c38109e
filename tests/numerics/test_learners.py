"""Learners turn answers into surrogates; the boundary is where their labels change."""

import numpy as np
import pytest
from shop import victim_of

from moatbench.client import Card
from moatbench.learners.fit import held_out
from moatbench.learners.learner import Learner
from moatbench.learners.published import learner_for, smooth_learner
from moatbench.learners.ridge_path import Batch, fit_at
from moatbench.models import forward
from moatbench.models.embedding import Nystrom
from moatbench.models.kernels import Kernel
from moatbench.numerics.newton import Logistic
from moatbench.search.boundary import Segments, bisect, on_plane, opposites, project
from moatbench.search.doubt import CURVATURE, most_uncertain
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.types import Array, Labels

BOX = InputSpace.box(6)
MIXED = InputSpace(
    (
        Numeric("size", 0.0, 10.0),
        Categorical("hue", ("r", "g", "b"), one_hot=False),
        Categorical("day", ("a", "b", "c")),
        Numeric("age", -1.0, 1.0),
    )
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def linear_outputs(x: Array, k: int = 3) -> Array:
    draw = rng(1)
    return forward.softmax(2 * x @ draw.normal(size=(x.shape[1], k)) + draw.normal(size=k))


def network_outputs(x: Array, activation: str, k: int = 3) -> Array:
    draw = rng(2)
    h = forward.ACTIVATIONS[activation](x @ draw.normal(size=(x.shape[1], 5)) + draw.normal(size=5))
    return forward.softmax(2 * h @ draw.normal(size=(5, k)))


def one_vs_rest_outputs(x: Array) -> Array:
    draw = rng(3)
    return forward.one_vs_rest(2 * x @ draw.normal(size=(x.shape[1], 3)) + draw.normal(size=3))


def uniform(n: int, seed: int = 0) -> Array:
    return rng(seed).uniform(-1, 1, (n, BOX.d))


def gap(learner: Learner, outputs: Array, x: Array, truth: Array, fresh: Array) -> float:
    """Total variation from the truth, of a fit to `outputs`, on fresh inputs."""
    fit = learner.fit(x, outputs, rng())
    assert fit.converged
    return float(0.5 * np.abs(fit.outputs(fresh) - truth).sum(axis=1).mean())


def test_exact_answers_give_a_softmax_model_almost_exactly() -> None:
    x, fresh = uniform(60), uniform(1000, 9)
    learner = Learner(BOX, 3, "softmax")
    assert gap(learner, linear_outputs(x), x, linear_outputs(fresh), fresh) < 1e-5


def test_exact_answers_give_a_one_vs_rest_model_in_its_own_family() -> None:
    x, fresh = uniform(100), uniform(1000, 9)
    outputs, truth = one_vs_rest_outputs(x), one_vs_rest_outputs(fresh)
    assert gap(Learner(BOX, 3, "one_vs_rest"), outputs, x, truth, fresh) < 1e-3
    assert gap(Learner(BOX, 3, "softmax"), outputs, x, truth, fresh) > 1e-2


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
def test_exact_answers_give_a_network_almost_exactly(activation: str) -> None:
    x, fresh = uniform(150), uniform(1000, 9)
    outputs, truth = network_outputs(x, activation), network_outputs(fresh, activation)
    learner = Learner(BOX, 3, "mlp", hidden=5, activation=activation)
    assert gap(learner, outputs, x, truth, fresh) < 0.005


def test_noisy_answers_get_a_stronger_ridge_than_exact_ones() -> None:
    x, learner = uniform(40), Learner(BOX, 3, "softmax")
    noisy = (linear_outputs(x) + rng(4).normal(0, 0.2, (40, 3))).clip(0.01, 1)
    noisy /= noisy.sum(axis=1, keepdims=True)
    exact_ridge = learner.fit(x, linear_outputs(x), rng()).ridge
    assert learner.fit(x, noisy, rng()).ridge >= 100 * exact_ridge


def test_going_on_from_an_earlier_fit_of_a_convex_family_ends_where_a_fresh_one_does() -> None:
    x, learner, fresh = uniform(200), Learner(BOX, 3, "softmax"), uniform(1000, 9)
    early = learner.fit(x[:60], linear_outputs(x[:60]), rng())
    resumed = learner.fit(x, linear_outputs(x), rng(), resume=early)
    np.testing.assert_allclose(resumed.outputs(fresh), linear_outputs(fresh), atol=1e-4)


def test_a_search_stopped_by_its_cap_says_that_it_has_not_converged() -> None:
    rows = Batch(Learner(BOX, 3, "softmax").model(uniform(50)), linear_outputs(uniform(50)))
    assert not fit_at(1e-9, rows, np.zeros(21), iterations=3).converged
    assert fit_at(1e-9, rows, np.zeros(21), iterations=3000).converged


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6])
@pytest.mark.parametrize("family", ["softmax", "one_vs_rest", "mlp"])
def test_a_handful_of_answers_is_enough_to_train_on(family: str, n: int) -> None:
    fit = Learner(BOX, 3, family).fit(uniform(n), linear_outputs(uniform(n)), rng())
    np.testing.assert_allclose(fit.outputs(uniform(20, 9)).sum(axis=1), 1)


@pytest.mark.parametrize("family", ["softmax", "mlp"])
def test_the_same_seed_trains_the_same_model_to_the_last_bit(family: str) -> None:
    x, fresh = uniform(50), uniform(20, 9)
    one, two = (Learner(BOX, 3, family).fit(x, linear_outputs(x), rng(7)) for _ in range(2))
    assert (one.outputs(fresh) == two.outputs(fresh)).all()


def card(family: str | None, **architecture: object) -> Card:
    return Card(BOX, ("a", "b", "c"), 0.0, True, False, family, architecture)


def test_a_published_family_is_learnt_as_it_is() -> None:
    learner = smooth_learner("published", card("mlp", hidden=7, activation="relu"))
    assert (learner.family, learner.hidden, learner.activation) == ("mlp", 7, "relu")
    assert learner_for("published", card("logistic")).family == "softmax"


def test_a_family_that_is_not_published_is_replaced_with_a_note() -> None:
    learner = learner_for("published", card(None))
    assert learner.family == "mlp"
    assert "mlp" in learner.note


def test_a_learner_that_is_asked_for_by_name_ignores_the_published_family() -> None:
    learner = learner_for("softmax", card("mlp", hidden=7))
    assert (learner.family, learner.note) == ("softmax", "")


def test_codes_are_spread_and_bounds_scaled_before_training() -> None:
    z = MIXED.encode(np.array([[10.0, 2.0, -1.0, 1.0, -1.0, 0.5]]))
    np.testing.assert_array_equal(z, [[1.0, -1.0, 1.0, -1.0, 0.5, -1.0, -1.0, 1.0]])


def label_of(x: Array) -> Labels:
    labels: Labels = linear_outputs(x).argmax(axis=1).astype(np.int64)
    return labels


def test_bisection_ends_where_the_label_changes() -> None:
    ends = uniform(400)
    start, end = opposites(label_of(ends), np.arange(100), rng())
    x = bisect(Segments.between(ends[start], ends[end], BOX, False, rng()), label_of)
    top = np.sort(linear_outputs(x), axis=1)
    assert len(x) == 100
    assert (top[:, -1] - top[:, -2]).max() < 1e-9


def test_opposites_differ_in_label_and_there_are_none_in_one_class() -> None:
    labels = np.array([0, 0, 0, 2, 1, 0])
    start, end = opposites(labels, np.arange(6), rng())
    assert (labels[start] != labels[end]).all()
    assert len(opposites(np.zeros(6, int), np.arange(6), rng())[0]) == 0


@pytest.mark.parametrize("t", [0.0, 0.3, 0.999, 1.0])
def test_a_path_between_valid_inputs_stays_valid(t: float) -> None:
    start, end = MIXED.sample(200, rng(1)), MIXED.sample(200, rng(2))
    paths = Segments.between(start, end, MIXED, True, rng())
    assert MIXED.valid(paths.at(np.full(200, t))).all()


def test_a_path_starts_and_ends_at_its_ends() -> None:
    start, end = MIXED.sample(50, rng(1)), MIXED.sample(50, rng(2))
    paths = Segments.between(start, end, MIXED, True, rng())
    np.testing.assert_array_equal(paths.at(np.zeros(50)), start)
    np.testing.assert_allclose(paths.at(np.ones(50)), end)


def test_projected_points_lie_on_the_plane_and_in_the_cube() -> None:
    normal, z = rng(3).normal(size=6), project(uniform(300), rng(3).normal(size=6), 1.0)
    assert np.abs(z @ normal + 1.0).max() < 1e-3
    assert np.abs(z).max() <= 1


STEPPED = InputSpace(
    (Numeric("grade", 1, 16, 1), Numeric("rate", 0, 4), Numeric("age", 17, 90, 1), Numeric("x"))
)


def test_inputs_on_a_plane_have_whole_steps_and_the_other_columns_make_up_for_it() -> None:
    normal, z = np.array([1.0, 0.8, -0.6, 1.1]), rng(3).uniform(-1, 1, (300, 4))
    x = on_plane(z, STEPPED, normal, 0.2)
    np.testing.assert_array_equal(STEPPED.answered(x), x)
    off = np.abs(STEPPED.encode(x) @ normal + 0.2)
    assert np.quantile(off, 0.95) < 1e-6  # a corner of the box may be a step away


def test_the_boundary_on_a_path_is_where_the_answered_row_changes_its_label() -> None:
    def labels(x: Array) -> Labels:
        score = STEPPED.encode(STEPPED.answered(x)) @ [1.0, 0.8, -0.6, 1.1]
        return np.asarray(score > 0.2, np.int64)

    ends = STEPPED.sample(400, rng(1))
    start, end = opposites(labels(ends), np.arange(200), rng(2))
    x = bisect(Segments.between(ends[start], ends[end], STEPPED, False, rng()), labels)
    np.testing.assert_array_equal(STEPPED.answered(x), x)


def logistic(ridge: float, n: int = 40) -> Logistic:
    """Noisy labels of a plane."""
    a = np.hstack([uniform(n), np.ones((n, 1))])
    y = (a @ rng(5).normal(size=7) + rng(6).normal(size=n) > 0).astype(np.float64)
    return Logistic(a, y, ridge)


@pytest.mark.parametrize("ridge", [1e-2, 1e-6, 1e-10])
def test_newtons_method_ends_where_the_gradient_vanishes(ridge: float) -> None:
    model = logistic(ridge)
    fit = model.fit(np.zeros(7), 50)
    p = 1 / (1 + np.exp(-model.a @ fit.theta))
    slope = model.a.T @ (p - model.y) / len(p) + ridge * fit.theta
    assert fit.converged
    assert np.abs(slope).max() < 1e-4


def test_separable_labels_need_no_more_newton_steps_than_log_odds() -> None:
    a = np.hstack([uniform(60), np.ones((60, 1))])
    model = Logistic(a, (a @ rng(5).normal(size=7) > 0).astype(np.float64), 1e-10)
    fit = model.fit(np.zeros(7), 50)
    assert fit.converged
    assert ((a @ fit.theta > 0) == (model.y > 0)).all()


def test_leave_one_out_needs_no_refits() -> None:
    model = logistic(1e-2)
    losses = []
    for i in range(len(model.y)):
        rest = np.arange(len(model.y)) != i
        part = Logistic(model.a[rest], model.y[rest], model.ridge * len(model.y) / rest.sum())
        score = model.a[i] @ part.fit(np.zeros(7), 50).theta
        losses.append(np.logaddexp(0, score) - model.y[i] * score)
    found = model.leave_one_out(model.fit(np.zeros(7), 50).theta)
    assert found == pytest.approx(np.mean(losses), rel=0.03)


def test_the_most_uncertain_rows_are_those_of_the_greatest_variance_one_by_one() -> None:
    z, precision = rng().normal(size=(50, 6)), np.diag(np.arange(1.0, 7))
    chosen: list[int] = []
    for _ in range(10):
        variance = np.einsum("ij,jk,ik->i", z, np.linalg.inv(precision), z)
        variance[chosen] = -1
        chosen.append(int(variance.argmax()))
        precision = precision + CURVATURE * np.outer(z[chosen[-1]], z[chosen[-1]])
    assert most_uncertain(z, np.diag(np.arange(1.0, 7)), 10).tolist() == chosen


def test_a_fit_is_the_same_function_in_another_embedding_of_its_kernel() -> None:
    x, fresh = uniform(80), uniform(200, 9)
    y = np.eye(2)[(np.linalg.norm(x, axis=1) > 1.4).astype(int)]
    fit = Learner(BOX, 2, "rbf").fit(x[:60], y[:60], rng())
    known = fit.learner.embedding
    assert isinstance(known, Nystrom)
    moved = fit.moved(Nystrom.of(known.kernel, x, 80))
    assert moved is not None
    np.testing.assert_allclose(moved.outputs(fresh), fit.outputs(fresh), atol=1e-3)
    assert fit.moved(Nystrom.of(Kernel("rbf", 9.0), x, 80)) is None


def test_a_published_width_is_not_chosen_again() -> None:
    published = card("kernel_logistic", kernel="rbf", gamma=0.37, representers=20)
    learner = smooth_learner("published", published)
    assert (learner.family, learner.note) == ("rbf", "")
    fit = learner.fit(uniform(30), linear_outputs(uniform(30)), rng())
    assert isinstance(fit.learner.embedding, Nystrom)
    assert fit.learner.embedding.kernel.gamma == 0.37


def test_a_levelled_fit_tells_its_plane_on_columns_whose_origin_is_the_middle() -> None:
    x = uniform(200)
    hard = np.eye(2)[(x[:, 0] + 0.5 * x[:, 1] > 0.2).astype(int)]
    fit = Learner(BOX, 2, "softmax").levelled().fit(x, hard, rng())
    assert fit.plane is not None
    normal, offset = fit.plane
    np.testing.assert_array_equal(fit.labels(x), (x @ normal + offset > 0).astype(int))


def test_labels_of_uniform_rows_tell_more_of_real_ones_from_a_low_origin() -> None:
    """Digits are mostly background: at 300 labels, a plain Adam thief has .73, the middle .67."""
    gains = []
    for seed in (0, 1):
        victim = victim_of("softmax", "digits", seed=seed)
        x = victim.space.sample_cube(300, np.random.default_rng([7, seed]))
        hard, truth = np.eye(10)[victim.predict(x).labels], victim.predict(victim.shares.x_test)
        middle = Learner(victim.space, 10, "softmax")
        both = [one.fit(x, hard, rng()).labels for one in (middle.levelled(), middle)]
        shares = [np.mean(one(victim.shares.x_test) == truth.labels) for one in both]
        gains.append(shares[0] - shares[1])
    assert min(gains) >= 0
    assert np.mean(gains) > 0.03


def test_labels_are_levelled_only_where_numbers_outnumber_categories() -> None:
    assert Learner(BOX, 3, "softmax").for_labels().level < 0
    assert Learner(MIXED, 3, "softmax").for_labels().level < 0
    fewer = InputSpace(MIXED.features[:3])
    assert Learner(fewer, 3, "softmax").for_labels().level == 0


def test_every_fifth_in_turn_is_each_row_once() -> None:
    turns = np.array([held_out(103, back) for back in range(5)])
    assert (turns.sum(axis=0) == 1).all()
