"""How a store of MLflow is opened: its address, its lock, a client that fails soon and quietly."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from filelock import FileLock

from moatbench.tracking import views
from moatbench.tracking.store_file import StoreFile

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)
SQLITE = "sqlite:///"
ESCAPE = re.compile(r"\?|%(?=[0-9a-fA-F]{2})")  # starts a query; stands for a byte
AUTOFLUSH = re.compile(r"^\(raised as a result of [^)]*\) ")  # before what SQLAlchemy has to say
NOTE = "mlflow.note.content"
LOGGED = "mlflow.json"  # in a run's folder: where MLflow has it
CALM = {  # MLflow's defaults retry for minutes, draw a bar for every file, print two lines a run
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
WAIT = 300.0  # seconds for the others of a sweep; a lock that is held longer is forgotten
CHATTER = {  # tells each error with its traceback, which is told in a line; and each migration
    "mlflow.store.db.utils": logging.CRITICAL,
    "alembic": logging.WARNING,
}


class TrackingFailed(RuntimeError):
    """MLflow could not be reached or written to."""


class NotTaken(TrackingFailed):
    """MLflow did not take a run, whose folder is whole."""


def address(uri: str | None) -> str:
    """Return the tracking URI: as given, or SQLite at runs/mlflow.db in the working directory.

    What it is relative to is told with it, for it is read from other folders too.
    """
    db = database(uri) if uri else Path("runs") / "mlflow.db"
    return str(uri) if uri and (db is None or db.is_absolute()) else sqlite(Path.cwd() / str(db))


def sqlite(file: Path) -> str:
    """Return the address of an SQLite store: what SQLAlchemy reads otherwise is quoted."""
    quoted = ESCAPE.sub(lambda found: quote(found[0]), file.as_posix())
    return f"{SQLITE}{quoted}"


def database(uri: str) -> Path | None:
    """Return the file of an SQLite store; None for a server or another database."""
    if not uri.startswith(SQLITE):
        return None
    return Path(unquote(uri[len(SQLITE) :].partition("?")[0]))


def connect(uri: str) -> "MlflowClient":
    """Return a client; whoever opens an SQLite store holds its lock (`locked`)."""
    calm()
    from mlflow import MlflowClient

    return MlflowClient(uri)


@cache  # to set a logger's level forgets what all loggers know
def calm() -> None:
    """Import MLflow, which takes seconds, and set it to fail soon and quietly."""
    for name, value in CALM.items():
        os.environ.setdefault(name, value)
    import_module("mlflow")
    for chatter, level in CHATTER.items():
        logging.getLogger(chatter).setLevel(level)


def open_store(
    uri: str, experiment: str, artifacts: str | None = None
) -> "tuple[MlflowClient, str]":
    """Connect; make store and experiment if they are not there. Return the client and the id.

    Args:
        uri: of the store.
        experiment: its name.
        artifacts: where a new experiment keeps its files, a path or URI; None is beside an SQLite
            store, as the server has it behind a server, and else runs/artifacts.
    """
    calm()  # before the lock, for which others wait
    with locked(uri, WAIT):
        client = connect(uri)
        found = client.get_experiment_by_name(experiment)
        if found is None:
            made = client.create_experiment(experiment, _artifacts(uri, experiment, artifacts))
            found = client.get_experiment(made)
        if found.lifecycle_stage == "deleted":
            raise TrackingFailed(
                f"the experiment {experiment!r} was deleted in MLflow; restore it there, or choose "
                "another name=..."
            )
        _save_views(client, found)
        return client, str(found.experiment_id)


def store_file(uri: str, experiment: str) -> StoreFile | None:
    """Return an experiment of a store that needs no MLflow; None for what only MLflow can open."""
    db = plain_file(uri)
    return StoreFile.of(db, experiment, {NOTE, *views.KEYS}) if db else None


def plain_file(uri: str) -> Path | None:
    """Return the file of an SQLite store whose address holds no options for SQLAlchemy."""
    return None if "?" in uri else database(uri)


def _save_views(client: "MlflowClient", experiment: Any) -> None:
    """Give an experiment its dashboard, unless it has one; without it, every run is still there."""
    number, wanted = str(experiment.experiment_id), {NOTE, *views.KEYS}
    if wanted <= experiment.tags.keys():  # every run opens the store
        return
    try:
        for key, value in views.tags(int(time.time() * 1000)):
            if key not in experiment.tags:
                client.set_experiment_tag(number, key, value)
        if NOTE not in experiment.tags:
            client.set_experiment_tag(number, NOTE, views.description(number))
    except Exception as error:  # as in `log_run`
        log.debug("the saved views were not written: %s", error)


def links(uri: str, experiment: str, server: str) -> dict[str, str]:
    """Return the addresses of an experiment's charts and leaderboard, by what they show.

    Args:
        uri: of the store.
        experiment: its name.
        server: where the dashboard is served.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    with reaching(uri):
        _, number = open_store(uri, experiment)
    return links_of(number, server)


