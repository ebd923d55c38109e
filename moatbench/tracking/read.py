"""Reads an experiment's runs from MLflow; never writes, and never makes a store."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from filelock import Timeout

from moatbench.record.agreement import rows_of
from moatbench.record.curve import Row
from moatbench.record.summary import FILE, FINISHED, NOT_APPLICABLE, RecordUnreadable, Summary
from moatbench.tracking.store import cause, connect, database, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

PATIENCE = 10.0  # seconds for whoever holds the store
PAGE = 500  # runs of one request
AT_ONCE = 8  # downloads; files on this machine are read in place


class StoreUnreadable(RuntimeError):
    """The store is gone, locked or not MLflow's, or lacks what was asked for."""


@dataclass(frozen=True)
class Logged:
    """A run as MLflow has it.

    Args:
        id: of the run in MLflow.
        name: of the run in MLflow.
        state: MLflow's word: FINISHED, RUNNING, FAILED, KILLED.
        started: seconds since the epoch.
        tags: as logged, MLflow's own included.
        record: the run's summary.json; None for a run that did not finish.
        rows: the run's curve.csv; empty for a run that did not finish, or does not apply.
    """

    id: str
    name: str
    state: str
    started: float
    tags: dict[str, str]
    record: Summary | None
    rows: list[Row]

    @property
    def finished(self) -> bool:
        """Whether its curve is whole."""
        return self.record is not None and self.record.status == FINISHED

    @property
    def not_applicable(self) -> bool:
        """Whether it ended by saying that its attack does not apply."""
        return self.record is not None and self.record.status == NOT_APPLICABLE

    @property
    def summary(self) -> Summary:
        """The record of a run that has one."""
        assert self.record is not None, f"run {self.name} did not finish and has no record"
        return self.record


def logged_runs(uri: str, experiment: str, condition: str = "") -> list[Logged]:
    """Read the runs of an experiment, oldest first; of finished ones also the files.

    A run that lost its files and was run again is left out: the later one stands for it.

    Args:
        uri: of the store.
        experiment: its name.
        condition: in MLflow's search syntax, such as `tags.data = 'digits'`; '' is all.

    Raises:
        StoreUnreadable: says what to do.
    """
    with _held(uri):
        found = _search(uri, experiment, condition)
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / str(place) for place in range(len(found))]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            read = pool.map(_logged_unless_again, [uri] * len(found), found, folders, _again(found))
            return [run for run in read if run is not None]


def _again(runs: "Sequence[Run]") -> list[bool]:
    """Tell of each run, oldest first, whether a later one of the same identity has finished."""
    later: set[str] = set()
    told = []
    for run in reversed(runs):
        identity = run.data.tags.get("identity", "")
        told.append(identity in later)
        if identity and run.info.status == "FINISHED":
            later.add(identity)
    return told[::-1]


def _logged_unless_again(uri: str, run: "Run", folder: Path, is_again: bool) -> Logged | None:
    try:
        return _logged(uri, run, folder)
    except StoreUnreadable:
        if is_again:
            return None
        raise


def _search(uri: str, experiment: str, condition: str) -> "list[Run]":
    try:
        client = connect(uri)
        there = client.get_experiment_by_name(experiment)
        known = [] if there else [e.name for e in client.search_experiments()]
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise StoreUnreadable(f"MLflow at {uri} cannot be read ({cause(error)})") from error
    if there is None:
        raise StoreUnreadable(
            f"no experiment is called {experiment!r} at {uri}; there are: {', '.join(known)}"
        )
    try:
        return list(_pages(client, str(there.experiment_id), condition))
    except Exception as error:  # as above
        hint = f" with filter={condition!r}" if condition else ""
        raise StoreUnreadable(f"MLflow at {uri} cannot search{hint}: {cause(error)}") from error


def _pages(client: "MlflowClient", experiment: str, condition: str) -> "Iterator[Run]":
    token: str | None = ""
    while token is not None:
        page = client.search_runs(
            [experiment],
            condition,
            max_results=PAGE,
            order_by=["attributes.start_time ASC"],
            page_token=token or None,
        )
        yield from page
        token = page.token or None


