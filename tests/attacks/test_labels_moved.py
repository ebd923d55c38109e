"""Defenses that move the label: what is learnt must explain what was told, by a copy of them."""

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.inverses.agreement.certain import certified
from moatbench.inverses.agreement.stated import Agreement, Equations
from moatbench.learners.purchases import Purchases
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, extract
from moatbench.stack import Stack
from moatbench.strategies.channel import unless_moved
from moatbench.types import Array, Labels
from moatbench.victim import Victim

ATTACKS = ("robust_equations", "equation_solving", "inversion")
IRIS = ("softmax", "iris")


def last(victim: Victim, names: tuple[str, ...], attack: str, queries: int) -> Checkpoint:
    layers = {name: defense_of(name) for name in names}
    defense = Stack(layers) if len(layers) > 1 else layers[names[0]]
    (point,) = extract(victim, defense, attack_of(attack), checkpoints=[queries])
    return point


def constant(labels: Labels) -> float:
    """Return what the best constant answer is right on."""
    return float(np.bincount(labels).max() / len(labels))


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "names", [("mad", "mad_argmax"), ("grad2", "mad_argmax"), ("mad", "rounding")], ids="+".join
)
def test_nothing_is_worse_than_a_constant_where_a_copy_says_what_labels_mean(
    names: tuple[str, ...], attack: str
) -> None:
    """It was 0 to 32 % of the test rows, as labels that are never the model's were believed."""
    victim = victim_of(*IRIS)
    point = last(victim, names, attack, 150)
    own = victim.predict(victim.shares.x_test).labels
    assert point.metrics["fidelity_test"] > constant(own) + 2 * (0.25 / len(own)) ** 0.5


def test_two_classes_whose_labels_are_all_moved_are_learnt() -> None:
    point = last(victim_of("logistic", "breast_cancer"), ("mad",), "robust_equations", 310)
    assert point.metrics["fidelity_test"] > 0.95


@pytest.mark.parametrize(
    ("victim", "names", "queries"),
    [
        (IRIS, ("modelguard_w", "mad"), 150),
        (("softmax", "digits"), ("grad2", "mad_argmax"), 650),
    ],
    ids=["answers alike", "confidences alike"],
)
def test_what_is_told_alike_certifies_nothing(
    victim: tuple[str, str], names: tuple[str, ...], queries: int
) -> None:
    """A model that says the same of all was told as solved: 7 % of digits' test rows."""
    point = last(victim_of(*victim), names, "robust_equations", queries)
    assert point.parameters == {}


def test_equal_confidences_of_an_answer_count_once() -> None:
    rng = np.random.default_rng(0)
    a = np.hstack([rng.normal(size=(60, 3)), np.ones((60, 1))])
    w = rng.normal(size=(4, 5))
    logs, every = a @ w, np.ones((60, 5), bool)
    assert certified(Equations(a, logs, every), Agreement(w, every))
    level = np.zeros((4, 5))
    same = np.tile(rng.normal(size=(60, 1)), (1, 5))
    assert not certified(Equations(a, same, every), Agreement(level, every))
    constant_answer = np.tile(rng.normal(size=(1, 5)), (60, 1))
    assert not certified(Equations(a, constant_answer, every), Agreement(level, every))


def bought(victim: Victim, defense: Defense) -> tuple[Target, Purchases]:
    """Buy 150 uniform answers of a softmax regression on iris."""
    api = MeteredAPI(Deployment(victim, defense, stream(0, "defense")), [150])
    purchases = Purchases(api.card)
    purchases.add(api.query(api.card.space.sample(150, np.random.default_rng(0))))
    return Target(api, victim.shares.pool, Known(defense)), purchases


@pytest.mark.parametrize("name", ["mad", "grad2", "dawn", "random_labels"])
def test_the_true_model_is_never_given_up(name: str) -> None:
    victim, defense = victim_of(*IRIS), defense_of(name)
    target, purchases = bought(victim, defense)
    true = Surrogate(victim.predict)
    assert unless_moved(true, target, purchases, np.random.default_rng(0)) is true


def test_a_model_of_the_labels_as_told_is_given_up_behind_mad() -> None:
    victim, defense = victim_of(*IRIS), defense_of("mad")
    target, purchases = bought(victim, defense)
    known = {row.tobytes(): label for row, label in zip(purchases.x, purchases.labels, strict=True)}

    def as_told(x: Array) -> Reply:
        labels = np.array([known.get(row.tobytes(), 0) for row in x])
        return Reply(labels, np.eye(3)[labels] * 0.9 + 1 / 30)

    found = unless_moved(Surrogate(as_told), target, purchases, np.random.default_rng(0))
    assert found.note.startswith("labels, through what a copy")
    right = found.predict(purchases.x).labels == victim.predict(purchases.x).labels
    assert right.mean() > 0.5


def test_a_surrogate_of_labels_alone_stays() -> None:
    victim = victim_of(*IRIS)
    target, purchases = bought(victim, defense_of("mad"))
    bare = Surrogate(lambda x: Reply(np.zeros(len(x), np.int64)))
    assert unless_moved(bare, target, purchases, np.random.default_rng(0)) is bare


@pytest.mark.parametrize("names", [("mad", "grad2"), ("grad2", "mad")], ids="+".join)
def test_two_rules_that_both_move_the_label_hide_nothing(names: tuple[str, ...]) -> None:
    """No label was the model's, and the labels told were all that the search started from."""
    point = last(victim_of(*IRIS), names, "inversion", 150)
    assert point.note.startswith("equations solved")
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1


@pytest.mark.parametrize("family", ["mlp", "random_forest", "gradient_boosting"])
def test_restored_answers_are_not_given_up_for_labels(family: str) -> None:
    """Most answers have one origin: an mlp fell from 100 % of the test rows to 61 for labels."""
    point = last(victim_of(family, "iris"), ("mad",), "inversion", 300)
    assert "labels, through" not in point.note
    assert point.metrics["fidelity_test"] > 0.95
