"""How long a report takes on 1,000 runs of 20 checkpoints: read from MLflow, written, opened.

Run: python benchmarks/report.py [--runs 1000]. The bars are 30 s for reading and 30 s for the page.
The runs are made up (their numbers mean nothing) and logged as real ones are.
"""

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.judge.plan import plan
from moatbench.record.columns import COLUMNS
from moatbench.record.curve import CurveFile, summary
from moatbench.record.summary import FINISHED, Summary
from moatbench.report.write.report import report
from moatbench.tracking.log import log_run
from moatbench.tracking.read import logged_runs

DEFENSES = ["none", "rounding", "label_only", "noise", "top_k", "prada", "sigmoid", "mad", "bdpl"]
DEFENSES += ["guard"]
ATTACKS = ("solving", "retraining", "adaptive", "search", "knockoff")
DATA = ("digits", "adult")
SEEDS = 10
CHECKPOINTS = tuple(int(q) for q in np.geomspace(65, 65_000, 20))
CHROMIUM = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
CHROMIUM += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]


def main() -> None:
    """Make the store, then measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1000, help="made-up runs, at most 1,000")
    wanted = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        uri = f"sqlite:///{folder}/mlflow.db"
        cells = list(product(range(SEEDS), DATA, DEFENSES, ATTACKS))[:wanted]
        log_seconds, _ = timed(lambda: log_all(folder / "run", uri, cells))
        read_seconds, runs = timed(lambda: logged_runs(uri, "made_up"))
        all_seconds, _ = timed(lambda: report("made_up", folder / "report", uri))
        page = folder / "report" / "index.html"
        print("| what | seconds | seconds of one core |\n|---|---:|---:|")
        rows = {f"{len(runs)} runs logged": log_seconds, "read": read_seconds}
        rows["read, computed, drawn, written"] = all_seconds
        if (browser := shutil.which("chromium") or shutil.which("google-chrome")) is not None:
            rows["page opened in Chromium, drawn"], _ = timed(lambda: opened(browser, page, folder))
        for what, (wall, core) in rows.items():
            print(f"| {what} | {wall:.1f} | {core:.1f} |")
        print(f"\nthe page weighs {page.stat().st_size / 1e6:.2f} MB")


def timed(work: Any) -> tuple[tuple[float, float], Any]:
    """Seconds by the clock, and of the processor (of child processes too)."""
    start, core = time.perf_counter(), processor()
    done = work()
    return (time.perf_counter() - start, processor() - core), done


def processor() -> float:
    """Seconds of the processor so far."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def opened(browser: str, page: Path, folder: Path) -> None:
    """Open the page, run its scripts, and make sure that the charts were drawn."""
    command = [browser, *CHROMIUM, f"--user-data-dir={folder / 'profile'}", "--dump-dom"]
    found = subprocess.run([*command, page.as_uri()], capture_output=True, text=True, check=True)
    assert 'data-ready="true"' in found.stdout


def log_all(folder: Path, uri: str, cells: list[tuple[int, str, str, str]]) -> None:
    """Log a made-up run for each cell."""
    for seed, data, defense, attack in cells:
        log(folder, uri, seed, data, defense, attack)


def log(folder: Path, uri: str, seed: int, data: str, defense: str, attack: str) -> None:
    """Write the folder of a made-up run and log it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    rows = curve(np.random.default_rng([seed, *map(ord, data + defense + attack)]), attack)
    file = CurveFile(folder / "curve.csv")
    for row in rows:
        file.add(row)
    made = Summary(
        victim="softmax",
        data=data,
        defense=defense,
        attack=attack,
        seed=seed,
        status=FINISHED,
        config_hash=f"{data}-{defense}-{attack}-{seed}",
        command=f"moatbench data={data} defense={defense} attack={attack} seed={seed}",
        knobs={"seed": seed, "victim_seed": None, "price": 1e-4, "data.name": data},
        versions={"moatbench": "made up", "python": sys.version.split()[0]},
        data_provenance={"name": data, "sha256": data, "rows": 1797, "test_share": 0.3},
        checkpoints=CHECKPOINTS,
        plan=plan(),
        kinds={defense: ["other"]},
        aware={},
        oracles=[],
        flags=[],
        name="made_up",
        summaries={attack: summary(rows)},
        victim_accuracy=0.95,
        started=time.time(),
        seconds=1.0,
    )
    made.write(folder)
    log_run(folder, uri)


def curve(rng: np.random.Generator, attack: str) -> list[dict[str, Any]]:
    """A made-up curve: fidelity grows with the log of the queries."""
    reach, noise = rng.uniform(0.6, 1.0), rng.uniform(0, 0.3)
    shares = [c.name for c in COLUMNS.values() if c.is_quality]
    paid = [c.name for c in COLUMNS.values() if c.group in ("honest", "shifted")]
    rows = []
    for queries, growth in zip(CHECKPOINTS, np.linspace(0.3, 1, len(CHECKPOINTS)), strict=True):
        row: dict[str, Any] = {"attack": attack, "queries": queries, "refused": 0}
        row |= {"dollars": queries * 1e-4, "waited": 0.0, "seconds": 1.0}
        row |= {m: float(np.clip(reach * growth + rng.normal(0, 0.01), 0, 1)) for m in shares}
        row |= dict.fromkeys(paid, float(noise)) | {"honest_refused": 0.0}
        row |= {"honest_first_alarm": float("nan"), "first_alarm": float("nan")}
        rows.append({**row, "converged": 1, "note": ""})
    return rows


if __name__ == "__main__":
    main()
