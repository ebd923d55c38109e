"""From a store of MLflow to a report by the command."""

import json
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_runs import run
from shop import new_store

from moatbench.cli import report
from moatbench.report.select.selection import select
from moatbench.tracking.log import log_run
from moatbench.tracking.read import Logged, StoreUnreadable, logged_runs
from moatbench.tracking.store import open_store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A store with two finished runs, one that does not apply and one left half written."""
    base = tmp_path_factory.mktemp("store")
    uri = new_store(base / "mlflow.db")
    for seed in (0, 1):
        log(base, uri, run(seed=seed, summaries={"solve": {"area": 0.5}}))
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
    uri = new_store(tmp_path / "mlflow.db")
    log(tmp_path, uri, run(summaries={"solve": {"area": 0.5}}))
    shutil.rmtree(tmp_path / "artifacts")
    with pytest.raises(StoreUnreadable, match=r"has lost its summary\.json"):
        logged_runs(uri, "bench")


def test_records_that_lack_something_are_refused_with_what_to_do(tmp_path: Path) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    log(tmp_path, uri, run(summaries={"solve": {"area": 0.5}}))
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


def test_a_scale_that_there_is_not_is_refused_with_those_there_are(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [
        "experiment=bench",
        f"out={tmp_path / 'x'}",
        f"tracking.uri={store}",
        "scale=nines",
    ]
    monkeypatch.setattr(sys, "argv", ["moatbench-report", *arguments])
    with pytest.raises(SystemExit, match="scale must be one of auto, log, linear, whole, got"):
        report.main()


def test_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    arguments = ["experiment=a", f"out={tmp_path / 'x'}", f"tracking.uri=sqlite:///{tmp_path}/no"]
    monkeypatch.setattr(sys, "argv", ["moatbench-report", *arguments])
    with pytest.raises(SystemExit, match="moatbench-report: no MLflow store") as error:
        report.main()
    assert "\n" not in str(error.value)
    assert not list(tmp_path.iterdir())