def _logged(uri: str, run: "Run", folder: Path) -> Logged:
    tags, state = dict(run.data.tags), str(run.info.status)
    record: Summary | None = None
    rows: list[Row] = []
    if state == "FINISHED":
        record = _record(run, _file(uri, run, FILE, folder))
        if record.status == FINISHED:
            rows = _rows(run, record, _file(uri, run, "curve.csv", folder))
    return Logged(
        id=str(run.info.run_id),
        name=str(run.info.run_name),
        state=state,
        started=(run.info.start_time or 0) / 1000,
        tags=tags,
        record=record,
        rows=rows,
    )


def _record(run: "Run", file: Path) -> Summary:
    try:
        return Summary.from_text(file.read_text(errors="replace"))
    except RecordUnreadable as error:
        raise StoreUnreadable(
            f"run {run.info.run_name} ({run.info.run_id}) was written by moatbench "
            f"{run.data.tags.get('moatbench', '?')}, whose {error}: run it again with this "
            "version, or leave it out with filter="
        ) from error


def _rows(run: "Run", record: Summary, file: Path) -> list[Row]:
    try:
        return rows_of(record, file)
    except ValueError as error:
        raise StoreUnreadable(
            f"run {run.info.run_name} ({run.info.run_id}): {error}; delete it in MLflow and run it "
            "again, or leave it out with filter="
        ) from error


def _file(uri: str, run: "Run", name: str, folder: Path) -> Path:
    """Find an artifact on this machine, or fetch it into `folder`."""
    where = str(run.info.artifact_uri)
    parts = urlsplit(where)
    if parts.scheme in ("", "file"):
        path = Path(unquote(parts.path)) / name
        if path.exists():
            return path
        raise StoreUnreadable(
            f"run {run.info.run_name} ({run.info.run_id}) has lost its {name}: {path} is gone. "
            "Was the store moved? Artifacts stay at their absolute path: put them back, or log "
            "the runs again with moatbench-log"
        )
    import mlflow

    folder.mkdir(exist_ok=True)
    try:
        fetched = mlflow.artifacts.download_artifacts(
            artifact_uri=f"{where}/{name}", dst_path=str(folder), tracking_uri=uri
        )
    except Exception as error:  # whatever the artifact store's client raises
        raise StoreUnreadable(
            f"run {run.info.run_name} ({run.info.run_id}): {where}/{name} cannot be fetched "
            f"({cause(error)})"
        ) from error
    return Path(fetched)


@contextmanager
def _held(uri: str) -> Iterator[None]:
    """Hold an SQLite store's lock, as the runs do; make sure first that there is one."""
    db = database(uri)
    if db is not None:
        _require_tables(db)
    if db is None or not os.access(db.parent, os.W_OK):  # an archive: nobody can be changing it
        yield
        return
    try:
        with locked(uri, PATIENCE):
            yield
    except Timeout as error:
        raise StoreUnreadable(
            f"{db} is locked: another process has held {db}.lock for {PATIENCE:.0f} s; "
            "wait for it, or end it"
        ) from error


def _require_tables(db: Path) -> None:
    """Refuse a file that MLflow would make or change: opening one writes its tables."""
    if not db.is_file():
        raise StoreUnreadable(f"no MLflow store at {db}; give its place with tracking.uri=")
    try:
        with closing(sqlite3.connect(f"{db.resolve().as_uri()}?mode=ro", uri=True)) as open_db:
            open_db.execute(f"PRAGMA busy_timeout = {int(PATIENCE * 1000)}")
            names = {row[0] for row in open_db.execute("SELECT name FROM sqlite_master")}
    except sqlite3.OperationalError as error:
        raise StoreUnreadable(
            f"{db} cannot be read ({error}); if a process is writing to it, wait for it or end it"
        ) from error
    except sqlite3.DatabaseError as error:
        raise StoreUnreadable(f"{db} is no MLflow store ({error})") from error
    if not {"experiments", "runs"} <= names:
        raise StoreUnreadable(f"{db} is no MLflow store: it has no table of experiments and runs")
