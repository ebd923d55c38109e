"""moatbench-reproduce: rows as data, results that outlive an interruption, the report."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from moatbench.compose.build import options
from moatbench.reply import Reply
from moatbench.reproduce import main as command
from moatbench.reproduce import play, sections
from moatbench.reproduce.of_figures import averages
from moatbench.reproduce.over_seeds import per_cent, stolen
from moatbench.reproduce.report import body
from moatbench.reproduce.results import FAILED, FINISHED, Measured, Results
from moatbench.reproduce.spec import Claim, Published, Rerun, Section, unknowns
from moatbench.space import InputSpace
from moatbench.victim import Shares, Victim

Compose = Callable[..., DictConfig]
Command = Callable[..., tuple[int, str]]
ROWS = [row for section in sections.SECTIONS for row in section.rows]
CONFIGS = {(r.victim, r.attack, r.defense, r.knobs): r for r in ROWS}

SOLVED = Rerun(
    section="table4",
    name="Softmax, Iris",
    line="equation solving",
    victim="softmax",
    data="iris",
    attack="equation_solving",
    budgets=(5, 10),
    unit="queries",
    seeds=2,
    paper=(Published(10, 0.99, 0.98, 3.0),),
    differs=("Another split",),
)
BROKEN = replace(SOLVED, name="No such data", knobs=("data.name=tulips",))
SMALL = Section("table4", "Table 4: small", "budgets", "About.", (SOLVED, BROKEN))


def record(row: Rerun, seed: int, queries: int, **fields: Any) -> Measured:
    given: dict[str, Any] = {"points": len(row.budgets), "test": 1.0, "uniform": 1.0}
    given |= {"queries": queries, "budget": float(queries), "seconds": 0.1, "cpu": 1.0}
    return Measured(row.key, row.settings, seed, FINISHED, **(given | fields))


def nodes(tree: Any) -> Iterator[str]:
    """Find every `_target_`."""
    if isinstance(tree, dict):
        yield from [tree["_target_"]] if "_target_" in tree else []
        for value in tree.values():
            yield from nodes(value)


@pytest.fixture
def reproduce(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run the command on the small section; return exit status and all that it said."""
    monkeypatch.setattr(sections, "SECTIONS", (SMALL,))
    monkeypatch.setattr(sections, "KEYS", ("table4",))

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as stop:
            command.main([f"--out={tmp_path / 'report.md'}", "--workers=1", *arguments])
        said = capsys.readouterr()
        assert isinstance(stop.value.code, int)
        return stop.value.code, said.out + said.err

    return run


@pytest.mark.parametrize("row", CONFIGS.values(), ids=lambda row: row.key)
def test_every_row_composes_of_parts_that_exist(row: Rerun, composed: Compose) -> None:
    cfg = composed(*row.overrides)
    found = list(nodes(OmegaConf.to_container(cfg, resolve=False)))
    assert len(found) == 3 + (row.defense != "none")
    for target in found:
        module, _, name = target.rpartition(".")
        assert hasattr(import_module(module), name)


def test_every_row_names_data_that_exist() -> None:
    assert {row.data for row in ROWS} <= set(options("data"))


def test_no_two_rows_share_a_name() -> None:
    assert len({row.key for row in ROWS}) == len(ROWS)


def test_the_papers_budgets_are_checkpoints() -> None:
    for row in ROWS:
        quick = row.quickly()
        assert {p.queries for p in row.paper} <= set(row.budgets), row.key
        assert quick is None or {p.queries for p in row.paper} <= set(quick.budgets), row.key


def test_every_section_has_a_row_in_the_quick_run() -> None:
    assert all(section.rows for section in sections.chosen(quick=True, seeds=None))


@pytest.mark.parametrize(
    ("family", "count"), [("softmax", 530), ("one_vs_rest", 530), ("mlp", 2225), ("rbf_svm", 106)]
)
def test_unknowns_are_counted_as_in_table_4(family: str, count: int) -> None:
    x, y = np.zeros((9, 105)), np.zeros(9, np.int64)
    shares = Shares(InputSpace.box(105), tuple("abcde"), x, y, x, x, y)
    victim = Victim(shares, lambda q: Reply(np.zeros(len(q), np.int64)), family, {"hidden": 20})
    assert unknowns(victim) == count


