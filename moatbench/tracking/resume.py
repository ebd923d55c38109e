"""What MLflow has already: a finished run of the same config, files and code is not run again."""

import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbench.record.agreement import rows_of
from moatbench.record.inputs import changes
from moatbench.record.summary import FILE, RecordUnreadable, Summary
from moatbench.tracking.log import INPUTS, STATES, log_run, note_down
from moatbench.tracking.store import (
    TrackingFailed,
    cause,
    connect,
    open_store,
    plain_file,
    reaching,
    store_file,
)
from moatbench.tracking.store_file import Known, copied

if TYPE_CHECKING:
    from mlflow.entities import Run

log = logging.getLogger(__name__)
AT_MOST = 50  # runs of one config that are looked at, the newest first


def done_before(begun: Summary, folder: Path) -> Summary | None:
    """Fetch into `folder` the finished run that is this very one; None where it must be run.

    What keeps a run of the same config from being taken is told by name.
    """
    uri = begun.tracking_uri
    if uri is None:
        return None
    try:
        earlier = finished(uri, begun.name, begun.config_hash)
    except TrackingFailed as down:
        log.warning("%s; nothing is skipped", down)
        return None
    same = [run for run in earlier if run.data.tags.get("identity") == begun.identity]
    for run in same:
        try:
            return fetch(uri, str(run.info.run_id), folder, begun.identity)
        except Exception as error:  # of the file system, of MLflow, of what the files hold
            log.warning(
                "%s is in MLflow, but its files cannot be fetched (%s): running again",
                _when(run),
                cause(error),
            )
    if earlier and not same:
        what = ", ".join(_changed(earlier[0], begun))
        log.warning("%s since %s: running again", what, _when(earlier[0]))
    return None


def finished(uri: str, experiment: str, config_hash: str) -> "list[Run | Known]":
    """Return the finished runs of this config, the newest first; of `logged`, at most so many.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    runs = logged(uri, experiment, config_hash)
    return [run for run in runs if run.info.status == "FINISHED"][:AT_MOST]


def logged(uri: str, experiment: str, config_hash: str) -> "list[Run | Known]":
    """Return all runs of this config, the newest first, however they ended.

    Runs of the same config that a killed process left half written are marked KILLED on the way.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    with reaching(uri):
        if (file := store_file(uri, experiment)) is not None:
            found: Any = file.runs("config_hash", config_hash)
            end: Any = file.end
        else:
            client, experiment_id = open_store(uri, experiment)
            same, newest = f"tags.config_hash = '{config_hash}'", ["attributes.start_time DESC"]
            found, end = (
                client.search_runs([experiment_id], same, order_by=newest),
                client.set_terminated,
            )
        for run in found:
            if run.info.status == "RUNNING" and not _alive(run.data.tags.get("writer", "")):
                end(run.info.run_id, "KILLED")
        return list(found)


def fetch(uri: str, run: str, folder: Path, identity: str) -> Summary:
    """Fetch the files of a logged run into `folder`, all or none; return its summary.

    Raises:
        RecordUnreadable: they are damaged, cut, or another run's.
        OSError: they are gone. MLflow raises kinds of its own.
    """
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder) as name:
        draft = Path(name)
        db = plain_file(uri)
        experiment = copied(db, run, draft) if db else None
        if experiment is None:
            experiment = _download(uri, run, draft)
        summary = replace(Summary.read(draft), fetched=run)
        rows_of(summary, draft / "curve.csv")
        if summary.identity != identity:
            raise RecordUnreadable(f"its {FILE} is of another config, or of other files")
        for got in draft.iterdir():
            if got.name != FILE:
                got.replace(folder / got.name)
    summary.write(folder)
    note_down(folder, uri, run, experiment)
    return summary


def _download(uri: str, run: str, folder: Path) -> str:
    """Let MLflow fetch a run's files; return the id of its experiment."""
    client = connect(uri)
    for file in client.list_artifacts(run):
        if not file.is_dir:
            client.download_artifacts(run, file.path, str(folder))
    return str(client.get_run(run).info.experiment_id)


def log_once(folder: Path, uri: str) -> str:
    """Write the run that lies in `folder` to MLflow, unless it is there; return its run id.

    Raises:
        As `log_run`.
    """
    summary = Summary.read(folder)
    rows_of(summary, folder / "curve.csv")  # what is there may be its, and this a damaged copy
    state = STATES.get(summary.status, "FINISHED")
    for run in logged(uri, summary.name, summary.config_hash):
        same = run.data.tags.get("identity") == summary.identity and run.info.status == state
        if same and run.info.start_time == int(summary.started * 1000):
            return str(run.info.run_id)
    return log_run(folder, uri)


def _changed(run: "Run | Known", begun: Summary) -> Sequence[str]:
    """Say what differs from an earlier run of the same config."""
    tags, version = run.data.tags, begun.versions.get("moatbench", "")
    try:
        before = json.loads(tags[INPUTS])
    except (KeyError, ValueError):
        return ["what it reads was not recorded"]
    told = [f"{name} has changed" for name in changes(before, begun.inputs)]
    if tags.get("moatbench") != version:
        told.append(f"moatbench has changed ({tags.get('moatbench')}, now {version})")
    return told or ["its record has changed"]


def _when(run: "Run | Known") -> str:
    began = time.localtime((run.info.start_time or 0) / 1000)
    return f"the run of {time.strftime('%Y-%m-%d %H:%M:%S', began)} ({run.info.run_id})"


def _alive(writer: str) -> bool:
    """Whether the process `host:pid` may still be writing; one elsewhere may."""
    host, _, pid = writer.partition(":")
    if host != socket.gethostname():
        return bool(host)
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return int(pid) != os.getpid()
