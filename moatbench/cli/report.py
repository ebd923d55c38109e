"""From the runs in MLflow to a page, figures, tables and one tidy file."""

import sys
import time
from pathlib import Path

from moatbench.cli.options import STORE, URI, Command, experiment_of
from moatbench.report.draw.scale import SCALES
from moatbench.report.select.consistency import MixedSelection
from moatbench.report.write.output import OutputRefused
from moatbench.report.write.report import report
from moatbench.tracking.read import StoreUnreadable
from moatbench.tracking.store import TrackingFailed

COMMAND = Command(
    "moatbench-report out=FOLDER [experiment=NAME] [tracking.uri=URI] "
    "[filter=\"tags.data = 'digits'\"] [scale=log]",
    {
        "experiment": "its name in MLflow: name= of its runs; else the only one there is",
        "out": "a folder: new, empty, or with an earlier report, which is replaced",
        URI: STORE,
        "filter": "in MLflow's search syntax, to choose among the runs",
        "scale": f"of fidelity in charts: {', '.join(SCALES)}; log tells 99 from 99.9 %, and "
        "auto takes it where half of the lines end above 90 %",
    },
    needed=("out",),
)
TOLD = (StoreUnreadable, TrackingFailed, MixedSelection, OutputRefused)


def main() -> None:
    """Write the report of an experiment."""
    COMMAND.offer_help(__doc__)
    try:
        given = COMMAND.read(sys.argv[1:])
        out, start = Path(given.options["out"]).expanduser(), time.perf_counter()
        condition = given.options.get("filter", "")
        scale = given.options.get("scale", SCALES[0])
        if scale not in SCALES:
            raise ValueError(f"scale must be one of {', '.join(SCALES)}, got {scale!r}")
        selection = report(experiment_of(given), out, given.uri, condition, scale)
    except (*TOLD, ValueError, OSError) as error:
        sys.exit(f"{COMMAND.name}: {error}")
    runs, seconds = len(selection.runs), time.perf_counter() - start
    print(f"{runs} runs in {seconds:.1f} s: {(out / 'index.html').absolute()}")
