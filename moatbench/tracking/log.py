"""A finished folder becomes one flat run of MLflow's store.

The run is written from the folder's files, in one piece and at the end: a killed job leaves none
half done, a server that is down costs nothing measured, and a folder can be logged later.
"""

import json
import logging
import os
import random
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbench.record.agreement import rows_of
from moatbench.record.columns import WORST_CASE, column
from moatbench.record.curve import Row, by_attack
from moatbench.record.flag import NOTE as REMARK
from moatbench.record.flag import gravest, shown
from moatbench.record.hardware import told
from moatbench.record.recovered import FILE as RECOVERED
from moatbench.record.summary import FAILED, STOPPED, Summary
from moatbench.record.whole import write_text
from moatbench.tracking.keys import MOST, renamed, taken
from moatbench.tracking.note import note
from moatbench.tracking.store import (
    LOGGED,
    NOTE,
    NotTaken,
    cause,
    open_store,
    store_file,
)
from moatbench.tracking.store_file import Draft, Logged, StoreFile
from moatbench.tracking.views import HEADS, ROW
from moatbench.verdict.case import named

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput


log = logging.getLogger(__name__)
BATCH = 1000  # metrics of one transaction: the fastest that was measured
SIGNIFICANT = 6
TRIES = 5
RENAMED, LONGEST_TAG = "renamed", 8000
FILES_OF_A_RUN = ("curve.png", "curve.csv", "summary.json", RECOVERED)
VICTIM_FILES = ("victim.npz", "card.json")
INPUTS = "inputs"  # the tag that tells what a run read, as JSON
MOST_TAG = 5000  # letters that MLflow takes
SUPERSEDED = "superseded"  # the role of a run that was run again
STATES = {FAILED: "FAILED", STOPPED: "KILLED"}  # in MLflow's words; all else is FINISHED
TAGS = ("victim", "data", "defense", "attack", "seed")


def log_run(folder: Path, uri: str) -> str:
    """Write the run that lies in `folder` to MLflow; return its run id.

    Raises:
        NotTaken: says what to do to log it later.
        RecordUnreadable: the folder's files are damaged, cut, or of a version that this one cannot
            read; nothing is logged.
    """
    summary = Summary.read(folder)
    rows = rows_of(summary, folder / "curve.csv")
    with suppress(OSError):  # a folder of somebody else's, which is only read
        (folder / LOGGED).unlink(missing_ok=True)  # what it told is over
    try:
        file = store_file(uri, summary.name)
        if file is not None:
            experiment = str(file.number)
        else:
            client, experiment = open_store(uri, summary.name, summary.artifacts)
        run = _write(file or client, experiment, summary, rows, folder)
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        later = shlex.join(["moatbench-log", str(folder), f"tracking.uri={uri}"])
        raise NotTaken(
            f"the run is whole in {folder}, but MLflow at {uri} did not take it ({cause(error)}); "
            f"log it later with: {later}"
        ) from error
    try:
        note_down(folder, uri, run, experiment)
    except OSError as error:
        log.warning("MLflow has the run %s; %s cannot say so (%s)", run, folder, error)
    try:
        if file is not None:
            _supersede_in_file(file, summary)
        else:
            _supersede(client, experiment, summary)
    except Exception as error:  # the run itself is whole
        log.warning("earlier runs of %s could not be set aside (%s)", summary.title, cause(error))
    return run


def _write(
    place: "StoreFile | MlflowClient",
    experiment: str,
    summary: Summary,
    rows: list[Row],
    folder: Path,
) -> str:
    """Write a run whole, or not at all; return its id."""
    if isinstance(place, StoreFile):
        return _write_to_file(place, summary, rows, folder)
    return _write_by_client(place, experiment, summary, rows, folder)


def _supersede(client: "MlflowClient", experiment: str, summary: Summary) -> None:
    """Leave one run of each identity to the dashboard, whose means know nothing of repeats."""
    same = f"tags.identity = '{summary.identity}' and attributes.status = 'FINISHED'"
    newest = ["attributes.start_time DESC"]
    for run in client.search_runs([experiment], same, order_by=newest)[1:]:
        if run.data.tags.get("role") != SUPERSEDED:
            client.set_tag(run.info.run_id, "role", SUPERSEDED)


