"""Query by committee: which questions it asks, and of whom."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shop import Spy, by_hand

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.attacks.adaptive_retraining import AdaptiveRetraining
from moatbench.attacks.committee_retraining import CommitteeRetraining
from moatbench.attacks.pool_retraining import PoolRetraining
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.models import forward
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import extract
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.stack import Stack
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim

SPACE = InputSpace((Numeric("age", 0.0, 10.0), Categorical("day", ("a", "b", "c")), Numeric("x")))


def predict(x: Array) -> Reply:
    z = 2.0 * (x[:, 0] > 6) - 1.5 * (x[:, 1] > 0) * (x[:, -1] > 0.1) + 0.5 * (x[:, -1] < -0.6)
    return from_outputs(forward.softmax(np.column_stack([z, 0.2 - z])))


def victim(pool: int = 80, family: str = "gradient_boosting") -> Victim:
    x = SPACE.sample(200 + pool, np.random.default_rng(0))
    return by_hand(predict, x, (100, 200), SPACE, ("no", "yes"), family)


def committee(**knobs: Any) -> Attack:
    base: dict[str, Any] = {"answers": "confidences", "learner": "published", "first": 0.25}
    own = {"growth": 1.0, "chosen_share": 0.6, "members": 2, "candidates": 3}
    attack: Attack = CommitteeRetraining(**(base | own | knobs))
    return attack


def asked(target: Victim, attack: Attack, checkpoints: list[int], *defenses: Defense) -> Array:
    spy = Spy()
    watched = Stack({"spy": spy} | {str(i): one for i, one in enumerate(defenses)})
    api = MeteredAPI(Deployment(target, watched, stream(0, "defense")), checkpoints)
    list(attack.run(Target(api, target.shares.pool), stream(0, "attack")))
    return np.vstack(spy.seen)


def test_all_questions_are_valid_rows_and_many_are_rows_of_the_pool() -> None:
    target = victim()
    x = asked(target, committee(), [120])
    assert SPACE.valid(x).all()
    own = (x[:, None] == target.shares.pool[None]).all(axis=2).any(axis=1)
    assert 15 < own.sum() < 80


def test_what_is_asked_does_not_depend_on_the_checkpoints() -> None:
    one, two = (asked(victim(), committee(), points) for points in ([90], [3, 30, 90]))
    np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("answers", "defenses", "candidates"),
    [
        ("confidences", (), 6),
        ("confidences", (LabelOnly(),), 12),
        ("labels", (), 12),
    ],
)
def test_of_labels_it_chooses_among_twice_as_many(
    answers: str, defenses: tuple[Defense, ...], candidates: int
) -> None:
    chosen, one, other = (
        asked(victim(), committee(answers=answers, candidates=m), [90], *defenses)
        for m in (None, candidates, 18 - candidates)
    )
    np.testing.assert_array_equal(chosen, one)
    assert not np.array_equal(chosen, other)


@pytest.mark.parametrize("defense", [Defense, LabelOnly])
def test_a_boosted_model_is_learnt_from_a_few_hundred_answers(
    defense: Callable[[], Defense],
) -> None:
    (point,) = extract(victim(), defense(), committee(), checkpoints=[200])
    assert point.metrics["fidelity_test"] > 0.93


@pytest.mark.parametrize("pool", [0, 1])
def test_a_pool_of_a_row_or_none_leaves_uniform_rows(pool: int) -> None:
    x = asked(victim(pool), committee(), [60])
    assert len(x) == 60
    assert len(np.unique(x, axis=0)) > 55


def test_a_pool_of_one_row_leaves_uniform_rows_to_trees() -> None:
    attack = PoolRetraining(answers="confidences", learner="published", neighbours=5)
    assert len(np.unique(asked(victim(1), attack, [40]), axis=0)) == 40


def test_pool_retraining_mixes_whole_features_where_trees_are_learnt() -> None:
    target = victim(20)
    attack = PoolRetraining(answers="confidences", learner="published", neighbours=5)
    x = asked(target, attack, [60])
    assert SPACE.valid(x).all()
    assert np.isin(x[:, 0], target.shares.pool[:, 0]).all()


@pytest.mark.parametrize(
    "attack",
    [
        AdaptiveRetraining("confidences", "published", "cube", 0.5, 0.5, 0.05),
        UniformRetraining("confidences", "published", "cube"),
    ],
)
def test_who_learns_trees_from_the_cube_asks_about_the_pool_too(attack: Attack) -> None:
    target = victim()
    x = asked(target, attack, [40])
    own = (x[:, None] == target.shares.pool[None]).all(axis=2).any(axis=1)
    assert own.any()
    assert not own.all()


@pytest.mark.parametrize("learner", ["trees", "published"])
def test_where_the_family_is_not_told_the_pool_is_asked_too(learner: str) -> None:
    """Trees may be what is learnt then; of random rows alone they were below a constant answer."""
    target = replace(victim(), family=None)
    attack = AdaptiveRetraining("confidences", learner, "cube", 0.5, 0.5, 0.05)
    x = asked(target, attack, [40])
    own = (x[:, None] == target.shares.pool[None]).all(axis=2).any(axis=1)
    assert own.any()
    assert not own.all()


def test_a_model_that_answers_values_is_none_for_a_committee() -> None:
    x = SPACE.sample(60, np.random.default_rng(0))
    values = by_hand(
        lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]), x, (20, 40), SPACE, ("value",)
    )
    with pytest.raises(NotApplicable, match="class"):
        list(extract(values, Defense(), committee(), checkpoints=[20]))


@pytest.mark.parametrize(
    ("knob", "value"),
    [("members", 1), ("candidates", 0), ("growth", 0), ("chosen_share", 1.5), ("learner", "tree")],
)
def test_a_bad_knob_is_told(knob: str, value: object) -> None:
    with pytest.raises(ValueError, match=knob):
        committee(**{knob: value})
