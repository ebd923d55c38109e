"""From runs to a report: what is counted, what is refused, and what the page shows."""

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pytest
from summaries import summary

from moatbench.cli import report
from moatbench.judge.plan import plan
from moatbench.record.summary import Plan, Summary
from moatbench.report.measure.alarms import alarm_records
from moatbench.report.measure.comparisons import MEASURES, comparisons
from moatbench.report.measure.leaderboard import Standing, standings, within
from moatbench.report.measure.multipliers import Reach, multiplier, reach
from moatbench.report.measure.statistics import Interval, t_interval
from moatbench.report.measure.worst import Field, fields, worst, worst_of_each_seed
from moatbench.report.select.consistency import MixedSelection
from moatbench.report.select.records import Selection
from moatbench.report.select.selection import select
from moatbench.report.write import methods
from moatbench.report.write.contents import tables
from moatbench.report.write.numerals import percent, queries, ratio, share
from moatbench.report.write.output import OutputRefused, require_free, written
from moatbench.report.write.report import write
from moatbench.report.write.tables import Group, Head, Table, latex, markdown, tex
from moatbench.tracking.log import log_run
from moatbench.tracking.read import Logged, StoreUnreadable, logged_runs
from moatbench.tracking.store import open_store

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")
CHECKPOINTS = (10, 20, 50)


def rows(fidelity: Sequence[float] = (0.5, 0.8, 0.9), **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "attack": "solve",
            "queries": q,
            "refused": 0,
            "dollars": 0.0,
            "waited": 0.0,
            "seconds": 0.1,
            "fidelity_test": f,
            "tv_test": 1 - f,
            "accuracy": f,
            "fidelity_uniform": f / 2,
            "honest_refused": 0.0,
            "honest_alarmed_accounts": 0.0,
            "honest_first_alarm": nan,
            "honest_label_agreement": 1.0,
            "honest_accuracy_lost": 0.0,
            "honest_l1_mean": 0.0,
            "honest_l1_max": 0.0,
            "honest_ece": 0.1,
            "honest_ece_undefended": 0.1,
            "first_alarm": nan,
            "converged": 1,
            "note": "",
        }
        | changes
        for q, f in zip(CHECKPOINTS, fidelity, strict=True)
    ]


def run(
    defense: str = "none",
    attack: str = "solve",
    seed: int = 0,
    fidelity: Sequence[float] = (0.5, 0.8, 0.9),
    row: dict[str, Any] | None = None,
    state: str = "FINISHED",
    **changes: Any,
) -> Logged:
    """A run as the store would give it."""
    identity = f"{defense}-{attack}-{seed}-{changes.get('data', '')}-{fidelity}-{changes.get('id')}"
    knobs = {"seed": seed, "victim_seed": None, "price": 1e-4} | changes.pop("knobs", {})
    changes.pop("id", None)
    told: Summary | None = summary(
        defense=defense, attack=attack, seed=seed, knobs=knobs, config_hash=identity, **changes
    )
    curve = rows(fidelity, **{"attack": attack, **(row or {})})
    if state != "FINISHED":
        told, curve = None, []
    elif told is not None and told.status != "finished":
        curve = []
    return Logged(identity, identity, state, 1.7e9, {"config_hash": identity}, told, curve)


def one_field(*runs: Logged) -> Field:
    (found,) = fields(select(runs))
    return found


def standing(name: str, *runs: Logged) -> Standing:
    return next(row for row in standings(one_field(*runs)) if row.defense == name)


# ---- which runs are counted --------------------------------------------------------------


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


# ---- the worst case, the price and the marks ---------------------------------------------


def test_the_score_is_the_largest_mean_not_the_mean_of_the_largest() -> None:
    field = one_field(
        run(attack="a", seed=0, fidelity=(0, 0, 1.0)),
        run(attack="a", seed=1, fidelity=(0, 0, 0.4)),
        run(attack="b", seed=0, fidelity=(0, 0, 0.6)),
        run(attack="b", seed=1, fidelity=(0, 0, 0.9)),
    )
    found = worst(field.against("none"), "fidelity_test")
    assert (found.value.mean, str(found)) == (0.75, "b")


