"""Reads an experiment's runs from MLflow; never writes, and never makes a store."""

import json
import logging
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from moatbench.record.curve import Row, read

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

SQLITE = "sqlite:///"
PATIENCE = 10.0  # seconds for whoever holds the store
PAGE = 500  # runs of one request
CALM = {  # MLflow's defaults retry for minutes, and draw a bar for every file
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}
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
        summary: the run's summary.json; empty for a run that did not finish.
        rows: the run's curve.csv; empty for a run that did not finish, or does not apply.
    """

    id: str
    name: str
    state: str
    started: float
    tags: dict[str, str]
    summary: dict[str, Any]
    rows: list[Row]

    @property
    def finished(self) -> bool:
        """Whether its curve is whole."""
        return self.state == "FINISHED" and self.summary.get("status") == "finished"

    @property
    def not_applicable(self) -> bool:
        """Whether it ended by saying that its attack does not apply."""
        return self.state == "FINISHED" and self.summary.get("status") == "not_applicable"


def logged_runs(uri: str, experiment: str, condition: str = "") -> list[Logged]:
    """Read the runs of an experiment, oldest first; of finished ones also the files.

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
            return list(pool.map(_logged, [uri] * len(found), found, folders))


def _search(uri: str, experiment: str, condition: str) -> "list[Run]":
    for name, value in CALM.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for chatter in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(chatter).setLevel(logging.WARNING)
    try:
        client = MlflowClient(uri)
        there = client.get_experiment_by_name(experiment)
        known = [] if there else [e.name for e in client.search_experiments()]
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise StoreUnreadable(f"MLflow at {uri} cannot be read ({_line(error)})") from error
    if there is None:
        raise StoreUnreadable(
            f"no experiment is called {experiment!r} at {uri}; there are: {', '.join(known)}"
        )
    try:
        return list(_pages(client, str(there.experiment_id), condition))
    except Exception as error:  # as above
        hint = f" with filter={condition!r}" if condition else ""
        raise StoreUnreadable(f"MLflow at {uri} cannot search{hint}: {_line(error)}") from error


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
    summary: dict[str, Any] = {}
    rows: list[Row] = []
    if state == "FINISHED":
        summary = json.loads(_file(uri, run, "summary.json", folder).read_text())
        if summary.get("status") == "finished":
            rows = read(_file(uri, run, "curve.csv", folder))
    return Logged(
        id=str(run.info.run_id),
        name=str(run.info.run_name),
        state=state,
        started=(run.info.start_time or 0) / 1000,
        tags=tags,
        summary=summary,
        rows=rows,
    )


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
            f"({_line(error)})"
        ) from error
    return Path(fetched)


@contextmanager
def _held(uri: str) -> Iterator[None]:
    """Hold an SQLite store's lock, as the runs do; make sure first that there is one."""
    if not uri.startswith(SQLITE):
        yield
        return
    db = Path(uri[len(SQLITE) :])
    _require_tables(db)
    if not os.access(db.parent, os.W_OK):  # an archive: nobody can be changing it
        yield
        return
    try:
        with FileLock(f"{db}.lock", timeout=PATIENCE):
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


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