def links_of(experiment_id: str, server: str) -> dict[str, str]:
    """Return the same for an experiment whose id is known; MLflow need not be imported for it."""
    shown = {"trade-off": views.TRADE_OFF, "leaderboard": views.LEADERBOARD}
    return {what: views.link(server, experiment_id, key) for what, key in shown.items()}


def experiment_id(folder: Path) -> str | None:
    """Return the id of the experiment that has the run of this folder; None where none has it."""
    return _place(folder).get("experiment_id")


def run_id(folder: Path) -> str | None:
    """Return the id of the run of this folder in MLflow; None where it has none."""
    return _place(folder).get("run_id")


def _place(folder: Path) -> dict[str, str]:
    try:
        return {k: str(v) for k, v in json.loads((folder / LOGGED).read_text()).items()}
    except (OSError, ValueError, AttributeError):
        return {}


def experiments(uri: str) -> list[str]:
    """Name the experiments of a store that hold runs of ours, the newest first.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    calm()
    with reaching(uri), locked(uri, WAIT):
        found = connect(uri).search_experiments()
    return [e.name for e in found if f"{views.TAG}{views.TRADE_OFF}" in e.tags]


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Tell in one line that a store cannot be reached, whatever MLflow raises."""
    try:
        yield
    except TrackingFailed:
        raise
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise TrackingFailed(f"MLflow at {uri} cannot be reached ({cause(error)})") from error


def cause(error: Exception) -> str:
    """Return what an exception says, in one line, without the query that SQLAlchemy shows."""
    said = AUTOFLUSH.sub("", " ".join(str(error).split()))
    return said.partition(" [SQL: ")[0][:300]


@contextmanager
def locked(uri: str, patience: float = -1.0) -> Iterator[None]:
    """Let one process at a time open an SQLite store.

    MLflow's first-use migration destroys the file when two processes do it at once.

    Args:
        uri: of the store.
        patience: seconds to wait for whoever has it; below 0 without end.

    Raises:
        filelock.Timeout: patience is at its end.
    """
    if (db := database(uri)) is None:
        yield
        return
    db.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{db}.lock", timeout=patience):
        try:
            yield
        finally:
            _tidy(uri, db)


def _tidy(uri: str, db: Path) -> None:
    """Remove the empty folders that MLflow makes where a quoted address is no path."""
    made = Path(uri[len(SQLITE) :].partition("?")[0])
    for folder in made.parents:
        if folder in db.parents:
            break
        with suppress(OSError):
            folder.rmdir()


def _artifacts(uri: str, experiment: str, root: str | None) -> str | None:
    """Say where an experiment's files go; left to itself, MLflow takes the working directory."""
    if uri.startswith("http") and root is None:
        return None
    safe = re.sub(r"[^\w.-]", "_", experiment)
    if root is not None and "://" in root:
        return f"{root.rstrip('/')}/{safe}"
    db = database(uri)
    beside = db.parent if db else Path("runs")
    return ((Path(root) if root else beside / "artifacts") / safe).resolve().as_uri()
