"""moatbench-log: write a finished run's folder to MLflow."""

import os
import sys
from pathlib import Path

from moatbench.tracking.log import log
from moatbench.tracking.store import TrackingFailed, address


def main() -> None:
    """moatbench-log FOLDER... [tracking.uri=URI]: log finished runs that MLflow did not get."""
    folders = [Path(a) for a in sys.argv[1:] if "=" not in a]
    options = dict(a.split("=", 1) for a in sys.argv[1:] if "=" in a)
    uri = address(options.pop("tracking.uri", os.environ.get("MLFLOW_TRACKING_URI")))
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