def test_budgets_are_multiples_of_unknowns_of_at_least_one_query(toy: Victim) -> None:
    row = replace(SOLVED, unit="unknowns", budgets=(0.01, 0.02, 0.5, 2))
    assert row.checkpoints(toy) == (1, 8, 30)  # 3 (4 + 1) unknowns


def test_a_row_is_run_by_the_real_pipeline() -> None:
    first, last = play.play(SOLVED, 0, None)
    assert (first.queries, last.queries) == (5, 10)
    assert last.status == FINISHED
    assert last.test == last.uniform == 1
    assert last.tv < 1e-9
    assert last.unknowns == 15


def test_data_that_are_not_there_are_a_reason_in_the_row(tmp_path: Path) -> None:
    (failed,) = play.play(replace(SOLVED, data="steak"), 0, str(tmp_path))
    assert failed.status == FAILED
    assert "steak.csv into a folder and name it with data_dir" in failed.note


def test_one_row_fails_the_others_go_on_and_a_second_start_runs_what_is_missing(
    reproduce: Command, tmp_path: Path
) -> None:
    status, said = reproduce()
    report = (tmp_path / "report.md").read_text()
    assert status == 1
    assert "FAILED: data.name must be a set that scikit-learn bundles" in said
    assert "| No such data | equation solving | failed: data.name must be a" in report
    assert "| Softmax, Iris | equation solving | 10 | 99.00 / 98.00 | 100.00 |" in report
    file = tmp_path / "report" / "results.csv"
    kept = file.read_text().splitlines(keepends=True)
    cut = [line for line in kept if not ("Softmax" in line and ",1,finished" in line)]
    file.write_text("".join(cut) + "table4 | Softm")
    status, said = reproduce("--only=table4")
    assert status == 1
    assert "1 of 4 runs are in" in said
    assert "Softmax, Iris | equation solving | seed 1: 100.00/100.00 % at 10 queries" in said
    assert "Softmax, Iris | equation solving | seed 0" not in said


