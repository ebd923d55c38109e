"""How a store of MLflow is opened."""

import json
import logging
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from moatbench.tracking import views

if TYPE_CHECKING:
    from mlflow import MlflowClient

log_ = logging.getLogger(__name__)
SQLITE = "sqlite:///"
NOTE = "mlflow.note.content"
LOGGED = "mlflow.json"  # in a run's folder: where MLflow has it


class TrackingFailed(RuntimeError):
    """MLflow could not be reached or written to; the run's folder is whole."""


def address(uri: str | None) -> str:
    """Return the tracking URI: as given, or SQLite at runs/mlflow.db in the working directory."""
    return uri or f"{SQLITE}{(Path.cwd() / 'runs' / 'mlflow.db').as_posix()}"


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
    _quick_to_fail()
    from mlflow import MlflowClient

    for chatter in ("mlflow.store.db.utils", "alembic"):
        logging.getLogger(chatter).setLevel(logging.WARNING)

    with _locked(uri):
        client = MlflowClient(uri)
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
    except Exception as error:  # as in `log`
        log_.debug("the saved views were not written: %s", error)


def links(uri: str, experiment: str, server: str) -> dict[str, str]:
    """Return the addresses of an experiment's charts and leaderboard, by what they show.

    Args:
        uri: of the store.
        experiment: its name.
        server: where the dashboard is served.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    try:
        _, number = open_store(uri, experiment)
    except Exception as error:  # as in `log`
        raise TrackingFailed(f"MLflow at {uri} cannot be reached ({cause(error)})") from error
    return links_of(number, server)


def links_of(experiment_id: str, server: str) -> dict[str, str]:
    """Return the same for an experiment whose id is known; MLflow need not be imported for it."""
    shown = {"trade-off": views.TRADE_OFF, "leaderboard": views.LEADERBOARD}
    return {what: views.link(server, experiment_id, key) for what, key in shown.items()}


def experiment_id(folder: Path) -> str | None:
    """Return the id of the experiment that has the run of this folder; None where none has it."""
    try:
        return str(json.loads((folder / LOGGED).read_text())["experiment_id"])
    except (OSError, ValueError, KeyError):
        return None


def experiments(uri: str) -> list[str]:
    """Name the experiments of a store that hold runs of ours, the newest first."""
    _quick_to_fail()
    from mlflow import MlflowClient

    with _locked(uri):
        found = MlflowClient(uri).search_experiments()
    return [e.name for e in found if f"{views.TAG}{views.TRADE_OFF}" in e.tags]


def cause(error: Exception) -> str:
    """Return what an exception says, in one line."""
    return " ".join(str(error).split())[:200]


@contextmanager
def _locked(uri: str) -> Iterator[None]:
    """Let one process at a time open an SQLite store.

    MLflow's first-use migration destroys the file when two processes do it at once.
    """
    if not uri.startswith(SQLITE):
        yield
        return
    db = Path(uri[len(SQLITE) :])
    db.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{db}.lock"):
        yield


def _artifacts(uri: str, experiment: str, root: str | None) -> str | None:
    """Say where an experiment's files go; left to itself, MLflow takes the working directory."""
    if uri.startswith("http") and root is None:
        return None
    safe = re.sub(r"[^\w.-]", "_", experiment)
    if root is not None and "://" in root:
        return f"{root.rstrip('/')}/{safe}"
    beside = Path(uri[len(SQLITE) :]).parent if uri.startswith(SQLITE) else Path("runs")
    return ((Path(root) if root else beside / "artifacts") / safe).resolve().as_uri()


def _quick_to_fail() -> None:
    """A server that is down should be known in seconds; MLflow's default retries for minutes."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines a run
