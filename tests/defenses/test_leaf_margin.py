"""The margins of a tree's leaves, as the margin counter was released with them."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from shop import by_hand, defense_of, victim_of

from moatbench.defenses.monitors.leaf_margin import MASS, SIDE, LeafMargins, _reach
from moatbench.defenses.monitors.margin_counter import MarginCounter, _Count
from moatbench.models.tree import LEAF, Tree
from moatbench.numerics.calibration import Calibration
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.tree import Served

CALIBRATION = Calibration(false_positives=0.1, horizon=100, accounts=9)


@pytest.fixture
def stump() -> Victim:
    """A tree that splits [-1, 1]^2 at 0 of the first column."""
    grown = Tree(
        feature=np.array([0, LEAF, LEAF]),
        threshold=np.array([0.0, np.nan, np.nan]),
        inside=np.zeros((3, 1), bool),
        left=np.array([1, -1, -1]),
        right=np.array([2, -1, -1]),
        labels=np.array([0, 0, 1]),
        outputs=np.array([[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]]),
    )
    x = np.random.default_rng(0).uniform(-1, 1, (600, 2))
    return by_hand(Served(grown, fields=False), x, (400, 500), classes=("a", "b"), family="tree")


def test_margins_lie_inside_the_leaf_along_the_columns_on_its_way(stump: Victim) -> None:
    margins = LeafMargins.of(stump, np.random.default_rng(0))
    assert np.isinf(margins.low[:, 1]).all()  # the second column was never split
    assert np.isinf(margins.high[:, 1]).all()
    reach = margins.low[:, 0] - [-1.0, 0.0]  # the left leaf is [-1, 0], the right one [0, 1]
    assert ((reach > 0) & (reach <= SIDE + 1e-12)).all()
    x = np.array([[-1.0, 0.0], [-0.5, 1.0], [-1e-3, 0.0], [1e-3, 0.0], [0.5, 0.0], [1.0, 0.0]])
    place, inside = margins(x)
    assert place.tolist() == [0, 0, 0, 1, 1, 1]
    assert inside.tolist() == [True, False, True, True, False, True]


def test_a_margin_ends_where_the_density_has_half_a_percent() -> None:
    rng = np.random.default_rng(0)
    lower, upper = _reach(rng.uniform(0, 1, 200), (0.0, 1.0), 1.0)
    # Uniform rows: .005 of them within .005 of an end, less what the kernels smear
    assert lower == pytest.approx(MASS, abs=0.01)
    assert upper == pytest.approx(MASS, abs=0.01)
    far = _reach(rng.uniform(0.4, 0.6, 200), (0.0, 1.0), 1.0)
    assert far == pytest.approx((SIDE, SIDE))  # nobody is near an end


def test_the_status_is_the_mean_over_leaves_from_the_sixth_query_of_each() -> None:
    monitor = MarginCounter("leaf", 0.02, 0.3, 50, CALIBRATION)
    monitor._parts = 4
    at, inside = np.zeros(10, np.intp), np.arange(10) % 2 == 0
    at[7:] = -1  # that stop before a leaf
    found = monitor._statuses(at, inside & (at >= 0), monitor._nothing())
    assert found[:9].tolist() == [-inf] * 9
    assert found[9] == pytest.approx((4 / 7 + 0 + 0 + 0) / 4)
    few = _Count(5, np.array([5, 0, 0, 0]), np.array([5, 0, 0, 0]))
    assert monitor._statuses(np.full(5, -1), np.zeros(5, bool), few)[-1] == 0.0


def test_who_asks_within_the_margins_is_caught_and_no_customer_is() -> None:
    tree = victim_of("tree", "breast_cancer")
    (monitor,) = defense_of("margin_counter").monitors
    monitor.deploy(tree, np.random.default_rng(0))
    margins = LeafMargins.of(tree, np.random.default_rng(0))
    x = tree.shares.x_test[np.random.default_rng(1).permutation(len(tree.shares.x_test))]
    assert not monitor.observe(x, tree.predict(x).labels, "customer").any()
    assert margins(x)[1].mean() < 0.2
    # who bisects asks within the margins of many leaves
    thief = _at_the_splits(tree, margins)
    assert monitor.observe(thief, tree.predict(thief).labels, "thief").any()


def _at_the_splits(tree: Victim, margins: LeafMargins) -> Array:
    """Six times a training row of each leaf, moved into its margin along a column on its way."""
    place, _ = margins(tree.shares.x_train)
    x = tree.shares.x_train[[int(np.argmax(place == leaf)) for leaf in np.unique(place)]].copy()
    for row, leaf in enumerate(np.unique(place)):
        column = int(np.flatnonzero(np.isfinite(margins.low[leaf]))[0])
        x[row, column] = margins.low[leaf, column] - 1e-9
    return np.repeat(x, 6, axis=0)


def test_a_victim_that_is_no_tree_is_told_what_asks_any_classifier(stump: Victim) -> None:
    monitor = MarginCounter("leaf", 0.02, 0.3, 50, CALIBRATION)
    other = replace(stump, predict=lambda x: Reply((x[:, 0] > 0).astype(np.int64)))
    with pytest.raises(NotApplicable, match="choose victim=tree, or label_margin"):
        monitor.deploy(other, np.random.default_rng(0))


def test_the_rule_is_that_of_leaves_for_a_tree_and_of_labels_for_others(stump: Victim) -> None:
    other = replace(stump, predict=lambda x: Reply((x[:, 0] > 0).astype(np.int64)))
    for victim, margin in ((stump, "leaf"), (other, "label")):
        monitors = [MarginCounter(m, 0.02, 0.3, 50, CALIBRATION) for m in ("auto", margin)]
        for monitor in monitors:
            monitor.deploy(victim, np.random.default_rng(0))
        x = victim.shares.x_test
        one, two = (m.score(x, victim.predict(x).labels, "a").tolist() for m in monitors)
        assert one == two