def note_down(folder: Path, uri: str, run: str, experiment: str) -> None:
    """Leave in a run's folder where MLflow has it."""
    place = {"tracking_uri": uri, "experiment_id": experiment, "run_id": run}
    write_text(folder / LOGGED, json.dumps(place, indent=2) + "\n")


def _supersede_in_file(file: StoreFile, summary: Summary) -> None:
    """Do the same without MLflow."""
    same = file.runs("identity", summary.identity)
    for run in [run for run in same if run.info.status == "FINISHED"][1:]:
        if run.data.tags.get("role") != SUPERSEDED:
            file.set_tag(run.info.run_id, "role", SUPERSEDED)


def _write_to_file(file: StoreFile, summary: Summary, rows: list[Row], folder: Path) -> str:
    """Write a run without MLflow."""
    with file.new_run() as draft:
        _log_files(draft, draft.run, folder)
        draft.write(_logged(summary, rows, folder, draft.run))
        return draft.run


def _logged(summary: Summary, rows: list[Row], folder: Path, run: str = "") -> Logged:
    """Put together all that a store is told of a run, but its files.

    Args:
        summary: of the run.
        rows: of its curve.
        folder: of its files.
        run: its id, which its note needs; without it there is none.
    """
    params = {tag: getattr(summary, tag) for tag in TAGS} | dict(summary.knobs)
    params |= {f"data.{k}": v for k, v in summary.data_provenance.items()}
    measured = list(points(summary, rows))
    tags = _tags(summary, folder) | _note(summary, run)
    if others := renamed([*params, *(key for key, _, _ in measured)]):
        tags[RENAMED] = others[:LONGEST_TAG]
    start = int(summary.started * 1000)
    return Logged(
        title=summary.title[:MOST],
        status=STATES.get(summary.status, "FINISHED"),
        start=start,
        end=start + int(summary.seconds * 1000),
        tags=tags,
        params={taken(k): str(v)[:6000] for k, v in params.items()},
        metrics=[(taken(key), _significant(value), step) for key, value, step in measured],
        data=_dataset(summary) if summary.data_provenance else (),
    )


def _note(summary: Summary, run: str) -> dict[str, str]:
    """Return the tag that opens the page of a run; none before it has an id."""
    picture = f"get-artifact?path=curve.png&run_uuid={run}"
    return {NOTE: note(summary, picture)} if run else {}


def _write_by_client(
    client: "MlflowClient", experiment: str, summary: Summary, rows: list[Row], folder: Path
) -> str:
    """Create the run and fill it; one that cannot be filled is deleted again."""
    it = _logged(summary, rows, folder)
    created = client.create_run(
        experiment, start_time=it.start, run_name=it.title, tags=dict(it.tags)
    )
    run = str(created.info.run_id)
    try:
        _fill(client, run, replace(it, tags=_note(summary, run)), folder)
        client.set_terminated(run, it.status, it.end)
    except BaseException:  # an interrupt as well
        _take_back(client, run)
        raise
    return run


def _take_back(client: "MlflowClient", run: str) -> None:
    """Leave no half of a run: delete it, or say at least that it is none."""
    with suppress(Exception):  # whatever hindered the run may hinder this
        client.set_terminated(run, "KILLED")
    with suppress(Exception):
        client.delete_run(run)


def _fill(client: "MlflowClient", run: str, it: Logged, folder: Path) -> None:
    """Write params, metrics and artifacts in few transactions."""
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag

    client.log_batch(run, tags=[RunTag(key, value) for key, value in it.tags.items()])
    for batch in _batches([Param(key, value) for key, value in it.params.items()], 100):
        client.log_batch(run, params=batch)
    metrics = [Metric(key, value, it.end, step) for key, value, step in it.metrics]
    for batch in _batches(metrics, BATCH):
        client.log_batch(run, metrics=batch)
    _log_files(client, run, folder)
    if it.data:
        name, digest, source, profile = it.data
        made = Dataset(name, digest, "local", source, profile=profile)
        _log_inputs(client, run, [DatasetInput(made, [InputTag(*it.role)])])


