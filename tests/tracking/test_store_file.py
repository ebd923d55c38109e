"""What is written to the file of a store without MLflow is what MLflow writes, row by row."""

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from made_runs import rows
from shop import new_store
from summaries import summary

from moatbench.record.curve import CurveFile
from moatbench.record.summary import Summary
from moatbench.tracking import store
from moatbench.tracking.log import log_run
from moatbench.tracking.resume import finished

TABLES = ("runs", "tags", "params", "metrics", "latest_metrics", "datasets", "inputs", "input_tags")
SOLVED: dict[str, Any] = {
    "summaries": {"solve": {"final_fidelity_test": 0.9, "area": float("inf")}},
    "inputs": {"mine.csv": "1"},
    "knobs": {"a knob: with signs": "x" * 7000, "seed": 0},
    "data_provenance": {"sha256": "ab" * 32, "rows": 150, "name": "a set"},
}


def written(folder: Path, **changes: Any) -> Summary:
    folder.mkdir()
    made = summary(**{**SOLVED, **changes})
    made.write(folder)
    file = CurveFile(folder / "curve.csv")
    for row in rows():
        file.add({**row, "attack": "solve"})
    (folder / "card.json").write_text("{}")
    return made


def rows_of(uri: str) -> Mapping[str, list[dict[str, Any]]]:
    """Read all that a store holds of its runs; ids become their places in the order they came."""
    ids: dict[str, str] = {}

    def known(key: str, value: Any) -> Any:
        if key in ("run_uuid", "source_id", "destination_id", "dataset_uuid", "input_uuid"):
            return ids.setdefault(str(value), str(len(ids)))
        if key in ("artifact_uri", "value") and isinstance(value, str):
            for one, place in ids.items():
                value = value.replace(one, place)
        return value

    found: dict[str, list[dict[str, Any]]] = {}
    with closing(sqlite3.connect(store.database(uri) or "")) as base:
        base.row_factory = sqlite3.Row
        for table in TABLES:
            order = "start_time" if table == "runs" else "1, 2"
            seen = map(dict, base.execute(f"SELECT * FROM {table} ORDER BY {order}"))
            first = sorted(seen, key=lambda row: ids.get(row.get("destination_id", ""), ""))
            read = [{key: known(key, value) for key, value in row.items()} for row in first]
            found[table] = sorted(read, key=repr)
    return found


def test_a_run_is_written_to_the_file_as_mlflow_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    store.open_store(uri, "bench")  # MLflow makes the experiment
    blank = (tmp_path / "mlflow.db").read_bytes()
    made = written(tmp_path / "run", tracking_uri=uri)
    written(tmp_path / "later", tracking_uri=uri, started=made.started + 5, seed=1)
    kept = {}
    for way in ("ours", "theirs"):
        (tmp_path / "mlflow.db").write_bytes(blank)
        shutil.rmtree(tmp_path / "artifacts", ignore_errors=True)
        if way == "theirs":
            monkeypatch.setattr("moatbench.tracking.log.store_file", lambda *_: None)
        first, _ = [log_run(tmp_path / name, uri) for name in ("run", "later")]
        place = tmp_path / "artifacts" / "bench" / first / "artifacts"
        files = {str(f.relative_to(place)): f.read_bytes() for f in place.rglob("*.*")}
        kept[way] = rows_of(uri), files
    assert kept["ours"][1] == kept["theirs"][1]
    for table in TABLES:
        assert kept["ours"][0][table] == kept["theirs"][0][table], table


@pytest.mark.parametrize("lack", ["schema", "tags", "place", "options"])
def test_what_is_not_as_it_is_known_here_is_left_to_mlflow(tmp_path: Path, lack: str) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    store.open_store(uri, "bench")
    assert store.store_file(uri, "bench") is not None
    assert store.store_file(uri, "another") is None
    change = {
        "schema": "UPDATE alembic_version SET version_num = 'another'",
        "tags": "DELETE FROM experiment_tags",
        "place": "UPDATE experiments SET artifact_location = 's3://bucket/bench'",
    }
    if lack == "options":
        uri += "?timeout=5"
    else:
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as base:
            base.execute(change[lack])
            base.commit()
    assert store.store_file(uri, "bench") is None


def test_a_store_that_mlflow_made_is_written_without_importing_it(tmp_path: Path) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    store.open_store(uri, "bench")
    made = written(tmp_path / "run", tracking_uri=uri)
    script = (
        "import sys; from pathlib import Path; from moatbench.tracking.log import log_run; "
        "log_run(Path(sys.argv[1]), sys.argv[2]); assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "run"), uri], check=True)
    assert len(finished(uri, "bench", made.config_hash)) == 1
