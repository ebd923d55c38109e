"""Hiding from monitors: shares of accounts and benign rows, refusals survived, alarms avoided."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Known, Target
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.attacks.evasion import Evasion
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.client import Answers, Surrogate
from moatbench.defense import Defense, evidence_of
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.hoda import HODA
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.monitors.quota import Quota
from moatbench.defenses.monitors.seat import SEAT
from moatbench.defenses.monitors.vardetect import VarDetect
from moatbench.defenses.proof_of_work import ProofOfWork
from moatbench.defenses.refuse import Refuse
from moatbench.defenses.rounding import Rounding
from moatbench.judge.accounts import Accounts
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, Ended, Extraction
from moatbench.testing.attacks import HARSH
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import NotApplicable, Victim

INNER = UniformRetraining("confidences", "published", "cube")
CALIBRATION = Calibration(false_positives=0.05, horizon=100, accounts=39)
PLAIN: dict[str, Any] = {"accounts": 4, "assignment": "round_robin", "benign": 0.0}
CHECKPOINTS = (20, 60, 150)

TOKENS = {
    name: Accounts.of(0).token("attacker", name) for name in map("adversary-{}".format, range(16))
}


def hidden(attack: Attack = INNER, *, matched: bool = False, **knobs: Any) -> Evasion:
    return Evasion(attack, **(PLAIN | knobs), matched=matched)


def watched(monitor: Monitor, response: Defense | None = None) -> QueryMonitoring:
    return QueryMonitoring(monitor, response or Defense())


def play(
    victim: Victim, defense: Defense, attack: Attack, checkpoints: tuple[int, ...] = CHECKPOINTS
) -> tuple[list[Checkpoint], list[tuple[str, Array]]]:
    """Run; return the curve and the attacker's questions; the defense is left as deployed."""
    *events, ended = Extraction(victim, defense, attack, checkpoints, 0).events()
    assert isinstance(ended, Ended)
    vars(defense).update(vars(ended.trail.defense))  # what a run deploys is a copy
    points = [event for event in events if isinstance(event, Checkpoint)]
    return points, [(who, x) for who, x in ended.trail.asked if who in ended.accounts]


def in_alarm(defense: Defense) -> set[str]:
    """Name the attacker's accounts that are in alarm."""
    return {name for name, token in TOKENS.items() if token in evidence_of(defense).alarms}


def is_of(rows: Array, pool: Array) -> Mask:
    return np.array([(row == pool).all(axis=1).any() for row in rows], dtype=bool)


# Accounts


@pytest.mark.parametrize("accounts", [1, 4, 16])
def test_accounts_in_turn_ask_equally_often(accounts: int, toy: Victim) -> None:
    points, asked = play(toy, watched(Quota(1000)), hidden(accounts=accounts))
    counts = Counter(who for who, _ in asked)
    assert len(counts) == accounts
    assert max(counts.values()) - min(counts.values()) <= 1
    assert [point.queries for point in points] == list(CHECKPOINTS)


def test_accounts_at_random_do_not(toy: Victim) -> None:
    _, asked = play(toy, watched(Quota(1000)), hidden(assignment="random"))
    counts = Counter(who for who, _ in asked)
    assert set(counts) == {TOKENS[f"adversary-{i}"] for i in range(4)}
    assert max(counts.values()) - min(counts.values()) > 1


def test_many_accounts_change_nothing_of_what_is_asked(toy: Victim) -> None:
    _, alone = play(toy, watched(Quota(1000)), INNER)
    _, shared = play(toy, watched(Quota(1000)), hidden(accounts=16))
    one, two = (np.concatenate([x for _, x in asked]) for asked in (alone, shared))
    assert one.tolist() == two.tolist()


@pytest.mark.parametrize("matched", [False, True])
@pytest.mark.parametrize("accounts", [1, 4])
def test_each_account_has_its_quota_answered(accounts: int, matched: bool, toy: Victim) -> None:
    defense = watched(Quota(10), Refuse())
    points, _ = play(toy, defense, hidden(accounts=accounts, matched=matched))
    assert points[-1].queries - points[-1].refused == accounts * 10


