"""Trees: every node answers, a missing feature stops the walk, the path can be told."""

from typing import Any

import numpy as np
import pytest

from moatbench.client import Surrogate
from moatbench.data import Column, Dataset, Table
from moatbench.judge.judge import Judge
from moatbench.models.tree import LEAF, Tree, indicators, raw_tree
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import Victim, reply_problem
from moatbench.victims.ensembles import gradient_boosting, hist_gradient_boosting, random_forest
from moatbench.victims.tree import regression_tree, tree, wilson_bound


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Two numeric features and one of four colours; one class a corner, with some noise."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 10, (600, 2))
    colour = rng.integers(4, size=600).astype(float)
    y = ((x[:, 0] > 4) & (colour != 2)) + 1 * ((x[:, 1] > 7) & (colour == 1))
    y = np.where(rng.random(600) < 0.1, rng.integers(3, size=600), y)
    columns = (
        Column("x0", x[:, 0]),
        Column("colour", colour, ("red", "green", "blue", "black")),
        Column("x1", x[:, 1]),
    )
    return Dataset(Table("made", columns, y.astype(np.int64), ("a", "b", "c")))


def grown(data: Dataset, **knobs: Any) -> Victim:
    given: dict[str, Any] = {
        "leaves": 12,
        "min_samples_leaf": 2,
        "answers": "distribution",
        "partial": True,
        "fields": True,
        "decimals": None,
    }
    victim: Victim = tree(data, np.random.default_rng(1), **(given | knobs))
    return victim


def regression(data: Dataset, target: str | None) -> Victim:
    knobs: dict[str, Any] = {"partial": False, "fields": False, "decimals": None}
    rng = np.random.default_rng(0)
    victim: Victim = regression_tree(
        data, rng, target=target, leaves=8, min_samples_leaf=1, **knobs
    )
    return victim


def by_hand() -> Tree:
    """Root x0 <= 0.5; on its left, colour (column 1) is 2 or not."""
    return Tree(
        feature=np.array([0, 1, LEAF, LEAF, LEAF]),
        threshold=np.array([0.5, np.nan, np.nan, np.nan, np.nan]),
        inside=np.array([[False] * 3, [True, True, False], *[[False] * 3] * 3]),
        left=np.array([1, 3, 0, 0, 0]),
        right=np.array([2, 4, 0, 0, 0]),
        labels=np.arange(5),
        outputs=np.arange(5.0)[:, None],
    )


def test_a_walk_goes_left_at_a_threshold_and_by_code() -> None:
    x = np.array([[0.5, 0], [0.5, 2], [0.6, 2]])
    assert by_hand().walk(x).tolist() == [3, 4, 2]


def test_a_missing_feature_ends_the_walk_at_the_node_that_tests_it() -> None:
    x = np.array([[np.nan, 0], [0.1, np.nan], [0.9, np.nan]])
    assert by_hand().walk(x).tolist() == [0, 1, 2]


def test_the_path_holds_the_feature_that_stopped_the_walk() -> None:
    _, path = by_hand().trace(np.array([[np.nan, 0], [0.1, np.nan], [0.9, np.nan]]))
    assert path.tolist() == [[1, 0], [1, 1], [1, 0]]


def test_the_tree_on_raw_codes_answers_as_scikit_learns_on_indicators(data: Dataset) -> None:
    from sklearn.tree import DecisionTreeClassifier

    shares = data.shares(np.random.default_rng(1), "codes")
    model = DecisionTreeClassifier(max_leaf_nodes=12, random_state=0)
    model.fit(indicators(shares.space, shares.x_train), shares.y_train)
    share: Array = np.asarray(model.tree_.value[:, 0, :])
    mine = raw_tree(model.tree_, shares.space, share, share)
    x = shares.space.sample(2000, np.random.default_rng(2))
    theirs = model.predict_proba(indicators(shares.space, x))
    assert np.array_equal(mine.outputs[mine.walk(x)], theirs)


def test_a_node_answers_the_class_shares_of_its_training_rows(data: Dataset) -> None:
    victim = grown(data)
    reply = victim.predict(np.full((1, 3), np.nan))
    assert reply.outputs is not None
    share = np.bincount(victim.shares.y_train) / len(victim.shares.y_train)
    assert reply.outputs[0] == pytest.approx(share)


