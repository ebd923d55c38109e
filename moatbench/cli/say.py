"""What the command says after a run or a sweep."""

import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from moatbench.compose.errors import explain

log = logging.getLogger("moatbench")


def finish_sweep(broken: str = "") -> None:
    """Show the table of a sweep and its failures; exit with 1 if there are any.

    Args:
        broken: what ended the sweep before its time, in a line; '' if nothing did.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    from moatbench.display import table
    from moatbench.sweep import watch as sweep
    from moatbench.tracking import store

    cfg = HydraConfig.get()
    folder = Path(cfg.sweep.dir).absolute()
    runs = sweep.results(folder)
    if not runs:
        return
    print(f"\n{table.of_sweep(runs)}\n")
    known = next((r for r in runs if "tracking_uri" in r), {})
    logged = next((f for r in runs if (f := Path(r["folder"])) and store.experiment_id(f)), None)
    _say_where(folder, known.get("tracking_uri"), known.get("name"), logged)
    if (seeds := _confirmations(folder)) and known.get("tracking_uri") and not broken:
        _confirm(known["name"], seeds, known["tracking_uri"], cfg.overrides.hydra)
    if known.get("report") and known["tracking_uri"] and not broken:
        _write_report(known["name"], Path(known["report"]), known["tracking_uri"])
    failed = [(n, r) for n, r in enumerate(runs) if r["status"] == "failed"]
    for number, run in failed:
        print(f"run {number} failed: {run['reason']} (see {run['folder']})", file=sys.stderr)
    if broken:
        whole = len(runs) - len(failed)
        print(f"the sweep ended early; {whole} runs are whole, and the same command does the rest")
    elif failed:
        sys.exit(f"moatbench: {len(failed)} of {len(runs)} runs failed")


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


def show_run(summary: dict[str, Any], folder: Path) -> None:
    """Print the table of a single run, and where to look on."""
    from moatbench.display import table
    from moatbench.record.curve import read
    from moatbench.record.identity import title

    print(f"\n{title(summary)}: {summary['status'].replace('_', ' ')}")
    for name, reason in summary["not_applicable"].items():
        print(f"  {name} does not apply: {reason}")
    if summary["status"] == "finished":
        rows = read(folder / "curve.csv")
        print("\nfidelity on test / uniform inputs, in %, by queries; * the fit did not converge")
        print(table.of_floor(summary))
        print(f"\n{table.of_run(summary, rows)}\n\n{table.of_honest(summary, rows)}\n")
        if marked := table.of_watermark(rows):
            print(f"{marked}\n")
    _say_where(folder, summary["tracking_uri"], summary["name"], folder)


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