def test_one_refusal_ends_an_account_and_not_the_attack(toy: Victim) -> None:
    points, asked = play(toy, watched(Quota(40), Refuse()), hidden())
    counts = Counter(who for who, _ in asked)
    assert points[-1].refused == 0
    points, asked = play(toy, watched(Quota(20), Refuse()), hidden(), (60, 84))
    assert points[-1].refused == 4
    counts = Counter(who for who, _ in asked)
    assert set(counts.values()) == {21}


def test_the_first_alarm_of_any_account_is_told(toy: Victim) -> None:
    points, _ = play(toy, watched(Quota(30)), hidden())
    assert np.isnan(points[1].first_alarm)  # 15 queries an account
    assert points[-1].first_alarm == 31


class Rising(Defense):
    """An account's n-th query costs n seconds."""

    traits = Traits({"costs"}, memory="counts")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self.asked: Counter[str] = Counter()

    def wait(self, n: int, account: str) -> float:
        self.asked[account] += n
        return float(sum(range(self.asked[account] - n + 1, self.asked[account] + 1)))


def test_accounts_share_the_cost_that_rises_with_each(toy: Victim) -> None:
    waited = [play(toy, Rising(), a, (160,))[0][-1].waited for a in (INNER, hidden(accounts=16))]
    assert waited == [160 * 161 / 2, 16 * 10 * 11 / 2]


# Benign rows


@pytest.mark.parametrize(("share", "benign"), [(0.0, 0), (0.5, 75), (0.9, 135)])
def test_the_share_of_benign_rows_is_exact(share: float, benign: int, toy: Victim) -> None:
    points, asked = play(toy, watched(Quota(1000)), hidden(benign=share))
    rows = np.concatenate([x for _, x in asked])
    assert is_of(rows, toy.shares.pool).sum() == benign
    assert [point.queries for point in points] == list(CHECKPOINTS)


def test_benign_rows_come_again_only_once_all_were_asked(toy: Victim) -> None:
    small = replace(toy, shares=replace(toy.shares, pool=toy.shares.pool[:50]))
    _, asked = play(small, watched(Quota(1000)), hidden(benign=0.9))
    rows = np.concatenate([x for _, x in asked])
    rows = rows[is_of(rows, small.shares.pool)]
    _, times = np.unique(rows, axis=0, return_counts=True)
    assert set(times.tolist()) == {2, 3}  # 135 of 50


def test_benign_rows_lie_at_random_places(toy: Victim) -> None:
    _, asked = play(toy, watched(Quota(1000)), hidden(benign=0.5))
    own = ~is_of(np.concatenate([x for _, x in asked]), toy.shares.pool)
    assert 0 < own[:20].sum() < 20
    assert len(set(np.diff(np.flatnonzero(own)).tolist())) > 2


def test_the_attack_within_learns_nothing_from_benign_rows(toy: Victim) -> None:
    seen: list[Answers] = []

    class Spying(Attack):
        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            api = target.api
            seen.append(api.query(api.card.space.sample(10, rng)))
            yield from INNER.run(target, rng)

    play(toy, watched(Quota(1000)), hidden(Spying(), benign=0.5))
    (answers,) = seen
    assert answers.rows.tolist() == list(range(10))
    assert not is_of(answers.x, toy.shares.pool).any()
    assert answers.labels.tolist() == toy.predict(answers.x).labels.tolist()
    assert answers.outputs is not None
    truth = toy.predict(answers.x).outputs
    assert truth is not None
    np.testing.assert_allclose(answers.outputs, truth, atol=1e-12)


def test_mixing_without_a_pool_is_refused_before_any_query(toy: Victim) -> None:
    poor = replace(toy, shares=replace(toy.shares, pool=toy.shares.pool[:0]))
    with pytest.raises(NotApplicable, match="pool_share is 0"):
        play(poor, watched(Quota(1000)), hidden(benign=0.5))


# Rows tried on a copy of the monitor

MONITORS: dict[str, Monitor] = {
    "quota": Quota(20),
    "prada": PRADA(0.95, False, 10, 20),
    "seat": SEAT(3, 1, 500, "calibrated", CALIBRATION),
    "vardetect": VarDetect("ratio", ["noise"], 3, 30, 10, CALIBRATION),
}