def test_fresh_forgets_the_chosen_rows_alone(
    reproduce: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = Results(tmp_path / "report" / "results.csv")
    other = replace(SOLVED, section="figure4")
    results.add([record(other, 0, 5), record(other, 0, 10)])
    results.add([record(SOLVED, 0, 5), record(SOLVED, 0, 10)])
    asked: list[Any] = []

    def none_run(jobs: Sequence[Any], *_: Any) -> Iterator[list[Measured]]:
        asked.extend(jobs)
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(play, "play_all", none_run)
    status, said = reproduce("--fresh")
    assert status == 130
    assert "the same command goes on" in said
    assert (SOLVED, 0) in asked
    again = Results(results.path)
    assert again.finished(other, 0)
    assert not again.finished(SOLVED, 0)


def test_the_report_can_be_written_of_what_is_there(reproduce: Command, tmp_path: Path) -> None:
    Results(tmp_path / "report" / "results.csv").add([record(SOLVED, 0, 5), record(SOLVED, 0, 10)])
    status, _ = reproduce("--report-only")
    report = (tmp_path / "report.md").read_text()
    assert status == 0
    assert "| runs | 1 finished, 0 failed, 3 not run |" in report
    assert "| No such data | equation solving | not run |" in report


def test_an_unknown_section_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command.main(["--only=tabel4,figure7"])
    assert stop.value.code == 2
    assert "unknown 'tabel4'; did you mean table4? Known: table4, table6" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seeds=0", "--workers=two"])
def test_a_bad_number_is_a_clear_error(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main([option])
    assert "must be a whole number of at least 1" in capsys.readouterr().err


def test_a_run_that_was_cut_short_or_changed_since_does_not_count(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    results.add([record(SOLVED, 0, 5)])
    results.add([record(SOLVED, 1, 5), record(SOLVED, 1, 10)])
    again = Results(results.path)
    assert not again.finished(SOLVED, 0)
    assert again.finished(SOLVED, 1)
    assert not again.finished(replace(SOLVED, budgets=(5, 11)), 1)
    assert [r.queries for r in again.of(SOLVED, 1)] == [5, 10]


def test_results_of_another_version_are_told(tmp_path: Path) -> None:
    (tmp_path / "results.csv").write_text("row,queries\na,3\n")
    with pytest.raises(ValueError, match="another version"):
        Results(tmp_path / "results.csv")


def test_a_model_is_stolen_from_where_fidelity_stays_at_the_goal() -> None:
    run = [record(SOLVED, 0, q, test=t) for q, t in ((5, 1.0), (6, 0.9), (7, 1.0), (8, 1.0))]
    found = stolen(run, (0.999, 0.998))
    assert found is not None
    assert found.queries == 7
    assert stolen(run[:2], (0.999, 0.998)) is None


def test_a_disagreement_is_never_rounded_away() -> None:
    assert per_cent(0.99999) == "99.99"
    assert per_cent(1.0) == "100.00"
    assert per_cent(0.9817) == "98.17"


def test_a_table_shows_median_and_range_beside_the_paper(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    for seed, test in enumerate((0.9, 0.99, 1.0)):
        results.add([record(SOLVED, seed, 5, test=0.5), record(SOLVED, seed, 10, test=test)])
    text = body(replace(SMALL, rows=(replace(SOLVED, seeds=3),)), results, "")
    assert "| 10 | 99.00 / 98.00 | 99.00 [90.00, 100.00] | 100.00 | 3.0 | 0.10 | 3 | [1] |" in text
    assert "- [1] Another split." in text


def test_a_goal_that_a_seed_does_not_reach_is_told(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    results.add([record(SOLVED, 0, 5), record(SOLVED, 0, 10)])
    results.add([record(SOLVED, 1, 5), record(SOLVED, 1, 10, test=0.9)])
    text = body(replace(SMALL, kind="goal", rows=(SOLVED,)), results, "")
    assert "not reached [5, not reached]" in text


def test_a_curve_is_averaged_over_sets_at_the_budgets_that_all_have(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    one = replace(SOLVED, name="one", seeds=1)
    two = replace(SOLVED, name="two", budgets=(5, 20), seeds=1)
    results.add([record(one, 0, 5, test=0.8), record(one, 0, 10)])
    results.add([record(two, 0, 5, test=0.6), record(two, 0, 20)])
    claim = Claim("equation solving", 50, 0.99, "sec. 0: 99 %")
    section = Section("figure4", "Figure", "curves", "About.", (one, two), claims=(claim,))
    assert averages(section, results, "equation solving", "test") == {5: [pytest.approx(0.7)]}
    assert "| equation solving | sec. 0: 99 % | 70.00 / 100.00 at 5 x |" in body(
        section, results, ""
    )


def test_a_set_that_one_line_lacks_is_left_out_of_every_average(tmp_path: Path) -> None:
    results = Results(tmp_path / "results.csv")
    rows = [replace(SOLVED, name=n, line=a, seeds=1) for n in ("one", "two") for a in ("a", "b")]
    for row in rows[:3]:  # the second set has not been run in line b
        results.add([record(row, 0, 5, test=0.5), record(row, 0, 10)])
    section = Section("figure4", "Figure", "curves", "About.", tuple(rows))
    assert averages(section, results, "a", "test") == averages(section, results, "b", "test")
    assert "| **average of 1** | a | 50.00 / 100.00 |" in body(section, results, "")


def test_what_was_not_run_is_said(tmp_path: Path) -> None:
    assert "Not run yet." in body(SMALL, Results(tmp_path / "results.csv"), "")


def test_a_process_that_dies_takes_down_no_job_but_its_own() -> None:
    fatal = replace(SOLVED, name="fatal", knobs=("~data", "+data._target_=os.abort"))
    runs = list(play.play_all([(fatal, 0), (SOLVED, 0)], None, workers=1))
    assert [run[-1].status for run in runs] == [FAILED, FINISHED]
    assert "the process that ran it died" in runs[0][0].note


def test_the_report_names_no_folder_of_whoever_ran_it() -> None:
    given = ["--fresh", "--data-dir", "/home/me", "--out=/tmp/a b.md", "--only", "table4"]
    said = "moatbench-reproduce --fresh --out 'a b.md' --only table4"
    assert command.recorded(given) == said


@pytest.mark.parametrize("given", [["--out", "runs/paper.md"], ["--out=runs/paper.md"]])
def test_the_command_of_a_report_goes_on_with_that_report(given: list[str]) -> None:
    said = command.recorded(["--quick", *given])
    assert said == "moatbench-reproduce --quick --out runs/paper.md"