def test_attacks_that_are_equally_bad_are_counted() -> None:
    field = one_field(run(attack="a"), run(attack="b"), run(attack="c", fidelity=(0, 0, 0.1)))
    assert str(worst(field.against("none"), "fidelity_test")) == "a +1"


def test_for_total_variation_the_smallest_is_the_worst() -> None:
    field = one_field(
        run(attack="a", fidelity=(0, 0, 0.4)),
        run(attack="b", fidelity=(0, 0, 0.9)),
    )
    assert worst(field.against("none"), "tv_test").attack == "b"


def test_the_worst_of_a_seed_needs_every_attack_of_it() -> None:
    field = one_field(run(attack="a"), run(attack="a", seed=1), run(attack="b", seed=1))
    assert list(worst_of_each_seed(field.against("none"))) == ["1"]


def test_a_refused_query_costs_as_much_as_an_answer_can() -> None:
    row = standing("d", run("d", row={"honest_l1_mean": 0.5, "honest_refused": 0.2}))
    assert row.cost.mean == pytest.approx(0.8 * 0.5 + 0.2 * 2)


def test_refusing_everybody_costs_two() -> None:
    row = standing("d", run("d", row={"honest_l1_mean": nan, "honest_refused": 1.0}))
    assert row.cost.mean == 2.0


def test_the_front_is_what_no_other_defense_beats_on_both_sides() -> None:
    board = standings(
        one_field(
            run(fidelity=(0, 0, 1.0)),
            run("cheap", fidelity=(0, 0, 0.9), row={"honest_l1_mean": 0.1}),
            run("dear", fidelity=(0, 0, 0.5), row={"honest_l1_mean": 0.9}),
            run("useless", fidelity=(0, 0, 0.95), row={"honest_l1_mean": 0.5}),
        )
    )
    assert {row.defense for row in board if row.front} == {"none", "cheap", "dear"}
    assert [row.defense for row in board] == ["dear", "cheap", "useless", "none"]
    assert {row.defense for row in within(board, 0.5)} == {"none", "cheap", "useless"}


def test_a_winner_that_had_not_converged_is_a_lower_bound() -> None:
    assert "lower bound" in standing("d", run("d", row={"converged": 0})).marks
    assert "lower bound" not in standing("d", run("d")).marks


def test_a_defense_is_naive_only_until_a_run_names_an_attack_made_for_it() -> None:
    assert "naive only" in standing("d", run("d")).marks
    assert "naive only" in standing("d", run("d", aware={"solve": ["another"]})).marks
    assert "naive only" not in standing("d", run("d", aware={"solve": ["d"]})).marks
    flagged = run("d", aware={"solve": ["d"]}, flags=["naive only: no aware attack"])
    assert "naive only" in standing("d", flagged).marks
    assert "naive only" not in standing("none", run()).marks


def test_of_a_stack_each_layer_needs_an_attack_made_for_it() -> None:
    one = run("prada+rounding", "a", aware={"a": ["rounding"]})
    other = run("prada+rounding", "b", aware={"b": ["prada"]})
    assert "naive only" in standing("prada+rounding", one).marks
    assert "naive only" not in standing("prada+rounding", one, other).marks


def test_a_worst_case_that_saw_the_victim_is_an_upper_bound() -> None:
    seer = run("d", "seer", oracles=["seer"])
    assert "upper bound" in standing("d", seer).marks
    better = run("d", "other", fidelity=(1, 1, 1))
    assert "upper bound" not in standing("d", seer, better).marks


def test_attacks_and_seeds_that_a_row_lacks_are_marked() -> None:
    board = (run(), run(seed=1), run(attack="b"), run(attack="b", seed=1), run("d"))
    assert {"not run: b", "seeds 1 of 2"} <= set(standing("d", *board).marks)
    assert not standing("none", *board).marks


def test_an_attack_that_does_not_apply_is_not_missing() -> None:
    skip = run("d", "b", status="not_applicable", not_applicable={"b": "needs confidences"})
    row = standing("d", run(), run(attack="b"), run("d"), skip)
    assert not any(mark.startswith("not run") for mark in row.marks)