@pytest.mark.parametrize(
    ("monitor", "knobs"),
    [
        (Quota(40), {"assignment": "random"}),
        (PRADA(0.97, False, 10, 20), {"benign": 0.5}),
        (PRADA(0.97, False, 10, 20), {"benign": 0.8}),
    ],
)
def test_a_copy_of_the_monitor_avoids_its_alarms(
    monitor: Monitor, knobs: dict[str, Any], toy: Victim
) -> None:
    alarms = []
    for matched in (False, True):
        defense = watched(monitor)
        play(toy, defense, hidden(matched=matched, **knobs), (150,))
        alarms.append(len(in_alarm(defense)))
    assert alarms[0] > 0
    assert alarms[1] == 0


class Runs(Monitor):
    """Scores how many rows in a row an account has asked that are not in the pool."""

    threshold = 3.0

    def __init__(self, pool: Array) -> None:
        self.pool = pool

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._accounts: dict[str, int] = {}

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        return self.score(x, labels, account) > self.threshold

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        scores = []
        for benign in is_of(x, self.pool):
            self._accounts[account] = 0 if benign else self._accounts.get(account, 0) + 1
            scores.append(float(self._accounts[account]))
        return np.array(scores)


@pytest.mark.parametrize("matched", [False, True])
def test_an_account_rests_with_benign_rows_before_it_would_be_in_alarm(
    matched: bool, toy: Victim
) -> None:
    defense = watched(Runs(toy.shares.pool))
    points, asked = play(toy, defense, hidden(accounts=1, benign=0.5, matched=matched))
    assert ("adversary-0" in in_alarm(defense)) == (not matched)
    rows = np.concatenate([x for _, x in asked])
    assert is_of(rows, toy.shares.pool).sum() == 75  # neither more nor fewer for that
    assert points[-1].queries == 150


def test_with_no_way_to_avoid_it_one_account_bears_the_alarm(toy: Victim) -> None:
    defense = watched(Runs(toy.shares.pool))
    points, _ = play(toy, defense, hidden(matched=True))  # 4 accounts, 3 rows each, none benign
    assert len(in_alarm(defense)) == 1
    assert points[-1].note.endswith("1 in alarm by the copied monitors")


def test_where_alarms_are_refused_every_account_is_tried_before_the_attack_gives_up(
    toy: Victim,
) -> None:
    points, _ = play(toy, watched(Runs(toy.shares.pool), Refuse()), hidden(matched=True))
    assert points[-1].refused == 150 - 12
    assert "4 of them refused" in points[-1].note


def test_peeking_is_not_asking(toy: Victim) -> None:
    for monitor in MONITORS.values():
        x, labels = toy.shares.pool[:80], toy.predict(toy.shares.pool[:80]).labels
        monitor.deploy(toy, np.random.default_rng(0))
        monitor.score(x[:40], labels[:40], "alice")
        ahead = monitor.peek(x[40:], labels[40:], "alice")
        assert monitor.peek(x[40:], labels[40:], "alice").tolist() == ahead.tolist()
        assert monitor.score(x[40:], labels[40:], "alice").tolist() == ahead.tolist()
        assert monitor.score(x[40:], labels[40:], "alice").tolist() != ahead.tolist()


