"""What the command says after a sweep."""

import logging
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from moatbench.cli import paste, show
from moatbench.compose.repeat import as_given
from moatbench.compose.words.errors import explain

if TYPE_CHECKING:
    from moatbench.sweep.progress import Job

log = logging.getLogger("moatbench")
NAMED = 8  # runs, of those that failed alike


def finish_sweep(broken: str = "") -> None:
    """Show the table of a sweep and what went wrong; exit with 1 if anything did.

    Args:
        broken: what ended the sweep before its time, in a line; '' if nothing did.
    """
    if not HydraConfig.initialized() or HydraConfig.get().mode != RunMode.MULTIRUN:
        return
    from moatbench.sweep.manifest import manifest_of
    from moatbench.sweep.progress import jobs

    cfg = HydraConfig.get()
    folder = Path(cfg.sweep.dir).absolute()
    if not (runs := jobs(manifest_of(folder))):
        return
    _show_sweep(folder, runs)
    # Of a sweep that was cut short, those that were under way have not failed
    failed = [run for run in runs if run.failure and not (broken and run.lost)]
    stopped = [run for run in runs if run.stopped]
    for line in (*failures(failed), *failures(stopped)):
        print(line, file=sys.stderr)
    lost = without_record(runs)
    if lost:
        print(_to_log(lost, len(runs)), file=sys.stderr)
    if stopped:
        print(f"{len(stopped)} of {len(runs)} runs ended early; the same command goes on with them")
    else:
        _follow_up(runs, lost, broken, as_given(cfg.overrides.hydra))
    if broken:
        whole = sum(not run.failure for run in runs)
        print(f"the sweep ended early; {whole} runs are whole, and the same command does the rest")
    elif failed or lost:
        wrong = [f"{len(failed)} of {len(runs)} runs failed"] if failed else []
        wrong += [f"{len(lost)} of {len(runs)} runs have no record in MLflow"] if lost else []
        sys.exit(f"moatbench: {' and '.join(wrong)}")


def failures(failed: "Sequence[Job]") -> Iterator[str]:
    """Say why runs failed, or ended early, a line for each reason; those alike are counted."""
    alike: dict[str, list[Any]] = {}
    for run in failed:
        alike.setdefault(run.failure or run.stopped, []).append(run)
    for why, runs in alike.items():
        did = "failed" if runs[0].failure else "ended early"
        numbers = [str(run.entry.number) for run in runs]
        named = ", ".join(numbers[:NAMED])
        named += f" and {len(numbers) - NAMED} more" if len(numbers) > NAMED else ""
        what = f"run {named}" if len(runs) == 1 else f"{len(runs)} runs ({named})"
        yield f"{what} {did}: {why} (see {runs[0].folder})"


def without_record(runs: "list[Job]") -> "list[Job]":
    """Return the runs that wrote a summary and that MLflow does not have, or no longer."""
    from moatbench.tracking.store import run_id
    from moatbench.tracking.tried import missing

    logged: dict[str, list[str]] = {}
    ids = {run.entry.number: run_id(run.folder) for run in runs}
    for run in runs:
        if run.entry.uri and (number := ids[run.entry.number]):
            logged.setdefault(run.entry.uri, []).append(number)
    gone = {number for uri, numbers in logged.items() for number in missing(uri, numbers)}
    return [run for run in runs if run.unlogged or ids[run.entry.number] in gone]


def _to_log(lost: "list[Job]", total: int) -> str:
    """Say which runs have no record, and the one command that logs them all."""
    uri = str(lost[0].entry.uri)
    named = ", ".join(str(run.entry.number) for run in lost)
    why = next((run.entry.error for run in lost if run.entry.error), "")
    command = shlex.join(["moatbench-log", *(str(run.folder) for run in lost)])
    told = f": {why.partition('; log it later')[0]}" if why else ""
    return (
        f"{len(lost)} of {total} runs have no record in MLflow ({named}){told}\n"
        f"log them with: {command} {shlex.quote(f'tracking.uri={uri}')}"
    )


def _follow_up(runs: "list[Job]", lost: "list[Job]", broken: str, overrides: Iterable[str]) -> None:
    """Confirm and report where the config asks for it, and nothing is lacking."""
    asked = runs[0].entry
    if broken or asked.uri is None or not (asked.confirm or asked.report or asked.advise):
        return
    if lost:
        what = "advised, confirmed or reported"
        print(f"nothing is {what}: runs have no record", file=sys.stderr)
        return
    if asked.confirm:
        _confirm(asked.name, asked.confirm, asked.uri, overrides)
    if asked.report:
        _write_report(asked.name, Path(asked.report), asked.uri)
    if asked.advise:
        _advise(asked.name, asked.uri)


def _show_sweep(folder: Path, runs: "list[Job]") -> None:
    """Print the defenses of a sweep by what is stolen, the verdict, and where to look on."""
    from moatbench.display import table
    from moatbench.record.summary import CONFIRMATION
    from moatbench.sweep.ranking import of_sweep
    from moatbench.tracking.store import experiment_id

    print(f"\n{of_sweep(runs)}\n")
    known, first = runs[0].entry, runs[0].summary
    if known.verbose:
        print(f"{table.of_sweep([run.summary for run in runs])}\n")
    logged = next((run.folder for run in runs if experiment_id(run.folder)), None)
    uri = known.uri if logged else None  # a store that took nothing has nothing to show
    show.say_where(show.here(folder), uri, known.name, logged, verbose=known.verbose)
    confirms = first is not None and first.role == CONFIRMATION  # a report waits for all of these
    if uri is not None and known.report is None and not confirms:
        words = [paste.program("moatbench-report"), *show.stored(uri)]
        asked = [*words, f"experiment={known.name}", "out=report"]
        print(f"next:   a page with charts, intervals and costs\n{paste.lines(quoted(asked))}")


def quoted(words: Iterable[str]) -> list[str]:
    """Quote words as a shell reads them."""
    return [shlex.quote(word) for word in words]


def _confirm(experiment: str, seeds: int, uri: str, overrides: Iterable[str]) -> None:
    """Rerun the worst cases; without them, the report says "not confirmed", and costs no run."""
    from moatbench.sweep.confirm import confirm

    kept = [o for o in overrides if o.startswith(("hydra/l", "hydra.l"))]
    print(f"\nthe worst attack on each defense again, on {seeds} fresh seeds", flush=True)
    try:
        confirm(experiment, seeds, uri, kept)
    except Exception as error:
        print(f"worst cases are not confirmed: {explain(error)}", file=sys.stderr)


def _advise(experiment: str, uri: str) -> None:
    """Say which of the sweep's defenses to deploy; what the advice lacks costs no run."""
    from moatbench.report.measure.advice import advice
    from moatbench.report.measure.worst import fields
    from moatbench.report.select.selection import select
    from moatbench.report.write.advice import told
    from moatbench.tracking.read import logged_runs

    try:
        for field in fields(select(logged_runs(uri, experiment))):
            print(f"\n{field.setting}\n\n{told(advice(field))}")
    except Exception as error:
        print(f"no advice: {explain(error)}", file=sys.stderr)


def _write_report(experiment: str, out: Path, uri: str) -> None:
    """Write the report that the config asks for; what it lacks is told and costs no run."""
    from moatbench.report.write.report import report

    try:
        report(experiment, out, uri)
    except Exception as error:
        print(f"no report in {out}: {explain(error)}", file=sys.stderr)
        return
    print(f"report: {show.here((out / 'index.html').absolute())}")
