"""moatbench-report: from the runs in MLflow to a page, figures, tables and one tidy file."""

import os
import sys
import time
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from moatbench.report.select.consistency import MixedSelection
from moatbench.report.write.output import OutputRefused
from moatbench.report.write.report import report
from moatbench.tracking.read import StoreUnreadable

if TYPE_CHECKING:
    pass

USAGE = (
    "usage: moatbench-report experiment=NAME out=FOLDER [tracking.uri=URI] "
    "[filter=\"tags.data = 'digits'\"]"
)
OPTIONS = ("experiment", "out", "tracking.uri", "filter")


class Options(TypedDict):
    """What the command line asks for."""

    experiment: str
    out: Path
    uri: str
    condition: str


def main() -> None:
    """moatbench-report experiment=NAME out=FOLDER [tracking.uri=URI] [filter=CONDITION]."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(f"{main.__doc__}\n\n{USAGE}\n\n{report.__doc__}")
        return
    try:
        options = parsed(sys.argv[1:])
        start = time.perf_counter()
        selection = report(**options)
    except (StoreUnreadable, MixedSelection, OutputRefused, ValueError, OSError) as error:
        sys.exit(f"moatbench-report: {error}")
    runs, seconds = len(selection.runs), time.perf_counter() - start
    print(f"{runs} runs in {seconds:.1f} s: {(options['out'] / 'index.html').absolute()}")


def parsed(arguments: Sequence[str]) -> Options:
    """Read key=value arguments.

    Raises:
        ValueError: says what is wrong and how it is used.
    """
    stray = next((a for a in arguments if "=" not in a), None)
    if stray is not None:
        raise ValueError(f"{stray!r} is no key=value; {USAGE}")
    given = dict(a.split("=", 1) for a in arguments)
    for key in given:
        if key not in OPTIONS:
            near = get_close_matches(key, OPTIONS, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"no option {key!r}{hint} {USAGE}")
    lacking = [key for key in ("experiment", "out") if not given.get(key)]
    if lacking:
        raise ValueError(f"{' and '.join(f'{key}=' for key in lacking)} missing; {USAGE}")
    named = given.get("tracking.uri") or os.environ.get("MLFLOW_TRACKING_URI")
    return {
        "experiment": given["experiment"],
        "out": Path(given["out"]).expanduser(),
        "uri": named or f"sqlite:///{(Path.cwd() / 'runs' / 'mlflow.db').as_posix()}",
        "condition": given.get("filter", ""),
    }
