"""The file of an SQLite store, read and written as MLflow does, without importing MLflow.

The import takes longer than a small run. Only a store that MLflow has made is used so, with tables
as they are known here, and an experiment that has all that `open_store` gives it, files on this
machine; everything else is MLflow's. tests/tracking/test_store_file.py holds, row by row, that what
is written here is what MLflow writes.
"""

import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit
from uuid import uuid4

SCHEMA = {"dc11669786a5"}  # the revision whose tables are those below: MLflow 3.17's
PATIENCE = 20.0  # seconds for whoever is writing, as MLflow has
LARGEST = sys.float_info.max  # stands for infinity
ACTIVE, ARTIFACTS = "active", "artifacts"


class Info(NamedTuple):
    """What MLflow calls the info of a run."""

    run_id: str
    status: str
    start_time: int
    artifact_uri: str


class Data(NamedTuple):
    """Of MLflow's data of a run, the tags."""

    tags: dict[str, str]


class Known(NamedTuple):
    """A run of a store, in the shape of MLflow's."""

    info: Info
    data: Data


@dataclass(frozen=True)
class Logged:
    """A run as it is written.

    Args:
        title: its name.
        status: FINISHED or FAILED.
        start: this and the end: milliseconds since 1970.
        end: of the run, and the time of its metrics.
        tags: by their keys.
        params: by their keys.
        metrics: (key, value, step), no value NaN.
        data: name, digest, source, profile of what the victim was trained on; () for unknown.
        role: of these data.
    """

    title: str
    status: str
    start: int
    end: int
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Sequence[tuple[str, float, int]]
    data: Sequence[str] = ()
    role: tuple[str, str] = ("mlflow.data.context", "victim")


@dataclass(frozen=True)
class StoreFile:
    """An experiment in the file of a store.

    Args:
        file: of the store.
        number: of the experiment.
        place: URI of its artifacts.
    """

    file: Path
    number: int
    place: str

    @classmethod
    def of(cls, file: Path, experiment: str, tags: set[str]) -> "StoreFile | None":
        """Return an experiment that has these tags; None for what must be left to MLflow."""
        with _known(file) as base:
            if base is None:
                return None
            found = base.execute(
                "SELECT experiment_id, artifact_location FROM experiments "
                "WHERE name = ? AND lifecycle_stage = ?",
                (experiment, ACTIVE),
            ).fetchall()
            if len(found) != 1 or not _is_here(found[0][1]):
                return None
            number, place = found[0]
            asked = "SELECT key FROM experiment_tags WHERE experiment_id = ?"
            has = {str(row[0]) for row in base.execute(asked, (number,))}
            return None if tags - has else cls(file, int(number), str(place))

    def runs(self, tag: str, value: str) -> list[Known]:
        """Return the runs that have a tag of this value, the newest first."""
        with closing(_connected(self.file)) as base:
            asked = (
                "SELECT r.run_uuid, r.status, r.start_time, r.artifact_uri FROM runs r "
                "JOIN tags t ON t.run_uuid = r.run_uuid WHERE r.experiment_id = ? AND "
                "r.lifecycle_stage = ? AND t.key = ? AND t.value = ? ORDER BY r.start_time DESC"
            )
            found = base.execute(asked, (self.number, ACTIVE, tag, value)).fetchall()
            tags = "SELECT key, value FROM tags WHERE run_uuid = ?"
            return [Known(Info(*row), Data(dict(base.execute(tags, row[:1])))) for row in found]

    def end(self, run: str, status: str) -> None:
        """Set a run's status, and that it ended now."""
        change = "UPDATE runs SET status = ?, end_time = ? WHERE run_uuid = ?"
        with closing(_connected(self.file)) as base, _whole(base):
            base.execute(change, (status, int(time.time() * 1000), run))

    def set_tag(self, run: str, key: str, value: str) -> None:
        """Set a tag of a run."""
        with closing(_connected(self.file)) as base, _whole(base):
            row = (key, value, run)
            base.execute("INSERT OR REPLACE INTO tags (key, value, run_uuid) VALUES (?, ?, ?)", row)

    @contextmanager
    def new_run(self) -> Iterator["Draft"]:
        """Begin a run; where its writing fails, nothing is left of it."""
        draft = Draft(self, uuid4().hex)
        try:
            yield draft
        except BaseException:  # an interrupt as well
            shutil.rmtree(_folder(draft.place).parent, ignore_errors=True)
            raise


