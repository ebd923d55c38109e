"""What MLflow has is taken for a run only where it is that very run, and whole."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from made_runs import rows
from shop import new_store
from summaries import summary

from moatbench.cli import log
from moatbench.record.curve import CurveFile
from moatbench.record.summary import RecordUnreadable, Summary
from moatbench.tracking import store
from moatbench.tracking.log import log_run
from moatbench.tracking.read import StoreUnreadable, logged_runs
from moatbench.tracking.resume import done_before, log_once

READ = {"mine.csv": "1", "code of theirs": "2"}
SOLVED: dict[str, Any] = {"summaries": {"solve": {"final_fidelity_test": 0.9}}, "inputs": READ}


def written(folder: Path, **changes: Any) -> Summary:
    folder.mkdir(parents=True)
    made = summary(**{**SOLVED, **changes})
    made.write(folder)
    file = CurveFile(folder / "curve.csv")
    for row in rows():
        file.add({**row, "attack": "solve"})
    return made


@pytest.fixture
def logged(tmp_path: Path) -> Summary:
    uri = new_store(tmp_path / "mlflow.db")
    made = written(tmp_path / "run", tracking_uri=uri)
    log_run(tmp_path / "run", uri)
    (tmp_path / "again").mkdir()
    return made


def artifacts(uri: str) -> Path:
    client, experiment = store.open_store(uri, "bench")
    (run,) = client.search_runs([experiment])
    return Path(unquote(urlsplit(str(run.info.artifact_uri)).path))


def runs(uri: str) -> list[str]:
    client, experiment = store.open_store(uri, "bench")
    return [run.info.status for run in client.search_runs([experiment])]


def test_the_very_run_is_fetched(logged: Summary, tmp_path: Path) -> None:
    found = done_before(logged, tmp_path / "again")
    assert found is not None
    assert found.identity == logged.identity
    assert {f.name for f in (tmp_path / "again").iterdir()} == {
        "curve.csv",
        "summary.json",
        "mlflow.json",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"inputs": {**READ, "mine.csv": "9"}}, "mine.csv has changed since the run of"),
        ({"inputs": {"mine.csv": "1"}}, "code of theirs has changed since"),
        ({"versions": {"moatbench": "0.2"}}, "moatbench has changed (0.1.0, now 0.2) since"),
    ],
)
def test_what_changed_is_told_by_name_and_run_again(
    logged: Summary,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    change: dict[str, Any],
    said: str,
) -> None:
    assert done_before(replace(logged, **change), tmp_path / "again") is None
    assert said in caplog.text
    assert "running again" in caplog.text
    assert not list((tmp_path / "again").iterdir())


@pytest.mark.parametrize("harm", ["gone", "cut curve", "cut summary", "another run's"])
def test_a_finished_run_whose_files_are_not_whole_is_run_again(
    logged: Summary, tmp_path: Path, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    folder = artifacts(str(logged.tracking_uri))
    if harm == "gone":
        shutil.rmtree(folder)
    elif harm == "another run's":
        replace(logged, config_hash="other").write(folder)
    else:
        file = folder / ("curve.csv" if harm == "cut curve" else "summary.json")
        file.write_bytes(file.read_bytes()[:-40])
    assert done_before(logged, tmp_path / "again") is None
    assert "cannot be fetched" in caplog.text
    assert not list((tmp_path / "again").iterdir())


def test_a_run_that_lost_its_files_is_left_out_once_it_was_run_again(
    logged: Summary, tmp_path: Path
) -> None:
    uri = str(logged.tracking_uri)
    shutil.rmtree(artifacts(uri))
    with pytest.raises(StoreUnreadable, match=r"has lost its summary\.json"):
        logged_runs(uri, "bench")
    written(tmp_path / "anew", tracking_uri=uri, started=logged.started + 5)
    newest = log_run(tmp_path / "anew", uri)
    assert [run.id for run in logged_runs(uri, "bench")] == [newest]


def test_one_run_of_each_identity_stands_for_it_on_the_dashboard(
    logged: Summary, tmp_path: Path
) -> None:
    uri = str(logged.tracking_uri)
    for name, later in (("newer", 5), ("older", -5)):
        written(tmp_path / name, tracking_uri=uri, started=logged.started + later)
        log_run(tmp_path / name, uri)
    client, experiment = store.open_store(uri, "bench")
    found = client.search_runs([experiment], order_by=["attributes.start_time DESC"])
    assert [run.data.tags["role"] for run in found] == ["measurement", *["superseded"] * 2]


def test_a_log_that_fails_half_way_leaves_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    written(tmp_path / "run")

    def full(*_: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr("moatbench.tracking.log._log_files", full)
    with pytest.raises(store.TrackingFailed, match="No space left"):
        log_run(tmp_path / "run", uri)
    assert runs(uri) == []


def test_logging_a_folder_twice_logs_it_once(logged: Summary, tmp_path: Path) -> None:
    log_once(tmp_path / "run", str(logged.tracking_uri))
    assert runs(str(logged.tracking_uri)) == ["FINISHED"]


def test_logging_a_failed_run_twice_logs_it_once(tmp_path: Path) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    written(tmp_path / "run", status="failed", failed={"solve": "x"}, reason="x")
    assert log_once(tmp_path / "run", uri) == log_once(tmp_path / "run", uri)
    assert runs(uri) == ["FAILED"]


def test_a_damaged_copy_of_a_logged_run_is_not_told_as_logged(
    logged: Summary, tmp_path: Path
) -> None:
    lines = (tmp_path / "run" / "curve.csv").read_text().splitlines(keepends=True)
    (tmp_path / "run" / "curve.csv").write_text("".join(lines[:-1]))
    with pytest.raises(RecordUnreadable, match="not whole"):
        log_once(tmp_path / "run", str(logged.tracking_uri))


def test_a_folder_that_is_only_read_is_logged_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    uri = new_store(tmp_path / "mlflow.db")
    written(tmp_path / "run")
    monkeypatch.setattr("moatbench.tracking.log.note_down", refused)
    log_run(tmp_path / "run", uri)
    assert runs(uri) == ["FINISHED"]
    assert "cannot say so" in caplog.text


@pytest.mark.parametrize("left", [None, 0, 40, -30])
def test_moatbench_log_refuses_a_cut_curve_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: int | None,
) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    written(tmp_path / "run")
    curve = tmp_path / "run" / "curve.csv"
    if left is None:
        curve.unlink()
    else:
        curve.write_bytes(curve.read_bytes()[:left])
    monkeypatch.setattr("sys.argv", ["moatbench-log", str(tmp_path / "run"), f"tracking.uri={uri}"])
    with pytest.raises(SystemExit):
        log.main()
    told = capsys.readouterr().err
    assert "not whole" in told
    assert len(told.splitlines()) == 1
    assert runs(uri) == []


def test_moatbench_log_refuses_a_cut_summary_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "run")
    file = tmp_path / "run" / "summary.json"
    file.write_text(file.read_text()[:200])
    monkeypatch.setattr("sys.argv", ["moatbench-log", str(tmp_path / "run")])
    with pytest.raises(SystemExit):
        log.main()
    assert "summary.json is damaged or was cut" in capsys.readouterr().err


def test_a_run_with_lost_rows_is_not_read(logged: Summary) -> None:
    from moatbench.tracking.read import StoreUnreadable, logged_runs

    file = artifacts(str(logged.tracking_uri)) / "curve.csv"
    file.write_text("\n".join(file.read_text().splitlines()[:2]) + "\n")
    with pytest.raises(StoreUnreadable, match="1 of 3 rows"):
        logged_runs(str(logged.tracking_uri), "bench")


@pytest.mark.parametrize("name", ["q?x", "per%20cent", "a#b", "a b", "ünï", "p%x", "%3F?"])
def test_a_store_lies_in_its_folder_whatever_that_is_called(tmp_path: Path, name: str) -> None:
    file = tmp_path / name / "mlflow.db"
    new_store(file)
    uri = store.sqlite(file)
    assert store.database(uri) == file
    before = file.read_bytes()
    store.open_store(uri, "bench")
    assert file.read_bytes() != before
    assert [f.name for f in tmp_path.iterdir()] == [name]


def test_a_broken_record_says_so(tmp_path: Path) -> None:
    made = written(tmp_path / "run", summaries={"solve": {"final_fidelity_test": 0.1}})
    with pytest.raises(RecordUnreadable, match="of two runs"):
        log_run(tmp_path / "run", new_store(tmp_path / "mlflow.db"))
    assert made.status == "finished"
