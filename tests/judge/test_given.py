"""What a defense is given of a victim, and what it gives, bends none of the judge's numbers."""

from typing import Any

import numpy as np
import pytest
from shop import attack_of

from moatbench.defense import Defense, Evidence
from moatbench.judge.given import BrokenDefense
from moatbench.judge.trail import Trail
from moatbench.reply import Reply
from moatbench.runner.extract import extract
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

ATTACK = attack_of("uniform_retraining")


class Broken(Defense):
    """Breaks its contract in one way or another."""

    traits = Traits({"relabels"}, keeps_labels=False)

    def __init__(self, how: str) -> None:
        self.how, self.asked = how, {""}

    def admit(self, x: Array, account: str) -> Mask:
        self.asked.add(account)
        return np.ones(len(x) + (self.how == "admits more"), bool)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        labels: Any = reply.labels
        outputs: Any = reply.outputs
        assert outputs is not None
        return {
            "more labels": Reply(np.repeat(labels, 2), outputs),
            "reals for labels": Reply(labels + 0.5, outputs),
            "unknown labels": Reply(labels + 7, outputs),
            "one row for many": Reply(labels, outputs[0]),
            "infinity": Reply(labels, outputs / 0.0),
        }.get(self.how, reply)

    def wait(self, n: int, account: str) -> float:
        return {"a negative wait": -5.0, "no wait at all": float("nan")}.get(self.how, 0.0)

    def evidence(self) -> Evidence:
        return Evidence(dict.fromkeys(self.asked, -3) if self.how == "an early alarm" else {})


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
@pytest.mark.parametrize(
    ("how", "rule"),
    [
        ("admits more", "admit must return a mask of shape"),
        ("more labels", "respond must return labels of shape"),
        ("reals for labels", "respond must return labels of shape"),
        ("unknown labels", r"labels of shape \(1,\) in 0..2, got array\(\["),
        ("one row for many", r"respond must return outputs of shape \(1, 3\)"),
        ("infinity", "finite numbers or NaN"),
        ("a negative wait", "wait must return seconds of at least 0, got -5"),
        ("no wait at all", "wait must return seconds of at least 0, got nan"),
        ("an early alarm", "evidence must give an alarm the number of queries"),
    ],
)
def test_what_a_defense_gives_must_be_answers(toy: Victim, how: str, rule: str) -> None:
    with pytest.raises(BrokenDefense, match=rule):
        list(extract(toy, Broken(how), ATTACK, checkpoints=[10]))


class Meddles(Defense):
    """Keeps the victim that it is given, and changes it where it can."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.victim = victim
        victim.shares.y_train[:] = 0
        victim.shares.y_test[:] = 0
        object.__setattr__(victim, "predict", lambda x: Reply(np.zeros(len(x), np.int64)))


def test_a_defense_has_the_owners_data_and_no_row_of_customers(toy: Victim) -> None:
    before = toy.predict(toy.shares.x_test).labels, toy.shares.y_test.copy()
    trail = Trail(toy, Meddles(), np.random.default_rng(0))
    given = trail.defense.victim.shares  # type: ignore[attr-defined]
    assert np.array_equal(given.x_train, toy.shares.x_train)
    assert not sum(map(len, (given.x_test, given.y_test, given.pool)))
    assert (given.y_pool, given.test_rows) == (None, None)
    assert np.array_equal(toy.predict(toy.shares.x_test).labels, before[0])
    assert np.array_equal(toy.shares.y_test, before[1])
    assert toy.shares.y_train.any()


class Writes(Defense):
    """Writes to the rows that it is asked."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        x.setflags(write=True)
        x[:] = 0
        return reply


def test_what_was_asked_stays_as_it_was(toy: Victim) -> None:
    x = toy.shares.x_test[:5].copy()
    answers = Trail(toy, Writes(), np.random.default_rng(0)).answer(x, "a")
    assert np.array_equal(answers.x, toy.shares.x_test[:5])
    assert np.array_equal(x, toy.shares.x_test[:5])
