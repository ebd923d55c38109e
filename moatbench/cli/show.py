"""What the command says after a single run."""

import os
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.cli import paste

if TYPE_CHECKING:
    from moatbench.record.summary import Summary


def show_unlogged(folder: Path, *, verbose: bool = False) -> None:
    """Print the answer of a run that MLflow did not take; the store is asked nothing more."""
    from moatbench.record.summary import FAILED, Summary

    summary = Summary.read(folder)
    show_run(replace(summary, tracking_uri=None), folder, verbose=verbose)
    if summary.status == FAILED:
        print(f"moatbench: {summary.reason}", file=sys.stderr)


def show_run(summary: "Summary", folder: Path, *, verbose: bool = False) -> None:
    """Print the answer of a single run, where its files are, and what to do next.

    Args:
        summary: of the run.
        folder: of its files.
        verbose: whether all that was measured is shown.
    """
    from moatbench.display import answer, table
    from moatbench.record.curve import read
    from moatbench.record.summary import FINISHED, STOPPED

    print(f"\n{summary.title}: {summary.status.replace('_', ' ')}")
    if summary.status == STOPPED:
        print(answer.filled(f"  {summary.reason}", "    "))
    if summary.status != FINISHED and not summary.finals:
        for name, reason in summary.not_applicable.items():
            print(answer.filled(f"  {name} does not apply: {reason}", "    "))
    else:
        rows = read(folder / "curve.csv")
        print(f"\n{table.of_all(summary, rows) if verbose else answer.of_run(summary, rows)}")
    print()
    files = f"{here(folder)} (curve.png, curve.csv, summary.json)"
    say_where(files, summary.tracking_uri, summary.name, folder, verbose=verbose)
    why, command = paste.after_run(summary)
    print(f"next:   {why}\n{command}")


def say_where(
    files: str,
    uri: str | None,
    experiment: str,
    logged: Path | None = None,
    *,
    verbose: bool = False,
) -> None:
    """Say where the files are, and what opens the charts.

    Args:
        files: where they are.
        uri: of the store; None for none.
        experiment: its name.
        logged: the folder of a run that MLflow has.
        verbose: whether the addresses of single charts are told too.
    """
    print(f"files:  {files}")
    if uri is None:
        return
    if not uri.startswith("http"):
        print(f"charts: {shlex.join([paste.program('moatbench-ui'), *stored(uri)])}")
    if verbose or uri.startswith("http"):
        _say_links(uri, experiment, logged)


def here(folder: Path) -> str:
    """Return a path as seen from this folder, where it is within."""
    return os.path.relpath(folder) if folder.is_relative_to(Path.cwd()) else str(folder)


def stored(uri: str) -> list[str]:
    """Return the argument that names a store, unless it is the one that commands look for."""
    from moatbench.tracking.store import address

    asked = address(os.environ.get("MLFLOW_TRACKING_URI"))
    return [] if uri == asked else [f"tracking.uri={uri}"]


def _say_links(uri: str, experiment: str, logged: Path | None) -> None:
    """Tell the addresses that open the finished charts with no click."""
    from moatbench.cli import ui
    from moatbench.tracking import store

    try:
        server = uri if uri.startswith("http") else ui.SERVER
        number = store.experiment_id(logged) if logged else None
        found = store.links_of(number, server) if number else store.links(uri, experiment, server)
        for what, address in found.items():
            print(f"{what}: {address}")
    except store.TrackingFailed as down:
        print(down, file=sys.stderr)