@dataclass(frozen=True)
class Draft:
    """A run that is being written: its files first, then all else in one transaction."""

    store: StoreFile
    run: str

    @property
    def place(self) -> str:
        """URI of its files."""
        return f"{self.store.place}/{self.run}/{ARTIFACTS}"

    def log_artifact(self, run: str, file: str, folder: str | None = None) -> None:
        """Copy a file, as MLflow's client does."""
        into = _folder(self.place) / (folder or "")
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, into)

    def write(self, it: Logged) -> None:
        """Write the run."""
        run, number = self.run, self.store.number
        metrics = dict.fromkeys((k, _finite(v), s) for k, v, s in it.metrics)
        latest: dict[str, tuple[int, float]] = {}
        for key, value, step in metrics:
            latest[key] = max(latest.get(key, (step, value)), (step, value))
        with closing(_connected(self.store.file)) as base, _whole(base):
            base.execute(
                "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, "
                "user_id, status, start_time, end_time, source_version, lifecycle_stage, "
                "artifact_uri, experiment_id) "
                "VALUES (?, ?, 'UNKNOWN', '', '', 'unknown', ?, ?, ?, '', ?, ?, ?)",
                (run, it.title, it.status, it.start, it.end, ACTIVE, self.place, number),
            )
            base.executemany(
                "INSERT INTO tags (key, value, run_uuid) VALUES (?, ?, ?)",
                [(k, v, run) for k, v in {**it.tags, "mlflow.runName": it.title}.items()],
            )
            base.executemany(
                "INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)",
                [(k, v, run) for k, v in it.params.items()],
            )
            told = "(key, value, step, timestamp, run_uuid, is_nan) VALUES (?, ?, ?, ?, ?, 0)"
            base.executemany(
                f"INSERT INTO metrics {told}", [(*row, it.end, run) for row in metrics]
            )
            base.executemany(
                f"INSERT INTO latest_metrics {told}",
                [(key, value, step, it.end, run) for key, (step, value) in latest.items()],
            )
            if it.data:
                self._write_data(base, it)

    def _write_data(self, base: sqlite3.Connection, it: Logged) -> None:
        """Tell the data of the victim; one set is told once an experiment."""
        name, digest, source, profile = it.data
        asked = (
            "SELECT dataset_uuid FROM datasets WHERE experiment_id = ? AND name = ? AND digest = ?"
        )
        found = base.execute(asked, (self.store.number, name, digest)).fetchone()
        data = found[0] if found else uuid4().hex
        if not found:
            base.execute(
                "INSERT INTO datasets (dataset_uuid, experiment_id, name, digest, "
                "dataset_source_type, dataset_source, dataset_profile) "
                "VALUES (?, ?, ?, ?, 'local', ?, ?)",
                (data, self.store.number, name, digest, source, profile),
            )
        given = uuid4().hex
        base.execute(
            "INSERT INTO inputs (input_uuid, source_type, source_id, destination_type, "
            "destination_id) VALUES (?, 'DATASET', ?, 'RUN', ?)",
            (given, data, self.run),
        )
        base.execute("INSERT INTO input_tags VALUES (?, ?, ?)", (given, *it.role))


def copied(file: Path, run: str, folder: Path) -> str | None:
    """Copy the files of a store's run into a folder; return the id of its experiment.

    None where that must be left to MLflow.
    """
    with _known(file) as base:
        asked = "SELECT artifact_uri, experiment_id FROM runs WHERE run_uuid = ?"
        found = base.execute(asked, (run,)).fetchone() if base else None
    if not found or not _is_here(found[0]):
        return None
    place = _folder(str(found[0]))
    for kept in place.iterdir() if place.is_dir() else ():
        if kept.is_file():
            shutil.copyfile(kept, folder / kept.name)
    return str(found[1])


@contextmanager
def _known(file: Path) -> Iterator[sqlite3.Connection | None]:
    """Open a store to read; None where its tables are not known here."""
    base = None
    if file.is_file() and file.stat().st_size and not os.environ.get("MLFLOW_ENABLE_WORKSPACES"):
        base = _connected(file)
    try:
        yield base if base is not None and _versions(base) == SCHEMA else None
    finally:
        if base is not None:
            base.close()


def _versions(base: sqlite3.Connection) -> set[str]:
    try:
        return {str(row[0]) for row in base.execute("SELECT version_num FROM alembic_version")}
    except sqlite3.Error:  # it is for MLflow to say what is wrong
        return set()


def _is_here(place: object) -> bool:
    """Whether files lie on this machine."""
    return str(place).startswith("file:///")


def _folder(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path))


def _finite(value: float) -> float:
    return min(max(value, -LARGEST), LARGEST)


def _connected(file: Path) -> sqlite3.Connection:
    where = f"{file.resolve().as_uri()}?mode=rw"
    base = sqlite3.connect(where, PATIENCE, isolation_level=None, uri=True)
    base.execute("PRAGMA foreign_keys = ON")
    return base


@contextmanager
def _whole(base: sqlite3.Connection) -> Iterator[None]:
    """Keep all that follows, or nothing."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        base.rollback()
        raise
    base.execute("COMMIT")
