"""Odd victims, pools, columns and answers: who learns trees says so or goes on with what it has."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from shop import victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.attacks.adaptive_retraining import AdaptiveRetraining
from moatbench.attacks.committee_retraining import CommitteeRetraining
from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.attacks.extract_and_test import ExtractAndTest
from moatbench.attacks.line_search_retraining import LineSearchRetraining
from moatbench.attacks.pool_retraining import PoolRetraining
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.client import Surrogate
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Extraction
from moatbench.traits import NOTHING
from moatbench.types import Array, Generator
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.ensembles import gradient_boosting
from moatbench.victims.tree import regression_tree, tree

LEARNT = ("confidences", "published")
RETRAINING: dict[str, Attack] = {
    "adaptive": AdaptiveRetraining(*LEARNT, "cube", 0.5, 0.5, 0.05),
    "line_search": LineSearchRetraining(*LEARNT, "cube", 0.5, 0.5),
    "uniform": UniformRetraining(*LEARNT, "cube"),
    "pool": PoolRetraining(*LEARNT, neighbours=5),
    "committee": CommitteeRetraining(*LEARNT, 0.25, 1.0, 0.6, 2, None),
    "extract_and_test": ExtractAndTest(("softmax", "trees"), "valid"),
}
ALL = RETRAINING | {"expansion": EnsembleExpansion(draws=60, width=4)}
TREE = {"min_samples_leaf": 5, "fields": False, "decimals": None}
CHECKPOINTS = (60, 150)

of_each = pytest.mark.parametrize("attack", ALL.values(), ids=ALL)


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Two columns that tell the class, and two that never vary, a number and a name."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.uniform(0, 1, (300, 2)), np.full(300, 7.0), np.zeros(300)])
    names = (None, None, None, ("only",))
    columns = tuple(Column(f"f{i}", x[:, i], names[i]) for i in range(4))
    y = (x[:, 0] > 0.4).astype(np.int64)
    return Dataset(Table("made", columns, y, ("no", "yes")))


@pytest.fixture(scope="module")
def boosted(data: Dataset) -> Victim:
    knobs = {"trees": 5, "leaves": 4, "learning_rate": 0.3}
    victim: Victim = gradient_boosting(data, stream(0, "victim"), **knobs)
    return victim


@pytest.fixture(scope="module")
def partial(data: Dataset) -> Victim:
    """Return a tree that takes rows with values left out."""
    knobs = TREE | {"answers": "confidence", "leaves": 4, "partial": True}
    victim: Victim = tree(data, stream(0, "victim"), **knobs)
    return victim


def fidelity(victim: Victim, attack: Attack, defense: Defense) -> list[float]:
    curve = Extraction(victim, defense, attack, CHECKPOINTS, seed=0)
    return [float(point.metrics["fidelity_test"]) for point in curve]


def constant(victim: Victim) -> float:
    """Share of test rows that the best constant answer meets."""
    labels = victim.predict(victim.shares.x_test).labels
    return float(np.bincount(labels).max() / len(labels))


class Varying(Defense):
    """Equal rows are answered otherwise each time, now and then by another label, untold."""

    traits = NOTHING

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._rng = rng

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        blurred = reply.outputs[:, 1] + self._rng.normal(0, 0.1, len(x))
        blurred = np.where(self._rng.random(len(x)) < 0.05, 1 - blurred, blurred).clip(0.01, 0.99)
        told = np.column_stack([1 - blurred, blurred])
        return replace(reply, outputs=told, labels=told.argmax(axis=1))


@of_each
def test_constant_columns_are_no_obstacle(boosted: Victim, attack: Attack) -> None:
    assert fidelity(boosted, attack, Defense())[-1] > 0.95


@of_each
def test_answers_that_vary_are_learnt_from_all_the_same(boosted: Victim, attack: Attack) -> None:
    assert fidelity(boosted, attack, Varying())[-1] > (1 + constant(boosted)) / 2


@of_each
def test_a_pool_of_one_row_is_enough(boosted: Victim, attack: Attack) -> None:
    shares = replace(boosted.shares, pool=boosted.shares.pool[:1])
    assert fidelity(replace(boosted, shares=shares), attack, Defense())[-1] > 0.9


@of_each
def test_a_row_with_values_left_out_is_answered(partial: Victim, attack: Attack) -> None:
    x = partial.shares.x_test[:5].copy()
    x[:, 0] = np.nan
    for surrogate in played(partial, attack):
        told = surrogate.predict(x).outputs
        assert told is not None
        assert np.isfinite(told).all()


def played(victim: Victim, attack: Attack) -> Iterator[Surrogate]:
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "defense")), list(CHECKPOINTS))
    yield from attack.run(Target(api, victim.shares.pool), stream(0, "attack"))
    assert api.queries == CHECKPOINTS[-1]


@pytest.mark.parametrize("attack", RETRAINING.values(), ids=RETRAINING)
def test_who_learns_classes_says_that_values_are_none(data: Dataset, attack: Attack) -> None:
    knobs = TREE | {"target": "f0", "leaves": 4, "partial": False}
    values = regression_tree(data, stream(0, "victim"), **knobs)
    with pytest.raises(NotApplicable, match="needs classes, and the API answers values"):
        fidelity(values, attack, Defense())


def test_most_values_of_a_tree_are_met_before_its_terms_are_known(data: Dataset) -> None:
    knobs = TREE | {"target": "f0", "leaves": 12, "partial": False}
    values = regression_tree(data, stream(0, "victim"), **knobs)
    expansion = EnsembleExpansion(draws=500, width=4)
    (point,) = Extraction(values, Defense(), expansion, [150], seed=0)
    assert point.note == "one grown tree"
    assert point.metrics["fidelity_test"] > 0.6


@pytest.mark.parametrize("name", ["adaptive", "line_search", "uniform", "only_trees"])
@pytest.mark.parametrize("told", [True, False])
def test_many_answers_are_no_worse_than_the_best_constant_one(name: str, told: bool) -> None:
    """Whether the family is published or not: uniform rows alone hardly show one of the classes."""
    victim = victim_of("gradient_boosting", "breast_cancer")
    attacks = RETRAINING | {"only_trees": ExtractAndTest(("trees",), "valid")}
    served = victim if told else replace(victim, family=None, architecture={})
    (point,) = Extraction(served, Defense(), attacks[name], (400,), seed=0)
    assert point.metrics["fidelity_test"] > (1 + constant(victim)) / 2
