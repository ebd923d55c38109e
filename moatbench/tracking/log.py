"""MLflow, the only file that imports it: a finished folder becomes one flat run of the store.

The run is written from the folder's files, in one piece and at the end: a killed job leaves none
half done, a server that is down costs nothing measured, and a folder can be logged later.
"""

import json
import logging
import os
import re
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock

from moatbench.record.curve import Row, by_attack, read
from moatbench.runner.suite import WORST_CASE
from moatbench.tracking import views

if TYPE_CHECKING:
    from mlflow import MlflowClient

log_ = logging.getLogger(__name__)

SQLITE = "sqlite:///"
BATCH = 1000  # metrics of one transaction: the fastest that was measured
SIGNIFICANT = 6
FIGURES_OF_A_RUN = ("curve.png", "curve.pdf", "curve.csv", "summary.json")
QUALITY = ("fidelity_", "gain_", "tv_", "accuracy")
NOTE = "mlflow.note.content"
VICTIM_FILES = ("victim.npz", "card.json")
MEASUREMENT, CONFIRMATION = "measurement", "confirmation"  # roles of a run
LOGGED = "mlflow.json"  # in a run's folder: where MLflow has it
HONEST = {  # by what the note calls it; the last two are of the whole run
    "labels as the undefended model's": "final_honest_label_agreement",
    "accuracy lost": "final_honest_accuracy_lost",
    "mean L1 of the answers": "final_honest_l1_mean",
    "99 % of the answers within an L1 of": "final_honest_l1_p99",
    "refused": "final_honest_refused",
    "accounts alarmed": "final_honest_alarmed_accounts",
    "labels kept, of customers with unusual inputs": "final_shifted_label_agreement",
    "refused, of these": "final_shifted_refused",
    "seconds that the defense adds to a query": "honest_seconds_added",
    "virtual seconds that a query waits": "honest_seconds_waited",
}
TAGS = ("victim", "data", "defense", "attack", "seed")


class TrackingFailed(RuntimeError):
    """MLflow could not be reached or written to; the run's folder is whole."""


def store(uri: str | None) -> str:
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
        raise TrackingFailed(f"MLflow at {uri} cannot be reached ({_cause(error)})") from error
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


def log(folder: Path, uri: str) -> str:
    """Write the run that lies in `folder` to MLflow; return its run id.

    Raises:
        TrackingFailed: says what to do to log it later.
    """
    summary = json.loads((folder / "summary.json").read_text())
    rows = read(folder / "curve.csv") if (folder / "curve.csv").exists() else []
    try:
        client, experiment = open_store(uri, summary["name"], summary.get("artifacts"))
        run = _write(client, experiment, summary, rows, folder)
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise TrackingFailed(
            f"the run is whole in {folder}, but MLflow at {uri} did not take it ({_cause(error)}); "
            f"log it later with: moatbench-log {folder} tracking.uri={uri}"
        ) from error
    _note_down(folder, uri, run, experiment)
    return run


def _note_down(folder: Path, uri: str, run: str, experiment: str) -> None:
    """Leave in a run's folder where MLflow has it."""
    place = {"tracking_uri": uri, "experiment_id": experiment, "run_id": run}
    (folder / LOGGED).write_text(json.dumps(place, indent=2) + "\n")


def finished(uri: str, experiment: str, config_hash: str) -> str | None:
    """Return the id of the finished run of this config, if there is one.

    Runs of the same config that a killed process left half written are marked KILLED on the way.

    Raises:
        TrackingFailed: MLflow cannot be reached.
    """
    try:
        client, experiment_id = open_store(uri, experiment)
        same = f"tags.config_hash = '{config_hash}'"
        for run in client.search_runs([experiment_id], f"{same} and attributes.status = 'RUNNING'"):
            if not _alive(run.data.tags.get("writer", "")):
                client.set_terminated(run.info.run_id, "KILLED")
        whole = f"{same} and attributes.status = 'FINISHED'"
        found = client.search_runs([experiment_id], whole, max_results=1)
    except Exception as error:  # as in `log`
        raise TrackingFailed(f"MLflow at {uri} cannot be reached ({_cause(error)})") from error
    return str(found[0].info.run_id) if found else None


