"""Recorded thefts, hidden among benign rows, and what a threshold catches of them."""

from math import inf, nan

import numpy as np
import pytest
from thefts import Detection, Theft, detection, first_alarm, mixed, scores, steal

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.defense import Defense
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.seat import SEAT
from moatbench.judge.customers.streams import Stream, customers, threshold_at
from moatbench.numerics.calibration import Calibration
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.victim import Victim

CHECKPOINTS = (10, 20, 30)


def theft_of(n: int, fidelity: tuple[float, ...] = (0.5, 0.9, 1.0)) -> Theft:
    x = np.arange(4.0 * n).reshape(n, 4) / (4 * n)
    labels = np.arange(n) % 3
    return Theft(Stream(x, labels, np.ones(n, bool)), CHECKPOINTS, np.array(fidelity))


def test_a_theft_is_that_of_the_undefended_run(toy: Victim) -> None:
    theft = steal(toy, EquationSolving(True), CHECKPOINTS, 3, "fidelity_uniform")
    curve = list(Extraction(toy, Defense(), EquationSolving(True), CHECKPOINTS, 3))
    assert theft.fidelity.tolist() == [point.metrics["fidelity_uniform"] for point in curve]
    assert len(theft.stream.x) == CHECKPOINTS[-1]
    assert theft.stream.labels.tolist() == toy.predict(theft.stream.x).labels.tolist()


def test_a_monitor_that_is_shown_a_theft_sounds_as_in_the_run(toy: Victim) -> None:
    def monitor() -> SEAT:
        return SEAT(1, 1, 500, "calibrated", Calibration(0.9, 5, 9))  # easily alarmed

    run = Extraction(
        toy, QueryMonitoring(monitor(), Defense()), EquationSolving(True), CHECKPOINTS, 3
    )
    shown, theft = monitor(), steal(toy, EquationSolving(True), CHECKPOINTS, 3, "fidelity_test")
    # QueryMonitoring spawns the monitor's stream
    shown.deploy(toy, stream(3, "defense").spawn(2)[0])
    (found,) = scores(shown, [theft.stream], "thief")
    alarm = list(run)[-1].first_alarm
    assert not np.isnan(alarm)
    assert first_alarm(found, shown.threshold) == alarm


def test_fidelity_is_that_of_the_last_surrogate_judged() -> None:
    theft = theft_of(30)
    found = [theft.fidelity_after(q) for q in (9, 10, 19, 20, 500)]
    np.testing.assert_equal(found, [nan, 0.5, 0.5, 0.9, 1.0])


@pytest.mark.parametrize(("share", "benign"), [(0.0, 0), (0.5, 30), (0.9, 270)])
def test_a_hidden_theft_loses_nothing(share: float, benign: int, toy: Victim) -> None:
    theft = theft_of(30).stream
    hidden = mixed(theft, toy, share, np.random.default_rng(0))
    assert (~hidden.stolen).sum() == benign
    assert hidden.x[hidden.stolen].tolist() == theft.x.tolist()
    assert hidden.labels[hidden.stolen].tolist() == theft.labels.tolist()
    rows = hidden.x[~hidden.stolen]
    assert all((row == toy.shares.pool).all(axis=1).any() for row in rows)
    if benign:
        assert hidden.labels[~hidden.stolen].tolist() == toy.predict(rows).labels.tolist()
        assert not hidden.stolen[:benign].all()  # not in one piece


def test_pool_rows_are_asked_again_only_once_all_were(toy: Victim) -> None:
    hidden = mixed(theft_of(40).stream, toy, 0.9, np.random.default_rng(0))
    _, times = np.unique(hidden.x[~hidden.stolen], axis=0, return_counts=True)
    assert set(times.tolist()) == {1, 2}  # 360 of 200


def test_a_share_of_one_leaves_no_room_for_a_theft(toy: Victim) -> None:
    with pytest.raises(ValueError, match="must lie in"):
        mixed(theft_of(30).stream, toy, 1.0, np.random.default_rng(0))


def test_customers_ask_distinct_rows_of_the_test_data(toy: Victim) -> None:
    drawn = customers(toy, 3, 100, np.random.default_rng(0))
    assert [len(np.unique(one.x, axis=0)) for one in drawn] == [100] * 3
    assert not np.array_equal(drawn[0].x, drawn[1].x)
    assert not any(one.stolen.any() for one in drawn)


def test_the_first_alarm_is_counted_from_one() -> None:
    assert first_alarm(np.array([-inf, 0.2, 0.7, 0.9]), 0.5) == 3
    assert np.isnan(first_alarm(np.array([-inf, 0.5]), 0.5))


def test_the_threshold_alarms_at_most_the_stated_share() -> None:
    benign = [np.array([-inf, float(score)]) for score in range(200)]
    for rate, over in ((0.01, 2), (0.0, 0), (0.014, 2), (0.5, 100)):
        threshold = threshold_at(benign, rate)
        assert sum(not np.isnan(first_alarm(one, threshold)) for one in benign) == over


def test_detection_by_hand() -> None:
    thefts = [theft_of(30), theft_of(30, (0.6, 0.7, 0.8)), theft_of(30)]
    # alarms at query 25 of the first and 12 of the second; the third is never in alarm
    found = [np.zeros(30), np.zeros(30), np.zeros(30)]
    found[0][24:], found[1][11] = 1.0, 2.0
    result = detection(thefts, [t.stream for t in thefts], found, 0.5)
    assert (result.caught, result.queries) == (2 / 3, 18.5)
    assert result.fidelity == pytest.approx((0.9 + 0.6) / 2)


def test_fidelity_counts_the_thiefs_own_queries_alone(toy: Victim) -> None:
    theft = theft_of(30)
    hidden = mixed(theft.stream, toy, 0.5, np.random.default_rng(0))
    own = np.cumsum(hidden.stolen)
    alarm = int(np.argmax(own == 15)) + 1
    found = detection([theft], [hidden], [np.arange(1.0, 61)], alarm - 0.5)
    assert found == Detection(1.0, alarm, 0.5)  # of 15 queries of its own, not of twice as many


def test_nothing_caught_is_said_so() -> None:
    theft = theft_of(30)
    found = detection([theft], [theft.stream], [np.full(30, -inf)], 0.0)
    assert found.caught == 0
    assert np.isnan(found.queries)
    assert np.isnan(found.fidelity)
