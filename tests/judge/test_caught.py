"""Whether a run's attack was caught, how late and with how much: by hand, and in a run."""

from collections.abc import Callable
from dataclasses import replace
from math import nan
from typing import Any

import numpy as np
import pytest

from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.defense import Defense
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.monitors.quota import Quota
from moatbench.defenses.refuse import Refuse
from moatbench.judge.customers.caught import Verdict, share_exceeded, time_to_alarm
from moatbench.judge.trail import Trail
from moatbench.monitor import Monitor
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, Ended, Extraction
from moatbench.runner.suite import Finished, run_attacks
from moatbench.stack import Stack
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

ATTACK = UniformRetraining("confidences", "published", "cube")
CHECKPOINTS = (10, 40, 120)
ASKED = [("a", 10), ("b", 20), ("a", 30), ("b", 40)]  # 40 of a's, 60 of b's
CURVE = [(30, 0.8), (60, 0.9), (100, 0.97)]


def detected(victim: Victim, defense: Defense) -> dict[str, float]:
    (done,) = [
        event
        for event in run_attacks(
            victim, defense, {"uniform": ATTACK}, checkpoints=CHECKPOINTS, seed=0
        )
        if isinstance(event, Finished)
    ]
    return dict(done.detection)


def watched(monitor: Monitor, response: Defense | None = None) -> QueryMonitoring:
    return QueryMonitoring(monitor, response or Defense())


class Far(Monitor):
    """Scores a row by its first column, and tells alarms above a half."""

    threshold = 0.5

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        return self.score(x, labels, account) > self.threshold

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        return x[:, 0].copy()