def fetch(uri: str, run: str, folder: Path) -> dict[str, Any]:
    """Fetch the files of a logged run into `folder`; return its summary, marked as fetched."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    for file in client.list_artifacts(run):
        if not file.is_dir:
            client.download_artifacts(run, file.path, str(folder))
    written = folder / "summary.json"
    summary = {**json.loads(written.read_text()), "fetched": run}
    written.write_text(json.dumps(summary, indent=2) + "\n")
    _note_down(folder, uri, run, str(client.get_run(run).info.experiment_id))
    return summary


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


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


def _write(
    client: "MlflowClient",
    experiment: str,
    summary: Mapping[str, Any],
    rows: list[Row],
    folder: Path,
) -> str:
    """Write params, tags, metrics and artifacts in few transactions."""
    from mlflow.entities import Metric, Param

    start = int(summary["started"] * 1000)
    end = start + int(summary["seconds"] * 1000)
    name = "{defense} / {attack} / {victim} on {data} / s{seed}".format(**summary)
    tags = {tag: str(summary[tag]) for tag in TAGS}
    tags |= {"status": summary["status"], "winner": summary["winner"] or "-"}
    tags |= {"role": summary.get("role", MEASUREMENT)}
    tags |= {"marks": "; ".join(summary.get("marks", [])) or "-"}
    tags |= {"sweep": summary["sweep"] or "single", "folder": str(folder)}
    tags |= {
        "config_hash": summary["config_hash"],
        "writer": f"{socket.gethostname()}:{os.getpid()}",
    }
    tags |= {"moatbench": summary["versions"]["moatbench"]}
    created = client.create_run(experiment, start_time=start, run_name=name, tags=tags)
    run = created.info.run_id
    params = {tag: summary[tag] for tag in TAGS} | dict(summary["knobs"])
    params |= {f"data.{k}": v for k, v in summary["data_provenance"].items()}
    for batch in _batches([Param(k, str(v)[:6000]) for k, v in params.items()], 100):
        client.log_batch(run, params=batch)
    metrics = [
        Metric(key, _significant(value), end, step) for key, value, step in points(summary, rows)
    ]
    for batch in _batches(metrics, BATCH):
        client.log_batch(run, metrics=batch)
    for file in FIGURES_OF_A_RUN:
        if (folder / file).exists():
            client.log_artifact(run, str(folder / file))
    for file in VICTIM_FILES:
        if (folder / file).exists():
            client.log_artifact(run, str(folder / file), "victim")
    if summary["data_provenance"]:
        client.log_inputs(run, [_dataset(summary)])
    client.set_tag(run, NOTE, note(summary, f"get-artifact?path=curve.png&run_uuid={run}"))
    client.set_terminated(run, "FAILED" if summary["status"] == "failed" else "FINISHED", end)
    return str(run)


def _dataset(summary: Mapping[str, Any]) -> Any:
    """Describe the data that the victim was trained on, as MLflow's page of a run shows them."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    origin = summary["data_provenance"]
    made = Dataset(
        name=str(origin.get("name", summary["data"])),
        digest=str(origin["sha256"])[:36],  # what the column takes
        source_type="local",
        source=json.dumps({"uri": str(origin.get("source", summary["data"]))}),
        profile=json.dumps({"num_rows": origin.get("rows"), "sha256": origin["sha256"]}),
    )
    return DatasetInput(made, [InputTag("mlflow.data.context", "victim")])


def points(summary: Mapping[str, Any], rows: list[Row]) -> Iterator[tuple[str, float, int]]:
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
                if prefix and not key.startswith(QUALITY):
                    continue
                if isinstance(value, int | float) and value == value and key != "queries":
                    yield f"{prefix}{key}", float(value), int(row["queries"])
    for key, value in summary["summaries"].get(headline, {}).items():
        last = key.removeprefix("final_")  # the other last points are their series' own
        if value is not None and (last == key or last.startswith(QUALITY)):
            yield f"summary/{key}", float(value), 0
    for key, value in summary.get("baselines", {}).get(summary.get("floor"), {}).items():
        if key.startswith("fidelity_") and value is not None:
            yield f"summary/floor_{key}", float(value), 0
    if summary["victim_accuracy"] is not None:
        yield "summary/victim_accuracy", float(summary["victim_accuracy"]), 0


def note(summary: Mapping[str, Any], figure: str = "") -> str:
    """Describe the run in Markdown, as MLflow shows it on the run's page.

    Args:
        summary: of the run.
        figure: address of its figure, as seen from the page.
    """
    lines = [f"```\n{summary['command']}\n```", ""]
    if summary["status"] != "finished":
        lines += [f"**{summary['status'].replace('_', ' ')}**: {summary['reason']}", ""]
    final: Mapping[str, Any] = next(reversed(summary["summaries"].values()), {})
    if summary["winner"]:
        lines += [f"Worst case: **{summary['winner']}**", ""]
    lines += _gained(summary, final) + _costs(final)
    lines += [f"- does not apply: {n}: {why}" for n, why in summary["not_applicable"].items()]
    lines += [f"- flag: {flag}" for flag in summary["flags"]]
    if final and figure:
        lines += ["", f"![fidelity against queries]({figure})"]
    if summary["trace"]:
        lines += ["", "```", summary["trace"][-4000:], "```"]
    return "\n".join(lines)


def _gained(summary: Mapping[str, Any], final: Mapping[str, Any]) -> list[str]:
    """Tell what was extracted beyond what an attacker has without the API."""
    name = summary.get("floor")
    if name is None or final.get("final_gain_test") is None:
        return []
    floor, gain = (
        summary["baselines"][name]["fidelity_test"],
        final["final_gain_test"],
    )
    return [f"Gain on test data: {gain:.4g} of what the floor ({name}: {floor:.4g}) leaves", ""]


def _costs(final: Mapping[str, Any]) -> list[str]:
    """Tell what honest customers paid by the end, as a table."""
    told = {what: final.get(name) for what, name in HONEST.items()}
    known = {what: value for what, value in told.items() if value is not None}
    if not known:
        return []
    rows = [f"| {what} | {value:.4g} |" for what, value in known.items()]
    return ["| honest customers, by the end | |", "|---|---|", *rows, ""]


def main() -> None:
    """moatbench-log FOLDER... [tracking.uri=URI]: log finished runs that MLflow did not get."""
    folders = [Path(a) for a in sys.argv[1:] if "=" not in a]
    options = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    uri = store(options.pop("tracking.uri", os.environ.get("MLFLOW_TRACKING_URI")))
    absent = [str(f) for f in folders if not (f / "summary.json").exists()]
    if not folders or options or absent:
        what = f"no summary.json in {', '.join(absent)}" if absent else "no folder of a run given"
        what = f"unknown option {next(iter(options))}" if options else what
        sys.exit(f"moatbench-log: {what}; usage: moatbench-log FOLDER... [tracking.uri=URI]")
    for folder in folders:
        try:
            print(f"{folder}: run {log(folder.resolve(), uri)} in {uri}")
        except TrackingFailed as error:
            sys.exit(f"moatbench-log: {error}")


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


def _significant(value: float) -> float:
    """Round to significant digits, never to decimals: total variations go down to 1e-16."""
    return float(f"{value:.{SIGNIFICANT}g}")


def _batches(items: list[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
