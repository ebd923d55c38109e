"""The victim answers the test data once, whoever judges by it; a defense is told none of that."""

from dataclasses import replace

import numpy as np
from shop import victim_of

from moatbench.judge.given import to_defend
from moatbench.judge.judge import Judge
from moatbench.reply import Reply
from moatbench.runner.card import accuracy
from moatbench.runner.checks.flags import of_victim
from moatbench.types import Array
from moatbench.victim import MANY, Victim


class Counting:
    """Answers as a victim does, in arrays that it uses again; counts the rows."""

    def __init__(self, victim: Victim) -> None:
        self._predict, self.rows = victim.predict, 0
        self._room = np.empty((100_000, len(victim.classes)))

    def __call__(self, x: Array) -> Reply:
        self.rows += len(x)
        reply = self._predict(x)
        self._room[: len(x)] = reply.outputs
        return Reply(reply.labels, self._room[: len(x)])


def test_the_test_data_is_asked_once_for_all_who_judge_by_it() -> None:
    plain = victim_of("softmax", "iris")
    counting = Counting(plain)
    victim = replace(plain, predict=counting)
    n = len(victim.shares.x_test)
    assert counting.rows == n + MANY
    judge = Judge(victim, np.random.default_rng(0))
    drawn = sum(len(sample.x) for sample in judge.samples[1:])
    assert accuracy(victim) == accuracy(plain) == judge.victim_accuracy
    assert of_victim(victim) == of_victim(plain)
    assert counting.rows == n + MANY + drawn
    true = plain.predict(plain.shares.x_test).outputs
    np.testing.assert_array_equal(judge.samples[0].truth.outputs, true)


def test_a_defense_has_no_answers_to_the_test_data() -> None:
    plain = victim_of("softmax", "iris")
    assert len(plain.tested) == len(plain.shares.x_test)
    assert len(to_defend(plain).tested) == 0
    assert len(plain.tested) == len(plain.shares.x_test)
