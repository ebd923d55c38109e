"""A store that would not take a run is refused before anything is run, and says why."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from shop import new_store

from moatbench.tracking import tried
from moatbench.tracking.store import TrackingFailed, cause


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as base:
        yield base


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ("bd07f7e963c5", "an older MLflow wrote it; .* mlflow db upgrade sqlite:////"),
        ("fffffffffff0", "a newer MLflow than the one installed here wrote it"),
    ],
)
def test_a_store_of_another_mlflow_is_refused(schema: str, said: str, tmp_path: Path) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    tried.require_usable(uri, "bench")
    with opened(tmp_path / "mlflow.db") as base:
        base.execute("UPDATE alembic_version SET version_num = ?", (schema,))
    with pytest.raises(TrackingFailed, match=said):
        tried.require_usable(uri, "bench")


def test_a_store_that_another_process_holds_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tried, "PATIENCE", 0.05)
    uri = new_store(tmp_path / "mlflow.db")
    with opened(tmp_path / "mlflow.db") as base:
        base.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrackingFailed, match=r"nothing was run: .*database is locked"):
            tried.require_usable(uri, "bench")
    tried.require_usable(uri, "bench")


def test_a_folder_in_the_stores_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").mkdir()
    with pytest.raises(TrackingFailed, match=r"nothing was run: .*unable to open database file"):
        tried.require_usable(f"sqlite:///{tmp_path}/mlflow.db", "bench")


def test_a_store_that_was_deleted_has_lost_all_its_runs(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert tried.missing(uri, ["a", "b"]) == {"a", "b"}
    (tmp_path / "mlflow.db").touch()  # as SQLite leaves it, asked once more
    assert tried.missing(uri, ["a", "b"]) == {"a", "b"}
    tried.require_usable(uri, "bench")


def test_a_cause_is_one_line_without_the_query() -> None:
    said = (
        "(raised as a result of Query-invoked autoflush; consider a no_autoflush block)\n"
        "(sqlite3.OperationalError) no such table: runs\n[SQL: INSERT INTO runs]"
    )
    assert cause(ValueError(said)) == "(sqlite3.OperationalError) no such table: runs"


def test_a_store_that_was_killed_while_it_was_made_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with opened(file) as base:
        for table in ("experiments", "runs", "registered_models", "alembic_version"):
            base.execute(f"CREATE TABLE {table} (version_num TEXT, name TEXT)")
        base.execute("INSERT INTO alembic_version VALUES ('bd07f7e963c5', '')")
    tried.require_usable(f"sqlite:///{file}", "mine")
    assert not file.exists()