def _log_inputs(client: "MlflowClient", run: str, inputs: "Sequence[DatasetInput]") -> None:
    """Log the data of a run; again where another run of the same data was first in this moment."""
    for tries_left in reversed(range(TRIES)):
        try:
            client.log_inputs(run, inputs)
        except Exception:
            if not tries_left:
                raise
            time.sleep(random.uniform(0.0, 0.2))
        else:
            return


def _tags(summary: Summary, folder: Path) -> dict[str, str]:
    """What runs are searched and grouped by; in this order, for MLflow groups by the first."""
    return {
        **{tag: str(getattr(summary, tag))[:LONGEST_TAG] for tag in TAGS},
        ROW: f"{named(summary)}, {summary.victim} on {summary.data}"[:LONGEST_TAG],
        "status": summary.status,
        "winner": summary.winner or "-",
        "role": summary.role,
        "grade": gravest(summary.flags) or "-",
        "marks": shown(summary.marks) or "-",
        "notes": ", ".join(mark.text for mark in summary.marks if mark.grade == REMARK) or "-",
        "sweep": summary.sweep or "single",
        "folder": str(folder),
        "config_hash": summary.config_hash,
        "identity": summary.identity,
        INPUTS: json.dumps(dict(summary.inputs))[:MOST_TAG],
        "writer": f"{socket.gethostname()}:{os.getpid()}",
        "moatbench": summary.versions["moatbench"],
        "hardware": told(summary.hardware) or "-",
    }


def _log_files(client: "MlflowClient | Draft", run: str, folder: Path) -> None:
    for names, place in ((FILES_OF_A_RUN, None), (VICTIM_FILES, "victim")):
        for name in names:
            if (folder / name).exists():
                client.log_artifact(run, str(folder / name), place)


def _dataset(summary: Summary) -> tuple[str, ...]:
    """Describe the data that the victim was trained on, as MLflow's page of a run shows them."""
    origin = summary.data_provenance
    return (
        str(origin.get("name", summary.data)),
        str(origin["sha256"])[:36],  # what the column takes
        json.dumps({"uri": str(origin.get("source", summary.data))}),
        json.dumps({"num_rows": origin.get("rows"), "sha256": origin["sha256"]}),
    )


def points(summary: Summary, rows: list[Row]) -> Iterator[tuple[str, float, int]]:
    """Yield every (metric, value, step) of a run; step = queries.

    The plain names are the run's own curve: of its one attack, or of the suite's worst case. Of a
    suite's single attacks, `<attack>/` holds how good the surrogate is: the rest is in curve.csv,
    and a chart for each number of each attack would bury the ones that matter. What was not
    measured is left out.
    """
    curves = by_attack(rows)
    headline = WORST_CASE if WORST_CASE in curves else next(iter(curves), "")
    for attack, curve in curves.items():
        prefix = "" if attack == headline else f"{attack}/"
        for row in curve:
            for key, value in row.items():
                if prefix and not column(key).is_quality:
                    continue
                if isinstance(value, int | float) and value == value and key != "queries":
                    yield f"{prefix}{key}", float(value), int(row["queries"])
    for key, value in summary.summaries.get(headline, {}).items():
        last = key.removeprefix("final_")  # the other last points are their series' own
        if value is not None and (last == key or column(last).is_quality):
            yield f"summary/{key}", float(value), 0
    for key, name in HEADS.items():
        if (value := summary.finals.get(name)) is not None:
            yield key, float(value), 0
    for key, value in summary.floor_scores.items():
        if key.startswith("fidelity_") and value is not None:
            yield f"summary/floor_{key}", float(value), 0
    if summary.victim_accuracy is not None:
        yield "summary/victim_accuracy", float(summary.victim_accuracy), 0


def _significant(value: float) -> float:
    """Round to significant digits, never to decimals: total variations go down to 1e-16."""
    return float(f"{value:.{SIGNIFICANT}g}")


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
