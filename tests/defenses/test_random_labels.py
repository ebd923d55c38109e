"""Random labels: an API that knows nothing."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2_contingency, chisquare

from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.random_labels import RandomLabels
from moatbench.reply import Reply
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array, Labels
from moatbench.victim import Victim


def told(victim: Victim, x: Array, grid: float = 1e-6, seed: int = 0) -> Labels:
    defense = RandomLabels(grid)
    defense.deploy(victim, np.random.default_rng(seed))
    labels: Labels = defense.respond(x, victim.predict(x), "alice").labels
    return labels


def test_the_contract_holds_in_a_stack(toy: Victim) -> None:
    defense = Stack({"random": RandomLabels(0.1), "labels": LabelOnly()})
    assert check_defense(toy, defense) == ""


def test_labels_are_independent_of_the_victim_s_and_uniform(toy: Victim) -> None:
    x = toy.space.sample(10_000, np.random.default_rng(1))
    labels, truth = told(toy, x), toy.predict(x).labels
    counts = np.array([[np.sum((truth == t) & (labels == a)) for a in range(3)] for t in range(3)])
    assert counts.sum(axis=1).min() > 500  # the victim's labels are no constant
    assert chi2_contingency(counts).pvalue > 0.001
    assert chisquare(counts.sum(axis=0)).pvalue > 0.001


def test_the_victim_s_answer_has_no_say(toy: Victim) -> None:
    x = toy.space.sample(100, np.random.default_rng(1))
    constant = replace(toy, predict=lambda q: Reply(np.zeros(len(q), np.int64)))
    assert np.array_equal(told(toy, x), told(constant, x))


def test_a_repeat_within_the_grid_is_told_the_same_and_another_key_another_thing(
    toy: Victim,
) -> None:
    x = np.round(toy.space.sample(200, np.random.default_rng(1)), 2)
    assert np.array_equal(told(toy, x, grid=0.01), told(toy, x + 0.004, grid=0.01))
    assert not np.array_equal(told(toy, x, grid=0.01), told(toy, x + 0.006, grid=0.01))
    assert not np.array_equal(told(toy, x), told(toy, x, seed=1))


def test_neither_confidences_nor_path_are_told_and_the_withheld_stay_so(toy: Victim) -> None:
    x = toy.space.sample(3, np.random.default_rng(1))
    defense = RandomLabels(1e-6)
    defense.deploy(toy, np.random.default_rng(0))
    withheld = np.array([True, False, False])
    full = replace(toy.predict(x), path=np.zeros((3, 4)), refused=withheld)
    reply = defense.respond(x, full, "alice")
    assert reply.outputs is None
    assert reply.path is None
    assert reply.refused is withheld
    assert not defense.traits.confidences
    assert not defense.traits.keeps_labels


def test_one_class_leaves_nothing_to_draw(toy: Victim) -> None:
    shares = replace(toy.shares, classes=("value",))
    value = Victim(shares, lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]))
    with pytest.raises(ValueError, match="this victim has one; choose a classifier"):
        told(value, np.zeros((1, 4)))


@pytest.mark.parametrize("grid", [0, -1.0, "fine"])
def test_a_bad_grid_is_told_what_is_allowed(grid: float) -> None:
    with pytest.raises(ValueError, match=r"grid must be a number above 0, got .*; for example"):
        RandomLabels(grid)
