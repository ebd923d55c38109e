"""The command line: moatbench-reproduce [--quick] [--only table4,figure7] [--seeds 3] ..."""

import argparse
import os
import shlex
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moatbench.reproduce.results import Job, Measured, Results

DATA = Path("../shared/data")  # where this project keeps the paper's sets, beside the checkout
DATA_DIR = "--data-dir"  # where the sets lie, not what they are
OUT = "--out"
INTERRUPTED = 130  # what a shell says of a command that Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command; exit with 1 if a row failed, 2 on a bad option."""
    # Before NumPy is loaded: its pools take their size from here, in the workers too.
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    given = sys.argv[1:] if arguments is None else list(arguments)
    parser = _parser()
    options = parser.parse_args(given)
    from moatbench.reproduce.sections import KEYS, named

    try:
        keys = named(options.only) if options.only else KEYS
    except ValueError as error:
        parser.error(str(error))
    sys.exit(_reproduce(options, keys, recorded(given)))


def recorded(given: Sequence[str]) -> str:
    """Return the command for the report, without the folders of whoever gave it.

    The report's own name stays, below the working directory or alone: pasted, the command goes on
    with the same report.
    """
    kept, words = ["moatbench-reproduce"], iter(given)
    for word in words:
        name, equals, value = word.partition("=")
        if name not in (DATA_DIR, OUT):
            kept.append(shlex.quote(word))
            continue
        value = value if equals else next(words, "")
        if name == OUT:
            kept += [OUT, shlex.quote(value if _is_below(value) else Path(value).name)]
    return " ".join(kept)


def _is_below(path: str) -> bool:
    return not Path(path).is_absolute() and not path.startswith(("..", "~"))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="moatbench-reproduce",
        description="Rerun Tables 4, 6, 7 and Figures 4 to 7 of Tramèr et al. 2016, and write a "
        "report. What was measured is kept: the same command goes on where it was stopped.",
    )
    parser.add_argument("--quick", action="store_true", help="5 minutes on 2 cores, instead of 60")
    parser.add_argument("--only", metavar="KEYS", help="run some: table4,figure7")
    parser.add_argument("--seeds", type=_positive, metavar="N", help="of every row: 0 to N-1")
    parser.add_argument(
        "--data-dir",
        default=os.environ.get("MOATBENCH_DATA_DIR") or (str(DATA) if DATA.is_dir() else None),
        help="folder of the paper's CSV files (default: $MOATBENCH_DATA_DIR, ../shared/data, data; "
        "what is not there is asked of OpenML)",
    )
    parser.add_argument("--out", type=Path, default=Path("docs/reproduction.md"), help="the report")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="processes")
    parser.add_argument("--report-only", action="store_true", help="write it; run nothing")
    parser.add_argument("--fresh", action="store_true", help="forget what was measured before")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1, got {text!r}")
    return int(text)


def _reproduce(options: argparse.Namespace, keys: Sequence[str], command: str) -> int:
    """Run what is missing, then write the report of all there is."""
    from moatbench.reproduce import report
    from moatbench.reproduce.results import FAILED, Results
    from moatbench.reproduce.sections import chosen, jobs_of

    sections = chosen(options.quick, options.seeds)
    jobs = jobs_of(section for section in sections if section.key in keys)
    try:
        results = Results(options.out.with_suffix("") / "results.csv")
    except ValueError as error:
        print(f"moatbench-reproduce: {error}", file=sys.stderr)
        return 1
    if options.fresh and not options.report_only:
        results.forget({row for row, _ in jobs})
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the workers, too
    started = time.monotonic()
    try:
        if not options.report_only:
            _run(jobs, results, options)
    except KeyboardInterrupt:
        print(f"interrupted; what was measured is in {results.path}: the same command goes on")
        return INTERRUPTED
    effort = report.Effort(command, options.workers, time.monotonic() - started)
    report.write(options.out, sections, results, effort)
    ended = [run[0] for row, seed in jobs if (run := results.of(row, seed))]
    failed = [record for record in ended if record.status == FAILED]
    print(f"report: {options.out}" + (f"; {len(failed)} runs failed" if failed else ""))
    return int(bool(failed))


def _run(jobs: "Sequence[Job]", results: "Results", options: argparse.Namespace) -> None:
    """Run what is not there yet; a line for each run that ends."""
    from moatbench.reproduce.play import play_all

    missing = [(row, seed) for row, seed in jobs if not results.finished(row, seed)]
    done = len(jobs) - len(missing)
    if done:
        print(f"{done} of {len(jobs)} runs are in {results.path} already", flush=True)
    started = time.monotonic()
    for records in play_all(missing, options.data_dir, options.workers):
        results.add(records)
        done += 1
        minutes = (time.monotonic() - started) / 60
        print(f"[{done}/{len(jobs)}, {minutes:.1f} min] {_told(records[-1])}", flush=True)


def _told(last: "Measured") -> str:
    """Tell in a line how a run ended."""
    from moatbench.reproduce.results import FAILED

    run = f"{last.row} | seed {last.seed}"
    if last.status == FAILED:
        return f"{run}: FAILED: {last.note}"
    fidelity = f"{100 * last.test:.2f}/{100 * last.uniform:.2f} %"
    return f"{run}: {fidelity} at {last.queries:,} queries, {last.seconds:.1f} s"