def test_below_label_only_with_all_labels_kept_is_under_attacked() -> None:
    floor = run("label_only", fidelity=(0, 0, 0.9))
    board = (floor, run("noise", fidelity=(0, 0, 0.6)))
    assert "under-attacked" in standing("noise", *board).marks
    refusing = run("prada", fidelity=(0, 0, 0.6), row={"honest_refused": 0.5})
    assert "under-attacked" not in standing("prada", floor, refusing).marks


# ---- cost multipliers --------------------------------------------------------------------


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


# ---- comparisons and monitors ------------------------------------------------------------


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
    silent = run("prada", knobs={"defense.prada.monitor.delta": 0.9})
    assert [w.alarmed for w in alarm_records(one_field(silent, run()))] == [0]


# ---- numbers and tables ------------------------------------------------------------------


def test_one_seed_shows_no_interval_and_the_page_says_so() -> None:
    found = select([run(), run("d")])
    assert share(t_interval([0.5])) == "50.0"
    assert any("One seed only" in line for line in methods.notices(found, fields(found)))
    assert "no interval is given" in methods.paragraph(found, fields(found))
    made = {table.name: table for table in tables(found, fields(found))}
    assert not any("[" in cell for row in made["leaderboard"].groups[0].rows for cell in row)


def test_nearly_all_and_nearly_nothing_do_not_look_like_all_and_nothing() -> None:
    assert percent(1.0) == "100.0"
    assert percent(0.9998) == "99.98"
    assert percent(0.99999) == "> 99.99"
    assert percent(0.0) == "0.0"
    assert percent(0.0001) == "1e-02"
    assert share(Interval(nan, nan, nan, 0)) == "-"


def test_latex_is_escaped_and_ruled() -> None:
    table = Table("t", "A & B", "50 % of x_1", [Head("a_b", number=False), Head("<= 5")])
    text = latex(replace(table, groups=[Group("one", [["rounding_2", "> 3"]])]))
    assert r"A \& B. 50 \% of x\_1" in text
    assert r"a\_b & $\le$ 5 \\" in text
    assert r"rounding\_2 & $>$ 3 \\" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_markdown_keeps_its_columns() -> None:
    table = Table("t", "T", "c", [Head("a")], [Group("", [["x|y"], ["> 3"]])])
    assert "| x\\|y |\n| > 3 |" in markdown(table)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex on this machine")
def test_every_latex_table_compiles(tmp_path: Path) -> None:
    found = sample()
    texts = [latex(table) for table in tables(found, fields(found))]
    document = "\n".join([*texts, tex(methods.paragraph(found, fields(found)))])
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}x\n"
        f"{document}\n\\end{{document}}\n"
    )
    batch = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(batch, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


# ---- the folder --------------------------------------------------------------------------


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("dear")
    with pytest.raises(OutputRefused, match=r"thesis\.tex"):
        require_free(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.tex"]


def test_an_earlier_report_is_replaced_and_what_it_had_more_is_gone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for names in (("a", "b"), ("a",)):
        require_free(out)
        with written(out) as folder:
            for name in names:
                (folder / name).write_text(str(names))
    assert {p.name for p in out.iterdir()} == {"a", "report.json"}
    assert (out / "a").read_text() == "('a',)"
    assert {p.name for p in tmp_path.iterdir()} == {"out"}


def test_a_report_that_somebody_changed_is_left_alone(tmp_path: Path) -> None:
    with written(tmp_path / "out") as folder:
        (folder / "table.tex").write_text("ours")
    (tmp_path / "out" / "table.tex").write_text("tuned by hand")
    with pytest.raises(OutputRefused, match=r"changed since \(table\.tex\)"):
        require_free(tmp_path / "out")


def test_a_file_of_the_users_beside_a_report_is_left_alone(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with written(out) as folder:
        (folder / "a").write_text("ours")
    (out / "b").write_text("theirs")
    with pytest.raises(OutputRefused, match="b is not of our earlier report"), written(out) as new:
        (new / "b").write_text("ours")
    assert (out / "b").read_text() == "theirs"


def test_a_report_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    def half() -> None:
        with written(tmp_path / "out") as folder:
            (folder / "a").write_text("half")
            raise RuntimeError("full disk")

    with pytest.raises(RuntimeError, match="full disk"):
        half()
    assert not list(tmp_path.iterdir())


# ---- the store ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with two finished runs, one that does not apply and one left half written."""
    base = tmp_path_factory.mktemp("store")
    uri = f"sqlite:///{base}/mlflow.db"
    for seed in (0, 1):
        log(base, uri, run(seed=seed))
    skip: Any = {"status": "not_applicable", "not_applicable": {"b": "needs a pool"}}
    log(base, uri, run(attack="b", **skip))
    client, experiment = open_store(uri, "bench")
    client.create_run(experiment, run_name="half")
    return uri


def log(base: Path, uri: str, made: Logged) -> None:
    from moatbench.record.curve import CurveFile

    folder = base / f"folder-{made.summary.attack}-{made.summary.seed}"
    folder.mkdir()
    made.summary.write(folder)
    file = CurveFile(folder / "curve.csv")
    for row in made.rows:
        file.add(row)
    log_run(folder, uri)


def test_runs_come_back_with_their_curves(store: str) -> None:
    found = select(logged_runs(store, "bench"))
    assert [(c.attack, c.seed, c.last["fidelity_test"]) for c in found.curves] == [
        ("solve", "0", 0.9),
        ("solve", "1", 0.9),
    ]
    assert [s.reason for s in found.skips] == ["needs a pool"]
    assert [r.state for r in found.left_out] == ["RUNNING"]


def test_a_filter_chooses(store: str) -> None:
    assert len(logged_runs(store, "bench", "tags.seed = '1'")) == 1
    with pytest.raises(StoreUnreadable, match="cannot search with filter='nonsense'"):
        logged_runs(store, "bench", "nonsense")


def test_an_experiment_that_is_not_there_names_those_that_are(store: str) -> None:
    with pytest.raises(StoreUnreadable, match=r"'bnech'.*there are: .*bench"):
        logged_runs(store, "bnech")


def test_a_store_that_is_gone_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StoreUnreadable, match="no MLflow store at"):
        logged_runs(f"sqlite:///{tmp_path}/deep/mlflow.db", "bench")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"not a database at all, but long enough to be read"])
