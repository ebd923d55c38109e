"""What a finished folder becomes in MLflow."""

import socket
from pathlib import Path
from typing import Any

import pytest
from shop import new_store
from summaries import summary

from moatbench.cli import log
from moatbench.record.flag import Flag
from moatbench.tracking import log as tracking_log
from moatbench.tracking import store
from moatbench.tracking.log import TAGS, log_run
from moatbench.tracking.resume import fetch, finished

SUMMARY = summary(
    defense="prada+rounding",
    attack="suite",
    seed=3,
    config_hash="0123456789abcdef",
    winner="guess",
    checkpoints=[5, 10],
    summaries={"guess": {"area": 0.7}, "worst_case": {"area": 0.8, "queries_to_90": 10}},
    not_applicable={"solve": "needs confidences, and the API answers labels only"},
    flags=[
        Flag("B", "naive only", "naive only"),
        Flag("C", "guess: not converged at 5 queries", "not converged earlier", "guess"),
    ],
    data_provenance={"sha256": "abc"},
    knobs={"defense.rounding.decimals": 2, "seed": 3},
)
CURVE = """attack,queries,fidelity_test,tv_test,winner
guess,5,0.5,1.234567890123e-16,
guess,10,0.9,nan,
worst_case,5,0.5,0.2,guess
worst_case,10,0.9,0.1,guess
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "run").mkdir()
    SUMMARY.write(tmp_path / "run")
    (tmp_path / "run" / "curve.csv").write_text(CURVE)
    return tmp_path / "run"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One run in one store, read back."""
    from mlflow import MlflowClient

    base = tmp_path_factory.mktemp("store")
    SUMMARY.write(base)
    (base / "curve.csv").write_text(CURVE)
    uri = new_store(base / "mlflow.db")
    run = log_run(base, uri)
    client = MlflowClient(uri)
    return client, client.get_run(run)


def test_tags_come_in_the_order_that_grouping_wants(logged: Any) -> None:
    tags = logged[1].data.tags
    assert {k: tags[k] for k in TAGS} == {k: str(getattr(SUMMARY, k)) for k in TAGS}


def test_the_step_is_the_number_of_queries(logged: Any) -> None:
    client, run = logged
    history = client.get_metric_history(run.info.run_id, "fidelity_test")
    assert [(m.step, m.value) for m in history] == [(5, 0.5), (10, 0.9)]


def test_the_plain_names_are_the_worst_case_and_the_attacks_have_a_prefix(logged: Any) -> None:
    metrics = logged[1].data.metrics
    assert metrics["tv_test"] == 0.1
    assert metrics["guess/fidelity_test"] == 0.9
    assert metrics["summary/queries_to_90"] == 10


def test_metrics_keep_significant_digits_not_decimals(logged: Any) -> None:
    client, run = logged
    first = client.get_metric_history(run.info.run_id, "guess/tv_test")[0]
    assert first.value == pytest.approx(1.23457e-16, rel=1e-9)


def test_what_was_not_measured_is_left_out(logged: Any) -> None:
    client, run = logged
    assert [m.step for m in client.get_metric_history(run.info.run_id, "guess/tv_test")] == [5]


def test_every_knob_and_the_data_hash_are_params(logged: Any) -> None:
    params = logged[1].data.params
    assert params["defense.rounding.decimals"] == "2"
    assert params["data.sha256"] == "abc"


def test_the_note_names_what_does_not_apply_and_the_flags(logged: Any) -> None:
    note = logged[1].data.tags["mlflow.note.content"]
    assert "Solve: needs confidences" in note
    assert "guess: not converged at 5 queries" in note
    assert "moatbench data=iris" in note


def test_artifacts_lie_beside_the_store(logged: Any) -> None:
    client, run = logged
    assert {a.path for a in client.list_artifacts(run.info.run_id)} == {"curve.csv", "summary.json"}
    assert "/artifacts/bench/" in run.info.artifact_uri


def test_a_finished_run_is_found_by_the_hash_of_its_config(logged: Any) -> None:
    client, run = logged
    uri = client.tracking_uri
    (found,) = finished(uri, "bench", "0123456789abcdef")
    assert found.info.run_id == run.info.run_id
    assert finished(uri, "bench", "another") == []


def test_a_run_left_half_written_is_marked_and_not_counted(folder: Path) -> None:
    uri = new_store(folder.parent / "killed.db")
    client, experiment = store.open_store(uri, "bench")
    tags = {"config_hash": "half", "writer": f"{socket.gethostname()}:999999999"}
    half = client.create_run(experiment, tags=tags).info.run_id
    assert finished(uri, "bench", "half") == []
    assert client.get_run(half).info.status == "KILLED"


def test_a_run_that_another_machine_is_writing_is_left_alone(folder: Path) -> None:
    uri = new_store(folder.parent / "busy.db")
    client, experiment = store.open_store(uri, "bench")
    tags = {"config_hash": "half", "writer": "elsewhere:1"}
    half = client.create_run(experiment, tags=tags).info.run_id
    assert finished(uri, "bench", "half") == []
    assert client.get_run(half).info.status == "RUNNING"


def test_a_logged_run_is_fetched_back_whole(logged: Any, tmp_path: Path) -> None:
    client, run = logged
    found = fetch(client.tracking_uri, run.info.run_id, tmp_path, SUMMARY.identity)
    assert (found.winner, found.fetched) == ("guess", run.info.run_id)
    assert (tmp_path / "curve.csv").read_text() == CURVE


def test_a_server_that_is_down_says_how_to_log_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(store.TrackingFailed, match="log it later with: moatbench-log") as error:
        log_run(folder, "http://127.0.0.1:9")
    assert str(folder) in str(error.value)


def test_moatbench_log_takes_a_folder_later(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    uri = new_store(folder.parent / "later.db")
    monkeypatch.setattr("sys.argv", ["moatbench-log", str(folder), f"tracking.uri={uri}"])
    log.main()
    assert uri in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [([], "no folder of a run given"), (["absent"], "no summary.json in absent")],
)
def test_moatbench_log_says_what_it_lacks(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["moatbench-log", *arguments])
    with pytest.raises(SystemExit, match=message):
        log.main()


def test_data_that_another_run_logs_in_the_same_moment_is_logged_again() -> None:
    asked: list[str] = []

    class Client:
        def log_inputs(self, run: str, inputs: Any) -> None:
            asked.append(run)
            if len(asked) < 3:
                raise RuntimeError("duplicate key value violates unique constraint")

    tracking_log._log_inputs(Client(), "a run", [])  # type: ignore[arg-type]
    assert asked == ["a run"] * 3
