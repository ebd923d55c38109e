"""A forest that answers 0 and 1 alone: one tree falls, and of votes of many nothing is wasted."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shop import by_hand, victim_of

from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.defense import Defense
from moatbench.defenses.binning import Binning
from moatbench.defenses.rounding import Rounding
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.space import InputSpace
from moatbench.types import Array
from moatbench.victim import Victim


def played(victim: Victim, defense: Defense, *checkpoints: int, **knobs: Any) -> list[Checkpoint]:
    attack = EnsembleExpansion(**({"draws": 2000, "width": 8} | knobs))
    return list(Extraction(victim, defense, attack, checkpoints, seed=0))


def are_whole(victim: Victim) -> bool:
    told = victim.predict(victim.space.sample(2000, np.random.default_rng(1))).outputs
    assert told is not None
    return bool(np.isin(told, (0, 1)).all())


def forest(predict: Any, d: int = 2) -> Victim:
    space = InputSpace.box(d)
    x = space.sample(400, np.random.default_rng(0))
    return by_hand(predict, x, (100, 200), space, ("a", "b"), "random_forest")


def stump(x: Array) -> Reply:
    return from_outputs(np.eye(2)[(x[:, 0] > 0.1).astype(np.intp)])


@pytest.mark.parametrize("data", ["iris", "wine"])
def test_a_forest_of_one_tree_falls_as_a_tree_does(data: str) -> None:
    one = victim_of("random_forest", data, "victim.trees=1")
    assert are_whole(one)
    (point,) = played(one, Defense(), 1000)
    assert "no surprise in the last" in point.note
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] == 0


def of_one_random_tree(path: Path, depth: int | None) -> Victim:
    import skops.io
    from sklearn.ensemble import ExtraTreesClassifier

    shares = victim_of("random_forest", "iris", "victim.trees=1").shares
    model = ExtraTreesClassifier(1, max_depth=depth, random_state=0)
    skops.io.dump(model.fit(shares.x_train, shares.y_train), path)
    return victim_of("model", "iris", f"victim.path={path}")


@pytest.mark.parametrize("depth", [3, None])
def test_one_extremely_randomised_tree_of_its_owner_falls(tmp_path: Path, depth: int) -> None:
    """Its leaves are classes, or distributions where its depth is bounded."""
    one = of_one_random_tree(tmp_path / "m.skops", depth)
    assert one.family == "random_forest"
    assert are_whole(one) == (depth is None)
    (point,) = played(one, Defense(), 1500)
    assert "no surprise" in point.note
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["fidelity_uniform"] > 0.995


@pytest.mark.parametrize("second", [0.25, 1.0])
def test_a_leaf_that_few_draws_meet_may_be_a_distribution(second: float) -> None:
    """And the only one: answers were 0 and 1 alone when the terms were begun."""

    def predict(x: Array) -> Reply:
        p = np.where((x > 0.7).all(axis=1), second, x[:, 0] > 0.1)
        return from_outputs(np.column_stack([1 - p, p]))

    (point,) = played(forest(predict, 3), Defense(), 600, draws=60)
    assert "no surprise" in point.note
    assert point.metrics["tv_uniform"] == 0


def test_a_forest_of_one_answer_is_a_constant() -> None:
    def predict(x: Array) -> Reply:
        return from_outputs(np.eye(2)[np.ones(len(x), np.intp)])

    (point,) = played(forest(predict), Defense(), 400, draws=100)
    assert point.note.startswith("terms: 1 terms of 0 tests, no surprise")


@pytest.mark.parametrize("defense", [Rounding(0), Binning(2)])
def test_shares_that_are_known_to_be_rounded_to_whole_ones_are_learnt_from(
    defense: Defense,
) -> None:
    """Votes of a forest are many terms: all questions are draws, as they always were."""
    (point,) = played(forest(stump), defense, 400, draws=100)
    assert "0 and 1 alone, and the defense rounds a forest's shares to them" in point.note


def votes(x: Array) -> Reply:
    """The vote of 31 stumps on as many sums of features, of which trees know few."""
    sides = np.random.default_rng(3).normal(size=(x.shape[1], 31))
    return from_outputs(np.eye(2)[((x @ sides > 0).sum(axis=1) > 15).astype(np.intp)])


def test_votes_that_nobody_told_of_are_given_up_after_few_questions() -> None:
    early, late = played(forest(votes, 6), Defense(), 560, 1100)
    assert "not explained" in early.note
    assert "terms explain few: votes of a forest, or a tree that is too large" in late.note
    assert "certificate" not in late.parameters
    assert late.metrics["fidelity_uniform"] >= early.metrics["fidelity_uniform"]
