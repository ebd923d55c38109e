"""Cost multipliers, paired comparisons, and what monitors caught."""

from collections.abc import Sequence
from math import inf, isnan

import pytest
from made_runs import one_field, rows, run

from moatbench.report.measure.alarms import alarm_records
from moatbench.report.measure.comparisons import MEASURES, comparisons
from moatbench.report.measure.multipliers import Reach, multiplier, reach
from moatbench.report.write.numerals import queries, ratio


def test_a_level_is_reached_between_two_checkpoints() -> None:
    assert reach(rows((0.5, 0.8, 0.9)), 0.8, "fidelity_test") == Reach(10, 20)
    assert reach(rows((0.9, 0.9, 0.9)), 0.8, "fidelity_test") == Reach(0, 10)
    assert reach(rows((0.1, 0.2, 0.3)), 0.8, "fidelity_test") == Reach(50, inf)


@pytest.mark.parametrize(
    ("defended", "undefended", "shown"),
    [
        ((0, 0, 0.9), (0, 0.9, 0.9), "2.5 (1.0 to 5.0)"),
        ((0, 0, 0), (0, 0.9, 0.9), "> 2.5 (censored)"),
        ((0, 0, 0.9), (0.9, 0.9, 0.9), "> 2.0"),
        ((0.9, 0.9, 0.9), (0.9, 0.9, 0.9), "unresolved"),
        ((0, 0, 0), (0, 0, 0), "-"),
    ],
)
def test_a_multiplier_shows_what_the_checkpoints_leave_open(
    defended: Sequence[float], undefended: Sequence[float], shown: str
) -> None:
    assert ratio(multiplier({"0": rows(defended)}, {"0": rows(undefended)}, 0.9)) == shown


def test_a_multiplier_says_how_many_seeds_are_censored() -> None:
    late, never, bare = rows((0, 0, 0.9)), rows((0, 0, 0)), rows((0, 0.9, 0.9))
    m = multiplier({"0": late, "1": late, "2": never}, dict.fromkeys("012", bare), 0.9)
    assert ratio(m) == "2.5 (1.0 to 5.0, 1 of 3 censored)"


def test_queries_carry_the_sign_of_what_is_known() -> None:
    assert queries(Reach(10, 20)) == "20"
    assert queries(Reach(0, 10)) == "<= 10"
    assert queries(Reach(1300, inf)) == "> 1,300"


def test_defenses_are_paired_by_setting_and_seed() -> None:
    gaps = {0: 0.1, 1: 0.2, 2: 0.3}
    runs = [run(seed=s, fidelity=(0, 0, 0.9)) for s in gaps]
    runs += [run("d", seed=s, fidelity=(0, 0, 0.9 - gap)) for s, gap in gaps.items()]
    runs.append(run("d", seed=9, fidelity=(0, 0, 0.0)))  # has no partner
    (found,) = comparisons([one_field(*runs)], next(iter(MEASURES)), against_none=True)
    assert found.result.difference.n == 3
    assert found.result.difference.mean == pytest.approx(-0.2)
    assert found.result.effect == -1.0
    assert found.result.p == 0.25
    assert found.reading == "undecided"


def test_a_difference_is_told_only_after_correction() -> None:
    runs = [run(seed=s, fidelity=(0, 0, 0.9)) for s in range(8)]
    runs += [run("d", seed=s, fidelity=(0, 0, 0.5 + s / 100)) for s in range(8)]
    (found,) = comparisons([one_field(*runs)], next(iter(MEASURES)), against_none=True)
    assert found.corrected == found.result.p == pytest.approx(2**-7)
    assert found.reading == "lower: d"


def test_the_monitors_table_holds_both_sides_alarms() -> None:
    alarm = {"first_alarm": 15.0, "honest_alarmed_accounts": 0.2, "honest_first_alarm": 110.0}
    (seen,) = alarm_records(one_field(run("prada", row=alarm), run("prada", seed=1)))
    assert (seen.alarmed, seen.runs, seen.first) == (1, 2, 15.0)
    assert seen.fidelity == 0.8  # at 20, the first checkpoint from 15 on
    assert (seen.honest, seen.honest_first) == (0.1, 110.0)


def test_the_monitors_table_counts_the_runs_that_tell_accounts() -> None:
    told = [
        {"detection_tpr_at_1_percent": 1.0, "detection_accounts_for_95": 3.0},
        {"detection_tpr_at_1_percent": 0.5, "detection_accounts_for_95": None},
        {},  # of an earlier version
    ]
    alarm = {"first_alarm": 15.0}
    runs = [run("d", seed=s, row=alarm, summaries={"solve": t}) for s, t in enumerate(told)]
    (seen,) = alarm_records(one_field(*runs))
    assert (seen.caught, seen.accounts, seen.reached) == (0.75, 3.0, 1)
    assert isnan(seen.held)


def test_a_monitor_that_never_alarmed_is_in_the_table() -> None:
    silent = run("prada", kinds={"prada": ["watches"]})
    assert [w.alarmed for w in alarm_records(one_field(silent, run()))] == [0]
