"""What the command says after a run or a sweep."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from moatbench.compose.errors import explain

if TYPE_CHECKING:
    from moatbench.record.summary import Summary
    from moatbench.sweep.progress import Job

log = logging.getLogger("moatbench")


def finish_sweep(broken: str = "") -> None:
    """Show the table of a sweep and its failures; exit with 1 if there are any.

    Args:
        broken: what ended the sweep before its time, in a line; '' if nothing did.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    from moatbench.sweep.progress import jobs

    cfg = HydraConfig.get()
    folder = Path(cfg.sweep.dir).absolute()
    if not (runs := jobs(folder)):
        return
    _show_sweep(folder, runs)
    if not broken and (known := _first(runs)) and known.tracking_uri:
        if seeds := _confirmations(folder):
            _confirm(known.name, seeds, known.tracking_uri, cfg.overrides.hydra)
        if known.report:
            _write_report(known.name, Path(known.report), known.tracking_uri)
    failed = [(n, run) for n, run in enumerate(runs) if run.failure]
    for number, run in failed:
        print(f"run {number} failed: {run.failure} (see {run.folder})", file=sys.stderr)
    if broken:
        whole = len(runs) - len(failed)
        print(f"the sweep ended early; {whole} runs are whole, and the same command does the rest")
    elif failed:
        sys.exit(f"moatbench: {len(failed)} of {len(runs)} runs failed")


def _show_sweep(folder: Path, runs: "list[Job]") -> None:
    """Print the table of a sweep, and where to look on."""
    from moatbench.display import table
    from moatbench.tracking.store import experiment_id

    print(f"\n{table.of_sweep([run.summary for run in runs])}\n")
    known = _first(runs)
    logged = next((run.folder for run in runs if experiment_id(run.folder)), None)
    uri, name = (known.tracking_uri, known.name) if known else (None, None)
    _say_where(folder, uri, name, logged)


def _first(runs: "list[Job]") -> "Summary | None":
    """Return a summary that stands for all in what they share; None where no run wrote one."""
    return next((run.summary for run in runs if run.summary), None)


def _confirmations(folder: Path) -> int:
    """Return the fresh seeds that the config of a sweep asks for (`confirm`)."""
    from omegaconf import OmegaConf

    # Not from a summary: one that MLflow had already tells what an earlier command asked for
    written = next(folder.glob("[0-9]*/.hydra/config.yaml"), None)
    return int(OmegaConf.select(OmegaConf.load(written), "confirm") or 0) if written else 0


def _confirm(experiment: str, seeds: int, uri: str, overrides: Iterable[str]) -> None:
    """Rerun the worst cases; without them, the report says "not confirmed", and costs no run."""
    from moatbench.sweep.confirm import confirm

    kept = [o for o in overrides if o.startswith(("hydra.searchpath", "hydra/l", "hydra.l"))]
    print(f"\nthe worst attack on each defense again, on {seeds} fresh seeds", flush=True)
    try:
        confirm(experiment, seeds, uri, kept)
    except Exception as error:
        print(f"worst cases are not confirmed: {explain(error)}", file=sys.stderr)


def _write_report(experiment: str, out: Path, uri: str) -> None:
    """Write the report that the config asks for; what it lacks is told and costs no run."""
    from moatbench.report.write.report import report

    try:
        report(experiment, out, uri)
    except Exception as error:
        print(f"no report in {out}: {explain(error)}", file=sys.stderr)
        return
    print(f"report:      {(out / 'index.html').absolute()}")


def show_run(summary: "Summary", folder: Path) -> None:
    """Print the table of a single run, and where to look on."""
    from moatbench.display import table
    from moatbench.record.curve import read
    from moatbench.record.summary import FINISHED

    print(f"\n{summary.title}: {summary.status.replace('_', ' ')}")
    for name, reason in summary.not_applicable.items():
        print(f"  {name} does not apply: {reason}")
    if summary.status == FINISHED:
        rows = read(folder / "curve.csv")
        print(
            "\nfidelity on test / uniform inputs, in %, by queries; * the fit did not "
            "converge, ~ it had not begun"
        )
        print(table.of_floor(summary))
        print(f"\n{table.of_run(summary, rows)}\n\n{table.of_honest(summary, rows)}\n")
        if groups := table.of_groups(summary):
            print(f"{groups}\n")
        if marked := table.of_watermark(rows):
            print(f"{marked}\n")
        if flagged := table.of_flags(summary):
            print(flagged)
    _say_where(folder, summary.tracking_uri, summary.name, folder)


def _say_where(
    folder: Path, uri: str | None, experiment: str | None, logged: Path | None = None
) -> None:
    """Say where the files are, and what opens the finished charts with no click.

    Args:
        folder: of the files.
        uri: of the store.
        experiment: its name.
        logged: the folder of a run that MLflow has.
    """
    print(f"files:       {folder}")
    if uri is None or experiment is None:
        return
    from moatbench.cli import ui
    from moatbench.tracking import store

    beside = Path(sys.executable).parent  # whoever has not activated the environment can paste it
    if not uri.startswith("http"):
        print(f"dashboard:   {beside / 'moatbench-ui'} tracking.uri={uri}")
    asked = f"tracking.uri={uri} experiment={experiment} out=report"
    print(f"to report:   {beside / 'moatbench-report'} {asked}")
    try:
        server = uri if uri.startswith("http") else ui.SERVER
        number = store.experiment_id(logged) if logged else None
        found = store.links_of(number, server) if number else store.links(uri, experiment, server)
        for what, address in found.items():
            print(f"{what + ':':<12} {address}")
    except store.TrackingFailed as down:
        log.warning("%s", down)