class Shy(Monitor):
    """Has alarms, and no score."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._accounts: dict[str, int] = {}

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        before = self._accounts.get(account, 0)
        self._accounts[account] = before + len(x)
        return before + np.arange(len(x)) >= 5


@pytest.fixture
def small(toy: Victim) -> Victim:
    """The same with 60 test rows."""
    return with_test_rows(toy, 60)


def with_test_rows(victim: Victim, n: int) -> Victim:
    shares = victim.shares
    cut = replace(shares, x_test=shares.x_test[:n], y_test=shares.y_test[:n])
    return replace(victim, shares=cut)


# The delay


def test_the_first_alarm_is_counted_over_all_accounts() -> None:
    # a's 15th query is the 35th of all, b's 12th the 22nd
    assert time_to_alarm({"a": 15}, ASKED, CURVE)["queries_to_first_alarm"] == 35
    assert time_to_alarm({"a": 15, "b": 12}, ASKED, CURVE)["queries_to_first_alarm"] == 22


def test_fidelity_at_the_alarm_is_that_of_the_surrogate_before() -> None:
    assert time_to_alarm({"a": 15}, ASKED, CURVE)["fidelity_at_first_alarm"] == 0.8
    np.testing.assert_equal(time_to_alarm({"b": 12}, ASKED, CURVE)["fidelity_at_first_alarm"], nan)


def test_accounts_are_the_queries_over_those_before_an_alarm() -> None:
    # 100 queries to 95 %; an account may ask 14 before its alarm: eight are needed
    assert time_to_alarm({"a": 15, "b": 30}, ASKED, CURVE)["accounts_for_95"] == 8


def test_without_an_alarm_before_the_accounts_that_were_used_are_enough() -> None:
    assert time_to_alarm({}, ASKED, CURVE)["accounts_for_95"] == 2
    assert time_to_alarm({}, [("a", 100)], CURVE)["accounts_for_95"] == 1
    late = [*CURVE[:2], (90, 0.96), (100, 0.97)]
    assert time_to_alarm({"b": 55}, ASKED, late)["accounts_for_95"] == 2  # the alarm is at query 95


def test_a_level_not_reached_leaves_the_accounts_open() -> None:
    np.testing.assert_equal(time_to_alarm({"a": 15}, ASKED, CURVE[:2])["accounts_for_95"], nan)


def test_accounts_alarmed_at_once_are_never_enough() -> None:
    np.testing.assert_equal(time_to_alarm({"a": 1}, ASKED, CURVE)["accounts_for_95"], nan)


def test_a_rank_is_the_share_of_customers_below() -> None:
    usual = np.array([3.0, 1.0, 2.0, 4.0])
    assert share_exceeded(np.array([0.0, 2.5, 4.0, 9.0]), usual).tolist() == [0, 0.5, 0.75, 1.0]


# In a run


def test_a_defense_that_does_not_watch_tells_nothing(toy: Victim) -> None:
    assert detected(toy, Defense()) == {}


def test_the_numbers_of_a_run_are_those_of_its_definition(toy: Victim) -> None:
    # 300 test rows: a customer asks them all, so that all have the same greatest score
    found = detected(toy, watched(Far()))
    *_, last, ended = Extraction(toy, watched(Far()), ATTACK, CHECKPOINTS, 0).events()
    assert isinstance(last, Checkpoint)
    assert isinstance(ended, Ended)
    asked = np.concatenate([x for who, x in ended.trail.asked if who in ended.accounts])
    assert len(asked) == CHECKPOINTS[-1]
    limit = toy.shares.x_test[:, 0].max()
    assert found["tpr_at_1_percent"] == float(asked[:, 0].max() > limit)
    assert found["customers_alarmed"] == float(limit > 0.5) == 1
    alarm = int(np.argmax(asked[:, 0] > 0.5)) + 1
    assert found["queries_to_first_alarm"] == alarm == last.first_alarm


@pytest.mark.parametrize(("longest", "caught"), [(100, 1.0), (300, 0.0)])
def test_a_quota_tells_a_thief_who_asks_more_than_customers(
    longest: int, caught: float, toy: Victim
) -> None:
    found = detected(with_test_rows(toy, longest), watched(Quota(60)))
    assert found["tpr_at_1_percent"] == caught  # the thief asks 120
    assert found["customers_alarmed"] == 1.0
    assert found["queries_to_first_alarm"] == 61


def test_prada_is_judged_by_its_statistic(small: Victim) -> None:
    never = detected(small, watched(PRADA(0.0, False, 10, 20)))
    always = detected(small, watched(PRADA(1.0, False, 10, 20)))
    assert never["tpr_at_1_percent"] == always["tpr_at_1_percent"]  # delta is no part of it
    assert (never["customers_alarmed"], always["customers_alarmed"]) == (0.0, 1.0)
    assert np.isnan(never["queries_to_first_alarm"])
    assert never["accounts_for_95"] == 1.0


def test_a_monitor_without_a_score_is_judged_by_its_alarms(toy: Victim) -> None:
    found = detected(toy, watched(Shy()))
    assert found["customers_alarmed"] == 1.0
    assert found["tpr_at_1_percent"] == 0.0  # it cannot tell: all are in alarm
    assert found["queries_to_first_alarm"] == 6


def test_of_several_monitors_any_may_catch(small: Victim) -> None:
    quiet, loud = watched(PRADA(0.0, False, 10, 20)), watched(Quota(60))
    found = detected(small, Stack({"quiet": quiet, "loud": loud}))
    assert found["tpr_at_1_percent"] == 1.0
    assert found["queries_to_first_alarm"] == 61


def test_refusals_are_part_of_the_trail_and_nothing_is_kept_without_a_monitor(toy: Victim) -> None:
    for defense, width in ((watched(Quota(3), Refuse()), 4), (Refuse(), 0)):
        trail = Trail(toy, defense, stream(0, "defense"))
        trail.answer(toy.shares.pool[:5], "alice")
        assert [(who, x.shape) for who, x in trail.asked] == [("alice", (5, width))]


def test_the_judge_draws_the_same_customers_again(small: Victim) -> None:
    one, two = (detected(small, watched(PRADA(0.9, False, 10, 20))) for _ in range(2))
    np.testing.assert_equal(one, two)


def test_a_verdict_does_not_disturb_the_run(toy: Victim) -> None:
    defense = watched(Quota(30), Refuse())
    run = Extraction(toy, defense, ATTACK, CHECKPOINTS, 0)
    *points, ended = run.events()
    alone = [point.row() for point in points if isinstance(point, Checkpoint)]
    assert isinstance(ended, Ended)
    verdict = Verdict(toy, defense, 0)
    beside = []
    for point in run:
        verdict.of(ended.trail, ended.accounts, [(1, 0.5)])
        beside.append(point.row())
    for one, two in zip(alone, beside, strict=True):
        np.testing.assert_equal(one | {"seconds": 0}, two | {"seconds": 0})


def test_the_summary_of_a_run_holds_the_numbers(
    moatbench: Callable[..., tuple[int, str, str]], tmp_path: Any
) -> None:
    import json

    status, _, err = moatbench(
        "data=iris",
        "victim=softmax",
        "attack=uniform_retraining",
        "defense=quota",
        "defense.quota.monitor.limit=12",
        "response@defense.quota.response=log",
        "tracking.enabled=false",
    )
    assert status == 0, err
    (file,) = tmp_path.rglob("summary.json")
    summary = json.loads(file.read_text())["summaries"]["uniform_retraining"]
    assert summary["detection_queries_to_first_alarm"] == 13
    assert summary["detection_tpr_at_1_percent"] in (0.0, 1.0)
    assert summary["detection_customers_alarmed"] == 1.0
