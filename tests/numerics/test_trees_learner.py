"""Ensembles of trees grown on bought answers, and who chooses them."""

from itertools import pairwise

import numpy as np
import pytest

from moatbench.client import Card
from moatbench.learners.boosting import (
    LOG_ODDS,
    SHARES,
    Boosted,
    Classified,
    outputs_of,
    scores_of,
)
from moatbench.learners.coding import Coding, coding_for
from moatbench.learners.fit import surely_more
from moatbench.learners.published import learner_for
from moatbench.learners.trees import TreeFit, TreeLearner
from moatbench.learners.untold import Untold, UntoldFit
from moatbench.models import forward
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.strategies.mixes import group_mixes
from moatbench.types import Array

BOX = InputSpace.box(3)
MIXED = InputSpace(
    (
        Numeric("age", 0.0, 10.0),
        Categorical("day", ("a", "b", "c")),
        Categorical("hue", ("r", "g", "b"), one_hot=False),
    )
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def card(family: str | None, k: int = 2) -> Card:
    return Card(BOX, ("a", "b", "c")[:k], 0.0, True, False, family)


def steps(x: Array, k: int = 2) -> Array:
    """(n, k) confidences of a few trees by hand, on the log-odds."""
    z = 2.0 * (x[:, 0] > 0.3) + 1.5 * (x[:, 1] > -0.2) * (x[:, 2] > 0) - 1.4
    z = np.column_stack([-z / 2, z / 2, 1.0 * (x[:, 2] < 0.5)][:k])
    return forward.softmax(z)


@pytest.mark.parametrize(
    "family", ["gradient_boosting", "hist_gradient_boosting", "random_forest", "tree", "trees"]
)
def test_trees_are_learnt_by_trees(family: str) -> None:
    learner = learner_for("published", card(family))
    assert isinstance(learner, TreeLearner)
    assert (learner.family, learner.note) == ("trees", "")


def test_boosting_is_learnt_on_log_odds_and_a_forest_on_shares() -> None:
    scales = [learner_for("published", card(f)) for f in ("gradient_boosting", "random_forest")]
    assert [s.scales for s in scales if isinstance(s, TreeLearner)] == [(LOG_ODDS,), (SHARES,)]


def test_a_learner_that_cannot_represent_the_victim_says_so() -> None:
    assert "cannot represent" in learner_for("softmax", card("random_forest")).note
    assert "cannot represent" in learner_for("mlp", card("gradient_boosting")).note
    assert "cannot represent" in learner_for("trees", card("softmax")).note
    assert "cannot represent" in learner_for("net", card("gradient_boosting")).note


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("scale", [LOG_ODDS, SHARES])
def test_a_scale_and_back_is_the_same_answer(k: int, scale: str) -> None:
    outputs = steps(BOX.sample(50, rng()), k)
    np.testing.assert_allclose(outputs_of(scores_of(outputs, scale), scale), outputs, atol=1e-8)


def test_a_few_steps_are_learnt_all_but_exactly_from_confidences() -> None:
    x, fresh = BOX.sample(300, rng()), BOX.sample(500, rng(1))
    fit = learner_for("published", card("gradient_boosting")).fit(x, steps(x), rng())
    assert isinstance(fit, TreeFit)
    assert fit.plan is not None
    assert fit.plan.rounds > 100
    assert np.abs(fit.outputs(fresh) - steps(fresh)).sum(axis=1).mean() / 2 < 0.02
    assert (fit.labels(fresh) == steps(fresh).argmax(axis=1)).mean() > 0.97


def test_noise_is_not_learnt_by_heart() -> None:
    x = BOX.sample(300, rng())
    noisy = np.clip(steps(x) + 0.3 * rng(1).normal(size=(300, 1)) * [1, -1], 0, 1)
    fit = learner_for("published", card("gradient_boosting")).fit(x, noisy, rng())
    assert isinstance(fit, TreeFit)
    assert fit.plan is not None
    assert fit.plan.rounds < 100


def test_answers_that_tell_nothing_leave_the_mean_answer() -> None:
    x, coin = BOX.sample(200, rng()), rng(1).random(200)
    told = np.column_stack([coin, 1 - coin])
    fit = learner_for("published", card("random_forest")).fit(x, told, rng())
    assert np.ptp(fit.outputs(BOX.sample(50, rng(2)))[:, 0]) < 0.3


def test_labels_alone_are_classified() -> None:
    x, fresh = BOX.sample(300, rng()), BOX.sample(500, rng(1))
    hard = np.eye(3)[steps(x, 3).argmax(axis=1)]
    fit = learner_for("published", card("gradient_boosting", 3)).fit(x, hard, rng())
    assert (fit.labels(fresh) == steps(fresh, 3).argmax(axis=1)).mean() > 0.95


def test_labels_that_tell_nothing_leave_one_answer_for_all_rows() -> None:
    x, coin = BOX.sample(200, rng()), (rng(1).random(200) < 0.2).astype(int)
    fit = learner_for("published", card("gradient_boosting")).fit(x, np.eye(2)[coin], rng())
    assert (fit.labels(BOX.sample(50, rng(2))) == 0).all()


@pytest.mark.parametrize("n", [1, 2, 5, 30])
@pytest.mark.parametrize("brief", [False, True])
@pytest.mark.parametrize("hard", [False, True])
def test_a_few_answers_suffice_and_the_same_seed_learns_the_same(
    n: int, brief: bool, hard: bool
) -> None:
    x = BOX.sample(n, rng())
    targets = np.eye(2)[steps(x).argmax(axis=1)] if hard else steps(x)
    learner, fresh = learner_for("published", card("gradient_boosting")), BOX.sample(9, rng(1))
    one, two = (learner.fit(x, targets, rng(3), brief=brief).outputs(fresh) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_allclose(one.sum(axis=1), 1)


def test_constant_columns_equal_rows_and_what_is_left_out_do_no_harm() -> None:
    x = np.repeat(BOX.sample(40, rng()), 2, axis=0)
    x[:, 0], x[::3, 1] = 0.5, np.nan
    varying = np.clip(steps(np.nan_to_num(x)) + 0.1 * rng(1).normal(size=(80, 1)) * [1, -1], 0, 1)
    fit = learner_for("published", card("gradient_boosting")).fit(x, varying, rng())
    assert np.isfinite(fit.outputs(x)).all()
    assert fit.outputs(x[:0]).shape == (0, 2)


def test_one_hot_groups_are_one_column_where_all_rows_are_one_hot() -> None:
    x = MIXED.sample(20, rng())
    quick = coding_for(MIXED, x)
    assert quick(x).shape == (20, 3)
    assert quick.names == [1, 2]
    assert Coding(MIXED)(x).shape == (20, 5)
    assert Coding(MIXED).names == [4]
    assert coding_for(MIXED, MIXED.sample_cube(20, rng())) == Coding(MIXED)


def test_a_group_that_is_left_out_has_no_name() -> None:
    x = MIXED.sample(3, rng())
    quick = coding_for(MIXED, x)
    x[0, 1:4] = np.nan
    assert np.isnan(quick(x)).tolist() == [[False, True, False], [False] * 3, [False] * 3]


def test_where_the_family_is_not_published_held_out_answers_choose() -> None:
    learner = learner_for("published", card(None))
    assert isinstance(learner, Untold)
    x = BOX.sample(300, rng())
    bands = 3.0 * (np.floor(5 * x[:, 0]) % 2) - 1.5
    of_steps = forward.softmax(np.column_stack([bands, -bands]))
    of_lines = forward.softmax(np.column_stack([x[:, 0], -x[:, 1]]))
    won = [learner.fit(x, targets, rng(), brief=True) for targets in (of_steps, of_lines)]
    assert [isinstance(fit, UntoldFit) and fit.trees is not None for fit in won] == [True, False]
    assert "trees" in won[0].surrogate().note


def test_a_network_is_the_same_with_trees_beside_it_and_without() -> None:
    learner, x = learner_for("published", card(None)), BOX.sample(60, rng())
    assert isinstance(learner, Untold)
    lines = forward.softmax(np.column_stack([x[:, 0], -x[:, 1]]))
    both, alone = learner.fit(x, lines, rng()), learner.network.fit(x, lines, rng())
    assert all(
        np.array_equal(*pair) for pair in zip(both.network.thetas, alone.thetas, strict=True)
    )


def test_what_is_most_in_doubt_is_asked_first() -> None:
    x = BOX.sample(200, rng())
    fit = learner_for("published", card("gradient_boosting")).fit(x, steps(x), rng())
    outputs = fit.outputs(x)[fit.uncertain(x, 10, x)]
    doubts = np.abs(outputs[:, 0] - 0.5)
    assert all(one <= other for one, other in pairwise(doubts))


def test_mixes_of_valid_rows_are_valid() -> None:
    pool = MIXED.sample(10, rng())
    mixes = group_mixes(pool, 50, MIXED, rng(1))
    assert MIXED.valid(mixes).all()
    assert all((column == pool[:, [i]]).any(axis=0).all() for i, column in enumerate(mixes.T))
    assert group_mixes(pool[:0], 0, MIXED, rng()).shape == (0, MIXED.d)


def test_bare_labels_make_no_confidence_surer_than_the_trees_are() -> None:
    x = BOX.sample(200, rng())
    fit = learner_for("trees", card("gradient_boosting")).fit(
        x, np.eye(2)[steps(x).argmax(axis=1)], rng()
    )
    assert isinstance(fit, TreeFit)
    assert isinstance(fit.grown, Classified)
    assert fit.grown.temperature >= 1


def test_few_rows_say_nothing_of_which_of_two_models_is_right_more_often() -> None:
    right = np.arange(20) < 12
    assert not surely_more(right, np.roll(right, 1))
    assert not surely_more(np.arange(20) < 13, right)
    assert surely_more(np.arange(20) < 14, right)
    assert not surely_more(right, np.arange(20) < 14)


@pytest.mark.parametrize(
    ("n", "mixed", "kinds"), [(999, True, 2), (999, False, 1), (1000, True, 1)]
)
def test_few_answers_of_many_classes_are_learnt_by_trees_of_two_kinds(
    n: int, mixed: bool, kinds: int
) -> None:
    targets = rng().dirichlet(np.ones(3), size=n)
    grown = Boosted.of(BOX.sample(n, rng()), targets, LOG_ODDS, 2, mixed=mixed)
    assert [len(each) for each in grown.columns] == [kinds] * 3


@pytest.mark.parametrize(("k", "kinds"), [(2, 4), (3, 2)])
def test_a_forest_is_met_by_boosters_of_several_kinds(k: int, kinds: int) -> None:
    targets = rng().dirichlet(np.ones(k), size=30)
    grown = Boosted.of(BOX.sample(30, rng()), targets, SHARES, 5, mixed=True)
    assert [len(column) for column in grown.columns] == [kinds] * (1 if k == 2 else k)
    assert len({(b.max_leaf_nodes, b.min_samples_leaf) for b in grown.columns[0]}) > 1
