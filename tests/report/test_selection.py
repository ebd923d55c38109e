"""Which runs a report counts, and which it refuses."""

from dataclasses import replace

import pytest
from made_runs import rows, run

from moatbench.judge.plan import plan
from moatbench.record.summary import Plan
from moatbench.report.measure.worst import fields
from moatbench.report.select.consistency import MixedSelection
from moatbench.report.select.selection import select
from moatbench.report.write import methods
from moatbench.report.write.contents import tables
from moatbench.tracking.read import Logged


def test_nothing_finished_is_refused() -> None:
    with pytest.raises(MixedSelection, match="of 1 runs none finished"):
        select([run(state="FAILED")])
    with pytest.raises(MixedSelection, match="of 0 runs none finished"):
        select([])


def test_code_versions_are_not_mixed() -> None:
    other = run(seed=1, versions={"moatbench": "0.2.0"})
    with pytest.raises(MixedSelection, match=r"0\.1\.0 \(2 runs\), 0\.2\.0 \(1 runs\).*filter="):
        select([run(), run(seed=2), other])


def test_data_of_one_name_have_one_content() -> None:
    other = run(seed=1, data_provenance={"name": "iris", "sha256": "def"})
    with pytest.raises(MixedSelection, match=r"iris has 2 contents.*filter="):
        select([run(), other])


def test_files_of_one_name_are_told_apart_by_their_paths() -> None:
    files = [
        run(seed=seed, knobs={"data.path": path}, data_provenance={"sha256": path})
        for seed, path in enumerate(("a/v/x.csv", "b/v/x.csv"))
    ]
    assert {s.data for s in select(files).settings} == {
        "iris (path=a/v/x.csv)",
        "iris (path=b/v/x.csv)",
    }


@pytest.mark.parametrize(
    "other", [run(seed=1, knobs={"price": 0.5}), run(seed=1, checkpoints=[10, 20, 60])]
)
def test_prices_and_budgets_are_not_mixed(other: Logged) -> None:
    with pytest.raises(MixedSelection, match=r"softmax on iris: (different|runs with different)"):
        select([run(), other])


def test_ways_of_measuring_are_not_mixed() -> None:
    other = run(seed=1, plan=replace(plan(), uniform_points=20_000, accounts=6))
    with pytest.raises(MixedSelection, match=r"accounts = 5, 6.*run all again with force=true"):
        select([run(), other])


def test_the_methods_tell_what_the_runs_did_not_what_the_code_would_do() -> None:
    numbers = Plan(12_345, 1e-3, 7, 321, 2, 6, 0.1, 77)
    selection = select([run(plan=numbers), run("mad", plan=numbers)])
    text = methods.paragraph(selection, fields(selection))
    assert "12,345 uniform valid inputs" in text
    assert "7 accounts of up to 321 queries" in text
    assert "2 more accounts asked test data of one cluster alone: of 6" in text
    assert "below 10% of the rows" in text


def test_a_cell_with_two_different_curves_is_refused() -> None:
    with pytest.raises(MixedSelection, match="two runs give different curves"):
        select([run(), run(fidelity=(0.1, 0.2, 0.3))])


def test_of_a_run_that_drew_another_secret_the_latest_counts() -> None:
    first, other = run(secret="ab"), run(secret="cd", fidelity=(0.1, 0.2, 0.3))
    record = replace(other.summary, config_hash=first.summary.config_hash)
    again = replace(other, record=record, started=first.started + 5)
    found = select([again, first])
    assert [curve.run.id for curve in found.curves] == [again.id]
    assert len(found.repeated) == 1


def test_a_curve_given_twice_is_counted_once() -> None:
    found = select([run(), run(id="again"), run(seed=1)])
    assert len(found.curves) == 2
    assert len(found.repeated) == 1


def test_what_did_not_finish_is_listed_and_averaged_nowhere() -> None:
    found = select([run(), run(seed=1, state="RUNNING"), run(seed=2, state="FAILED")])
    assert [c.seed for c in found.curves] == ["0"]
    assert len(found.left_out) == 2
    notices = " ".join(methods.notices(found, fields(found)))
    assert "2 runs did not finish (1 running, 1 failed)" in notices
    made = {table.name: table for table in tables(found, fields(found))}
    assert len(made["left_out"].groups[0].rows) == 2


def test_runs_of_one_name_are_told_apart_by_the_knobs_that_differ() -> None:
    coarse = run("rounding", knobs={"defense.rounding.decimals": 1})
    fine = run("rounding", knobs={"defense.rounding.decimals": 3}, fidelity=(0.9, 0.9, 0.9))
    names = {c.defense for c in select([coarse, fine, run()]).curves}
    assert names == {"rounding (decimals=1)", "rounding (decimals=3)", "none"}


def test_a_suites_attacks_are_curves_of_their_own_and_its_worst_case_is_not() -> None:
    curve = [*rows(attack="a"), *rows(attack="b"), *rows(attack="worst_case")]
    suite = replace(run(attack="suite"), rows=curve)
    assert [c.attack for c in select([suite]).curves] == ["a", "b"]


def test_a_fixed_victim_makes_its_own_seeds_and_says_so() -> None:
    found = select([run(seed=s, knobs={"victim_seed": 7}) for s in (0, 1)])
    assert [c.seed for c in found.curves] == ["7:0", "7:1"]
    assert any("fixed victim_seed" in line for line in methods.notices(found, fields(found)))