def test_a_file_that_is_no_store_stays_as_it_is(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(StoreUnreadable, match="is no MLflow store"):
        logged_runs(f"sqlite:///{tmp_path}/x.db", "bench")
    assert (tmp_path / "x.db").read_bytes() == content


def test_a_locked_store_says_so(store: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("moatbench.tracking.read.PATIENCE", 0.2)
    with closing(sqlite3.connect(store.removeprefix("sqlite:///"))) as db:
        db.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreUnreadable, match="locked"):
            logged_runs(store, "bench")


def test_artifacts_that_are_gone_are_named(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    log(tmp_path, uri, run())
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(StoreUnreadable, match=r"has lost its summary\.json"):
        logged_runs(uri, "bench")


def test_records_that_lack_something_are_refused_with_what_to_do(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    log(tmp_path, uri, run())
    (file,) = (tmp_path / "artifacts").rglob("summary.json")
    tree = json.loads(file.read_text())
    del tree["knobs"]
    file.write_text(json.dumps(tree))
    with pytest.raises(
        StoreUnreadable, match=r"moatbench 0\.1\.0, whose records lack knobs: run it"
    ):
        logged_runs(uri, "bench")


def test_a_server_that_is_down_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(StoreUnreadable, match=r"http://127\.0\.0\.1:9 cannot be read"):
        logged_runs("http://127.0.0.1:9", "bench")


# ---- the command -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["bench"], "'bench' is no key=value"),
        (["experiment=a"], "out= missing"),
        (["experiment=a", "out=b", "trackin.uri=c"], r"did you mean tracking\.uri=\?"),
    ],
)
def test_the_command_line_says_what_it_lacks(arguments: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        report.COMMAND.read(arguments)


def test_a_filter_may_hold_signs_of_equality() -> None:
    given = report.COMMAND.read(["experiment=a", "out=b", "filter=tags.seed = '1'"])
    assert given.options["filter"] == "tags.seed = '1'"


def test_the_command_writes_every_part(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import pandas as pd

    out = tmp_path / "report"
    arguments = ["experiment=bench", f"out={out}", f"tracking.uri={store}"]
    monkeypatch.setattr(sys, "argv", ["moatbench-report", *arguments])
    report.main()
    assert str(out / "index.html") in capsys.readouterr().out
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    assert {"index.html", "curves.csv", "curves.parquet", "methods.md", "commands.txt"} <= names
    assert {"figures/curves_column_softmax_iris.pdf", "tables/leaderboard.tex"} <= names
    frame, typed = pd.read_csv(out / "curves.csv"), pd.read_parquet(out / "curves.parquet")
    assert list(frame) == list(typed)
    numbers = ["queries", "fidelity_test", "tv_test", "honest_l1_mean"]
    pd.testing.assert_frame_equal(frame[numbers], typed[numbers])
    assert list(frame.queries) == [10, 20, 50, 10, 20, 50]


def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ["experiment=a", f"out={tmp_path / 'x'}", f"tracking.uri=sqlite:///{tmp_path}/no"]
    monkeypatch.setattr(sys, "argv", ["moatbench-report", *arguments])
    with pytest.raises(SystemExit, match="moatbench-report: no MLflow store") as error:
        report.main()
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())


# ---- the figures -------------------------------------------------------------------------


def test_no_text_of_a_figure_meets_another_and_all_can_be_read() -> None:
    from itertools import combinations

    import matplotlib
    from matplotlib.text import Text

    from moatbench.report.write import figures, heat_map
    from moatbench.report.write.style import COLUMN, PAGE, PANELS, RC, looks

    field = fields(sample())[0]
    shown, board = looks(field.defenses), standings(field)
    with matplotlib.rc_context(RC):
        for figure in (
            figures.curves(field, board, shown, PANELS[:1], COLUMN),
            figures.curves(field, board, shown, PANELS, PAGE),
            figures.tradeoff(board, shown, COLUMN),
            heat_map.heat_map(field, PAGE),
        ):
            figure.draw_without_rendering()
            unseen = {
                id(tick.label1)
                for axes in figure.axes
                for axis in (axes.xaxis, axes.yaxis)
                for tick in axis.get_major_ticks()
                if not min(axis.get_view_interval())
                <= tick.get_loc()
                <= max(axis.get_view_interval())
            }
            # A slanted label's box is not the label
            texts = [
                t
                for t in figure.findobj(Text)
                if t.get_text().strip() and t.get_visible()
                if t.get_rotation() in (0, 90) and id(t) not in unseen
            ]
            assert len(texts) > 10
            assert min(float(t.get_fontsize()) for t in texts) >= 7
            for a, b in combinations(texts, 2):
                box, other = a.get_window_extent(), b.get_window_extent()
                meet = box.padded(-1).overlaps(other.padded(-1))
                assert not meet, (a.get_text(), b.get_text())
            for text in texts:
                box = text.get_window_extent()
                assert box.x0 >= 0, text.get_text()
                assert box.x1 <= figure.bbox.x1, text.get_text()


# ---- the page in a browser ---------------------------------------------------------------

BLOCKED = """<script>
window.blocked = [];
document.addEventListener("securitypolicyviolation", (e) => window.blocked.push(e.blockedURI));
</script>"""
PROBE = """<script>
const texts = [...document.querySelectorAll(".chart text")];
const boxes = texts.map((t) => [t, t.getBoundingClientRect()]);
const hits = [];
boxes.forEach(([s, a], i) => boxes.slice(i + 1).forEach(([t, b]) => {
  const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const tall = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  if (wide > 1 && tall > 4) hits.push(s.textContent + " / " + t.textContent);
}));
const beyond = boxes.filter(([, b]) => b.left < 0 || b.right > innerWidth);
const asked = performance.getEntriesByType("resource").map((entry) => entry.name);
const found = document.documentElement.dataset;
found.overlaps = JSON.stringify(hits);
found.beyond = JSON.stringify(beyond.map(([t]) => t.textContent));
setTimeout(() => { found.requests = JSON.stringify([...asked, ...window.blocked]); }, 500);
</script>"""


def sample() -> Selection:
    """Twelve defenses on two victims, with all that a page may have to show."""
    runs = []
    for data in ("iris", "wine_<b>"):
        origin = {"name": data, "sha256": data, "rows": 150, "test_share": 0.3}
        for place in range(12):
            name = "none" if not place else f"defense_{place}"
            for attack in ("solve", "retrain", "adapt"):
                for seed in range(3):
                    gap = place * 0.03 + seed * 0.01 + len(attack) * 0.01
                    fidelity = [max(0.0, f - gap) for f in (0.5, 0.8, 1.0)]
                    price = {"honest_l1_mean": place * 0.05, "converged": int(place != 3)}
                    more: Any = {"data": data, "data_provenance": origin}
                    runs.append(run(name, attack, seed, fidelity, price, **more))
        skip: Any = {"status": "not_applicable", "not_applicable": {"solve": "no confidences"}}
        runs.append(run("label_only", "solve", data=data, data_provenance=origin, **skip))
        runs.append(run("label_only", "adapt", data=data, data_provenance=origin))
    return select([*runs, run(seed=7, state="KILLED")])


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    write(sample(), folder, "bench & <marks>", "moatbench-report experiment=bench")
    return folder / "index.html"


def browse(page: Path, profile: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    assert CHROMIUM is not None
    calm = "--no-first-run --disable-background-networking --disable-component-update"
    calm += " --disable-sync --disable-quic --no-sandbox --disable-gpu --headless"
    return subprocess.run(
        [
            CHROMIUM,
            *calm.split(),
            f"--user-data-dir={profile}",
            "--virtual-time-budget=5000",
            "--enable-logging=stderr",
            "--window-size=1300,3000",
            *flags,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )


def probed(page: Path, folder: Path, extra: str = "") -> str:
    """The page's DOM after its scripts, with what a probe in it found."""
    copy = folder / "probed.html"
    text = page.read_text().replace("<body>", f"<body>{BLOCKED}{extra}")
    copy.write_text(text.replace("</body>", f"{PROBE}</body>"))
    return browse(copy, folder / "profile", "--dump-dom").stdout


@needs_chromium
def test_the_page_draws_its_charts_without_errors(page: Path, tmp_path: Path) -> None:
    seen = browse(page, tmp_path, "--dump-dom")
    assert 'data-ready="true"' in seen.stdout
    assert seen.stdout.count('class="line"') == 13  # a line for each defense with a curve
    assert seen.stdout.count('class="band"') == 12  # label_only has one seed: no band
    assert seen.stdout.count('<td class="worst"') >= 12
    assert "CONSOLE" not in seen.stderr, seen.stderr


@needs_chromium
def test_no_label_of_a_chart_meets_another_and_nothing_is_asked_of_the_net(
    page: Path, tmp_path: Path
) -> None:
    seen = probed(page, tmp_path)
    assert 'data-overlaps="[]"' in seen
    assert 'data-beyond="[]"' in seen
    assert 'data-requests="[]"' in seen


CLICKS = """<script>
const lines = () => document.querySelectorAll("#curves-chart .line").length;
const pick = (id, value) => {
  byId(id).value = value;
  byId(id).dispatchEvent(new Event("change"));
};
const trail = [lines()];
const button = () => document.querySelector("#curves-legend button");
button().click();
trail.push(lines());
button().dispatchEvent(new MouseEvent("click", { shiftKey: true }));
trail.push(lines());
button().dispatchEvent(new MouseEvent("click", { shiftKey: true }));
pick("curves-attack", "solve");
trail.push(lines());
pick("curves-setting", "1");
const head = document.querySelector("#leaderboard table.sortable th.n");
head.click();
const rows = [...head.closest("table").tBodies[0].rows];
const column = rows.map((row) => parseFloat(row.cells[1].textContent));
trail.push(column.every((v, i) => !i || v >= column[i - 1]));
document.documentElement.dataset.trail = JSON.stringify(trail);
</script>"""


@needs_chromium
def test_the_legend_the_choices_and_the_headings_answer(page: Path, tmp_path: Path) -> None:
    copy = tmp_path / "clicked.html"
    copy.write_text(page.read_text().replace("</body>", f"{CLICKS}</body>"))
    seen = browse(copy, tmp_path / "profile", "--dump-dom")
    # 13 defenses; one hidden; one alone; all but label_only, to which solve does not apply
    assert 'data-trail="[13,12,1,12,true]"' in seen.stdout
    assert "CONSOLE" not in seen.stderr, seen.stderr


@needs_chromium
def test_a_request_would_be_seen(page: Path, tmp_path: Path) -> None:
    seen = probed(page, tmp_path, '<img src="http://127.0.0.1:9/x.png">')
    assert "http://127.0.0.1:9/x.png" in seen.split("data-requests=")[1].split(">")[0]


@needs_chromium
@pytest.mark.parametrize(("flags", "dark"), [((), False), (("--force-dark-mode",), True)])
def test_the_page_is_light_or_dark_as_the_reader_is(
    flags: tuple[str, ...], dark: bool, page: Path, tmp_path: Path
) -> None:
    import numpy as np
    from matplotlib.image import imread

    shot = tmp_path / "shot.png"
    browse(page, tmp_path / "profile", f"--screenshot={shot}", *flags)
    background = float(np.median(imread(shot)[..., :3]))
    assert background < 0.2 if dark else background > 0.9


def test_names_from_the_runs_cannot_break_the_page(page: Path) -> None:
    text = page.read_text()
    assert "wine_<b>" not in text.split("<script type")[0]
    assert "bench &amp; &lt;marks&gt;" in text
    start = text.index("id=data>") + len("id=data>")
    data = json.loads(text[start : text.index("</script>", start)])
    assert [s["name"] for s in data["settings"]] == ["softmax on iris", "softmax on wine_<b>"]


def test_the_page_points_to_nothing_outside(page: Path) -> None:
    import re

    links = re.findall(r"(?:src|href)=\"?([^\s\">]+)", page.read_text())
    assert links
    assert all(
        link.startswith(("#", "data:", "tables/", "figures/", "methods", "curves"))
        for link in links
    )
    assert all(
        (page.parent / link).exists() for link in links if not link.startswith(("#", "data:"))
    )


def test_the_worst_curve_of_the_page_is_nan_free_json(page: Path) -> None:
    assert "NaN" not in page.read_text().split("id=data>")[1].split("</script>")[0]


# ---- what is above the attacker without API, and what unusual customers pay -----------------


def cells(name: str, *runs: Logged) -> dict[str, dict[str, str]]:
    """A table's cells, by the first column and the heading."""
    found = select(runs)
    (table,) = [table for table in tables(found, fields(found)) if table.name == name]
    headings = [column.heading for column in table.columns]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in table.groups[0].rows}


def test_the_leaderboard_shows_the_largest_gain_of_any_attack() -> None:
    shown = cells(
        "leaderboard",
        run(row={"gain_test": 0.25}),
        run(attack="other", row={"gain_test": 0.5}),
        run("random_labels", row={"gain_test": -0.125}),
        run("random_labels", "other", row={"gain_test": -0.5}),
    )
    assert (shown["none"]["gain"], shown["random_labels"]["gain"]) == ("50.0", "-12.5")


def test_runs_that_measured_no_gain_leave_its_column_empty() -> None:
    assert cells("leaderboard", run())["none"]["gain"] == "-"


@pytest.mark.parametrize(
    ("floor", "told"),
    [("pool", "the best constant answer"), ("pool_labels", "trained on the pool with its true")],
)
def test_the_methods_name_the_floor_of_the_gain(floor: str, told: str) -> None:
    found = select([run(floor=floor)])
    text = methods.paragraph(found, fields(found))
    assert told in text
    assert "only the gain counts as extraction" in text


def test_the_honest_table_takes_unusual_customers_under_the_attack_that_is_worst_for_them() -> None:
    shown = cells(
        "honest",
        run("prada", row={"shifted_label_agreement": 0.9, "shifted_refused": 0.3}),
        run("prada", "other", row={"shifted_label_agreement": 0.7, "shifted_refused": 0.2}),
    )["prada"]
    assert shown["label kept (shifted)"] == "70.0"
    assert shown["refused (shifted)"] == "30.0"


def test_the_honest_table_shows_milliseconds_and_virtual_seconds_a_query() -> None:
    seconds = {"honest_seconds_added": 0.0125, "honest_seconds_waited": 3.0}
    shown = cells("honest", run(summaries={"solve": seconds}, row={"honest_l1_p99": 0.75}))["none"]
    assert (shown["ms added"], shown["s waited"], shown["99 % L1"]) == ("12.5", "3", "0.75")
