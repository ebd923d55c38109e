"""What MLflow adds to a run: the seconds of `log_run` beside the seconds of the run itself.

Run: python benchmarks/tracking.py [overrides of moatbench]. The bar is 5 % of a run of 30 s.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import quick  # noqa: F401 - reads --help

from moatbench.record.summary import Summary
from moatbench.tracking.log import log_run

LOGS = 5


def main() -> None:
    """Run once without tracking, then log its folder to a fresh store several times."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [sys.executable, "-m", "moatbench", "tracking.enabled=false", "hydra.run.dir=run"]
        subprocess.run([*command, *sys.argv[1:]], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        run = Summary.read(folder / "run").seconds
        uri = f"sqlite:///{folder}/mlflow.db"
        seconds = []
        for _ in range(LOGS):
            start = time.perf_counter()
            log_run(folder / "run", uri)
            seconds.append(time.perf_counter() - start)
        print("| what | seconds | share of the run |\n|---|---|---|")
        print(f"| the run, one thread | {run:.2f} | - |")
        rows = {"first log: imports MLflow, makes the store": seconds[0], "later": min(seconds[1:])}
        for what, value in rows.items():
            print(f"| {what} | {value:.2f} | {value / run:.1%} |")


if __name__ == "__main__":
    main()