class Demanding(Monitor):
    """Needs more data of its own than the attacker has."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        if len(victim.shares.x_train) < 300:
            raise ValueError("demanding: too few rows")


def test_without_a_copy_accounts_take_turns_and_the_note_says_why(toy: Victim) -> None:
    poor = replace(toy, shares=replace(toy.shares, pool=toy.shares.pool[:0]))
    cases: list[tuple[Victim, Defense, str]] = [
        (toy, ProofOfWork(10, 2.0, 1e-5, 1.01, 1000), "the defense has no monitor to copy"),
        (toy, watched(Demanding()), "demanding: too few rows"),
        (poor, watched(Quota(20)), "there is no pool"),
    ]
    for victim, defense, why in cases:
        points, asked = play(victim, defense, hidden(matched=True))
        assert why in points[-1].note
        assert len({who for who, _ in asked}) == 4


def test_a_copy_that_needs_answers_is_deployed_once_there_are_some(toy: Victim) -> None:
    points, _ = play(
        toy, watched(HODA(4, 5, "even", "sliding", 20, CALIBRATION)), hidden(matched=True)
    )
    assert "one class" in points[0].note  # at 20 queries
    assert "copied monitors" in points[-1].note


@pytest.mark.parametrize("name", MONITORS)
@pytest.mark.parametrize("benign", [0.0, 0.5])
def test_the_same_seed_hides_in_the_same_way(name: str, benign: float, toy: Victim) -> None:
    attack = hidden(accounts=3, benign=benign, matched=True)
    runs = [play(toy, watched(MONITORS[name], Refuse()), attack) for _ in range(2)]
    (one, asked), (two, again) = runs
    assert [(who, x.tolist()) for who, x in asked] == [(who, x.tolist()) for who, x in again]
    for a, b in zip(one, two, strict=True):
        np.testing.assert_equal(a.row() | {"seconds": 0}, b.row() | {"seconds": 0})


# What a wrapper owes


def test_a_defense_that_neither_watches_nor_costs_is_no_place_to_hide(toy: Victim) -> None:
    for defense in (Defense(), Rounding(2)):
        with pytest.raises(NotApplicable, match="neither watches nor costs"):
            play(toy, defense, hidden())


def test_what_the_attack_within_needs_is_needed(toy: Victim) -> None:
    unpublished = replace(toy, family=None)
    with pytest.raises(NotApplicable, match="not published"):
        play(unpublished, watched(Quota(9)), hidden(EquationSolving(True)))


def test_the_attack_within_is_told_the_defense_and_an_oracle_stays_one(toy: Victim) -> None:
    told: list[object] = []

    class Oracle(Attack):
        oracle = True

        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            told.extend([type(target.known.defense), target.known.victim])
            yield from INNER.run(target, rng)

    attack = hidden(Oracle())
    assert attack.oracle
    play(toy, watched(Quota(9)), attack)
    assert told == [QueryMonitoring, toy]


def test_what_does_not_hide_is_against_no_monitor() -> None:
    assert hidden(accounts=1).against == INNER.against
    for knobs in ({"accounts": 2}, {"benign": 0.1}, {"matched": True}):
        assert {"watches", "costs"} <= hidden(**({"accounts": 1} | knobs)).against


@pytest.mark.parametrize("harsh", HARSH, ids=lambda d: type(d).__name__)
@pytest.mark.parametrize("matched", [False, True])
def test_harsh_answers_are_survived_and_every_row_is_metered(
    harsh: Defense, matched: bool, toy: Victim
) -> None:
    reached = 0

    def spied(x: Array) -> Any:
        nonlocal reached
        reached += len(x)
        return toy.predict(x)

    attack = hidden(benign=0.5, matched=matched)
    known, pool = Known(watched(Quota(5))), toy.shares.pool
    api = MeteredAPI(Deployment(toy, harsh, stream(0, "defense")), CHECKPOINTS)
    for checkpoint, surrogate in zip(
        CHECKPOINTS,
        attack.run(Target(api, pool, known), stream(0, "attack")),
        strict=True,
    ):
        assert api.queries == checkpoint
        assert len(surrogate.predict(toy.shares.x_test).labels) == len(toy.shares.x_test)
    spy = replace(toy, predict=spied)
    api = MeteredAPI(Deployment(spy, Defense(), stream(0, "defense")), CHECKPOINTS)
    reached = 0
    for _ in attack.run(Target(api, pool, known), stream(0, "attack")):
        assert reached == api.queries


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"accounts": 0}, "evasion: accounts must be a whole number of at least 1, got 0"),
        ({"assignment": "first"}, "evasion: assignment must be round_robin or random"),
        ({"benign": 1.0}, "evasion: benign must be a number from 0 to 0.99, got 1.0"),
        ({"matched": "yes"}, "evasion: matched must be true or false"),
    ],
)
def test_a_knob_that_cannot_be_is_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Evasion(INNER, **(PLAIN | {"matched": False} | knobs))
