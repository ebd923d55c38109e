"""DAWN: what it plants, where, and for whom it remembers it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from shop import deployed

from moatbench.api import Deployment
from moatbench.defense import Defense, Marks, evidence_of
from moatbench.defenses.dawn import DAWN, first_other
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.quota import Quota
from moatbench.reply import Reply, from_outputs
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Victim

NAN = float("nan")


def asked(defense: Defense, victim: Victim, x: Array, account: str = "alice") -> Reply:
    return defense.respond(x, victim.predict(x), account)


def planted(defense: Defense) -> Marks:
    marks = evidence_of(defense).marks
    assert marks is not None
    return marks


def uniform(victim: Victim, n: int, seed: int = 1) -> Array:
    return victim.space.sample(n, np.random.default_rng(seed))


@pytest.mark.parametrize(
    "defense",
    [
        DAWN(1.0, 0.5),
        QueryMonitoring(Quota(50), DAWN(0.2, 0.01)),
        Stack({"dawn": DAWN(0.2, 0.1), "labels": LabelOnly()}),
    ],
    ids=lambda d: type(d).__name__,
)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


def test_the_share_of_rows_that_are_told_wrongly_is_the_knob(toy: Victim) -> None:
    x = uniform(toy, 20_000)
    wrong = asked(deployed(DAWN(0.02, 1e-6), toy), toy, x).labels != toy.predict(x).labels
    assert wrong.sum() == pytest.approx(400, abs=4 * 20)  # four standard deviations


def test_a_share_of_one_tells_no_truth(toy: Victim) -> None:
    x = uniform(toy, 500)
    told = asked(deployed(DAWN(1.0, 0.01), toy), toy, x)
    assert not (told.labels == toy.predict(x).labels).any()


def test_wrong_labels_are_uniform_over_the_other_classes(toy: Victim) -> None:
    x = uniform(toy, 6000)
    told, truth = asked(deployed(DAWN(1.0, 1e-6), toy), toy, x).labels, toy.predict(x).labels
    for label in range(3):
        n, ahead = (truth == label).sum(), (told[truth == label] == (label + 1) % 3).mean()
        assert ahead == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(n))


def test_the_label_told_is_the_first_in_the_order_that_is_wrong() -> None:
    order = np.array([[2, 0, 1], [0, 1, 2], [1, 2, 0]])
    assert first_other(order, np.array([2, 2, 1])).tolist() == [0, 0, 2]


def test_the_two_labels_change_places_in_the_confidences(toy: Victim) -> None:
    y = np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]])
    defense = deployed(DAWN(1.0, 0.1), toy)
    told = defense.respond(uniform(toy, 2), from_outputs(y), "alice")
    assert told.outputs is not None
    for row, truth in enumerate((0, 2)):
        label = int(told.labels[row])
        expected = y[row].copy()
        expected[[truth, label]] = expected[[label, truth]]
        assert told.outputs[row].tolist() == expected.tolist()
        assert told.outputs[row].argmax() == label != truth


def test_every_account_is_told_the_same_and_each_cell_is_kept_once(toy: Victim) -> None:
    defense, x = deployed(DAWN(0.1, 0.01), toy), uniform(toy, 400)
    thief = asked(defense, toy, x, "thief").labels
    assert np.array_equal(asked(defense, toy, x[:200], "honest").labels, thief[:200])
    assert np.array_equal(asked(defense, toy, x, "thief").labels, thief)
    marks, wrong = planted(defense), thief != toy.predict(x).labels
    assert np.array_equal(marks.x, x[wrong])
    assert np.array_equal(marks.labels, thief[wrong])
    both = frozenset({"thief", "honest"})
    expected = [both if row < 200 else frozenset({"thief"}) for row in np.flatnonzero(wrong)]
    assert list(marks.accounts) == expected


def test_the_marks_of_an_account_are_those_that_it_was_told(toy: Victim) -> None:
    defense = deployed(DAWN(0.1, 0.01), toy)
    asked(defense, toy, uniform(toy, 300, seed=1), "honest")
    told = asked(defense, toy, x := uniform(toy, 300, seed=2), "thief").labels
    own = planted(defense).told_to({"thief", "nobody"})
    assert np.array_equal(own.x, x[told != toy.predict(x).labels])
    assert len(own.labels) < len(planted(defense).labels)
    assert len(planted(defense).told_to(()).labels) == 0


def test_jitter_within_a_cell_is_marked_alike_and_planted_once(toy: Victim) -> None:
    defense = deployed(DAWN(1.0, 0.05), toy)
    x = np.full((1, 4), 0.3)  # the middle of a cell of side 0.1
    here = asked(defense, toy, x).labels
    assert np.array_equal(asked(defense, toy, x + 0.04).labels, here)
    assert len(planted(defense).labels) == 1
    asked(defense, toy, x + 0.06)
    assert len(planted(defense).labels) == 2


def test_another_deployment_marks_other_rows_and_remembers_none(toy: Victim) -> None:
    defense, x = DAWN(0.1, 0.01), uniform(toy, 500)
    one = asked(deployed(defense, toy), toy, x).labels
    deployed(defense, toy, seed=1)
    assert len(planted(defense).labels) == 0
    assert not np.array_equal(asked(defense, toy, x).labels, one)


def test_a_row_that_was_withheld_before_is_no_mark(toy: Victim) -> None:
    defense, x = deployed(DAWN(1.0, 0.01), toy), uniform(toy, 4)
    withheld = np.array([True, False, True, False])
    defense.respond(x, toy.predict(x).refuse(withheld), "alice")
    assert np.array_equal(planted(defense).x, x[~withheld])


def test_what_is_planted_outlives_what_the_client_does_to_its_rows(toy: Victim) -> None:
    defense, x = deployed(DAWN(1.0, 0.01), toy), uniform(toy, 4)
    before = x.copy()
    asked(defense, toy, x)
    x[:] = 0
    assert np.array_equal(planted(defense).x, before)


def test_labels_alone_can_be_marked(toy: Victim) -> None:
    victim = Victim(toy.shares, lambda x: Reply(toy.predict(x).labels))
    x = uniform(toy, 50)
    told = asked(deployed(DAWN(1.0, 0.01), victim), victim, x)
    assert told.outputs is None
    assert not (told.labels == victim.predict(x).labels).any()


def test_a_row_without_outputs_is_marked_by_its_label(toy: Victim) -> None:
    reply = Reply(np.array([1, 2]), np.array([[NAN] * 3, [0.1, 0.2, 0.7]]))
    told = deployed(DAWN(1.0, 0.01), toy).respond(np.zeros((2, 4)), reply, "alice")
    assert told.outputs is not None
    assert np.isnan(told.outputs).any(axis=1).tolist() == [True, False]
    assert told.labels[0] != 1


def test_marks_are_found_in_a_stack_and_behind_a_monitor(toy: Victim) -> None:
    x = uniform(toy, 100)
    for defense in (
        Stack({"labels": LabelOnly(), "dawn": DAWN(1.0, 0.01)}),
        QueryMonitoring(Quota(40), DAWN(1.0, 0.01)),
    ):
        deployment = Deployment(toy, defense, np.random.default_rng(0))
        told = deployment.answer(x, "thief").labels
        wrong = told != toy.predict(x).labels
        assert np.array_equal(planted(defense).x, x[wrong])
        assert set(planted(defense).accounts) == {frozenset({"thief"})}


def test_undeployed_it_has_planted_nothing() -> None:
    assert len(planted(DAWN(0.1, 0.01)).labels) == 0


def test_one_class_cannot_be_marked(toy: Victim) -> None:
    shares = replace(toy.shares, classes=("value",))
    value = Victim(shares, lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]))
    with pytest.raises(ValueError, match="this victim has one class; choose a classifier"):
        deployed(DAWN(0.1, 0.01), value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DAWN(1.5, 0.01), "share must be a number from 0 to 1, got 1.5; 0 is no defense"),
        (lambda: DAWN(0.1, 0), "grid must be a number above 0 and up to 1, got 0; for example"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