def test_the_wilson_bound_of_a_pure_leaf_grows_with_its_size() -> None:
    # 1 / (1 + z^2 / n): 0.510 for 4 rows
    bound = wilson_bound(np.ones(2), np.array([4.0, 40.0]))
    assert bound == pytest.approx([4 / (4 + 1.96**2), 40 / (40 + 1.96**2)])


def test_a_single_confidence_need_not_sum_to_one(data: Dataset) -> None:
    victim = grown(data, answers="confidence", decimals=5)
    reply = victim.predict(victim.shares.x_test)
    assert reply.outputs is not None
    assert not victim.full
    assert ((reply.outputs > 0).sum(axis=1) <= 1).all()
    assert reply_problem(reply, len(reply), 3, full=False) == ""
    assert "must be probabilities" in reply_problem(reply, len(reply), 3)


def test_rounded_distributions_still_sum_to_one(data: Dataset) -> None:
    reply = grown(data, decimals=1).predict(np.full((1, 3), np.nan))
    assert reply.outputs is not None
    assert reply.outputs.sum() == pytest.approx(1, abs=1e-12)


def test_a_service_that_does_not_tell_the_path_answers_none(data: Dataset) -> None:
    assert grown(data, fields=False).predict(np.zeros((1, 3))).path is None


def test_a_regression_tree_predicts_a_numeric_feature_that_is_no_input(data: Dataset) -> None:
    victim = regression(data, "x0")
    assert victim.classes == ("value",)
    assert [f.name for f in victim.space.features] == ["colour", "x1"]


def test_the_judge_scores_a_regression_by_equal_values(data: Dataset) -> None:
    victim = regression(data, None)

    def shifted(x: Array) -> Reply:
        reply = victim.predict(x)
        assert reply.outputs is not None
        return Reply(reply.labels, reply.outputs + 0.25)

    judge = Judge(victim, np.random.default_rng(0))
    exact, off = judge.score(Surrogate(victim.predict)), judge.score(Surrogate(shifted))
    assert [exact["fidelity_test"], exact["error_uniform"]] == [1, 0]
    assert [off["fidelity_test"], off["error_uniform"]] == pytest.approx([0, 0.25])
    assert np.isnan(exact["tv_test"])


def test_ensembles_answer_probabilities(data: Dataset) -> None:
    forest = random_forest(data, np.random.default_rng(0), trees=5, leaves=None, min_samples_leaf=1)
    boosted = gradient_boosting(
        data, np.random.default_rng(0), trees=5, leaves=4, learning_rate=0.1
    )
    assert (forest.family, boosted.family) == ("random_forest", "gradient_boosting")


def test_boosting_on_histograms_answers_as_scikit_learn_does(data: Dataset) -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    rng = np.random.default_rng(0)
    victim = hist_gradient_boosting(
        data, rng, trees=7, leaves=5, learning_rate=0.2, min_samples_leaf=3
    )
    shares, x = victim.shares, victim.shares.x_test
    theirs = HistGradientBoostingClassifier(
        max_iter=7, max_leaf_nodes=5, learning_rate=0.2, min_samples_leaf=3
    ).fit(shares.space.scaled(shares.x_train), shares.y_train)
    assert victim.family == "gradient_boosting"
    outputs = victim.predict(x).outputs
    np.testing.assert_allclose(outputs, theirs.predict_proba(shares.space.scaled(x)), atol=1e-12)


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"leaves": 1}, "leaves must be a whole number of at least 2, got 1"),
        ({"min_samples_leaf": 0}, "min_samples_leaf must be a whole number of at least 1, got 0"),
        ({"answers": "label"}, "answers must be distribution or confidence, got 'label'"),
        ({"decimals": -1}, "decimals must be a whole number from 0 to 15"),
    ],
)
def test_a_bad_knob_is_told(data: Dataset, knobs: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        grown(data, **knobs)


def test_a_target_that_is_no_numeric_feature_is_told(data: Dataset) -> None:
    with pytest.raises(ValueError, match=r"must be a numeric feature .*got 'colour'.*x0, x1"):
        regression(data, "colour")
