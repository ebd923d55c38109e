"""A sweep of 36 runs is killed three times, on two workers: what is lost, and what is doubled?

Run: python benchmarks/kills.py [--quick]; the quick form kills one of four runs once.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

SWEEP = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]", "defense=none,rounding")
COMMAND = (
    *(sys.executable, "-m", "moatbench", "-m", *SWEEP),
    *("hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
)
GOALS = (6, 15, 27)  # summaries that are there when a kill comes


def killed(command: list[str], folder: Path, goal: int) -> None:
    """Start the sweep, and kill -9 all of it once so many runs have left a summary."""
    sweep = subprocess.Popen(
        command,
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while sweep.poll() is None and len(list(folder.glob("runs/*/*/*/summary.json"))) < goal:
        time.sleep(0.02)
    with suppress(ProcessLookupError):  # it was faster
        os.killpg(sweep.pid, signal.SIGKILL)
    sweep.wait()


def main() -> None:
    """Print how many runs are whole, and how often each is there; exit with 1 if not once each."""
    from mlflow import MlflowClient

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="four runs and one kill")
    quick = parser.parse_args().quick
    seeds, goals = (2, (1,)) if quick else (18, GOALS)
    command = [*COMMAND, f"seed=range(0,{seeds})"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for goal in goals:
            killed(command, folder, goal)
        last = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
        number = [e.experiment_id for e in client.search_experiments() if e.name == "moatbench"]
        runs = client.search_runs(number, max_results=1000)
        whole = [r.data.tags["config_hash"] for r in runs if r.info.status == "FINISHED"]
        print(f"exit status {last.returncode}; {last.stdout.count('already in MLflow')} kept")
        print(f"finished {len(whole)}, of them different {len(set(whole))} ({2 * seeds} is right)")
        print(f"states: {dict(Counter(r.info.status for r in runs))}")
        sys.exit(last.returncode or not len(whole) == len(set(whole)) == 2 * seeds)


if __name__ == "__main__":
    main()
