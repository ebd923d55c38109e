"""How far `ensemble_expansion` gets with how many queries, on one curve, beside the bars.

Run: python benchmarks/ensembles_exact.py [part of a row's name] [--quick]. One thread; prints a
table of medians over three seeds; about eight minutes. Needs the paper's data in ../shared/data, or
MOATBENCH_DATA_DIR. Fidelity in % and total variation are on test / uniform valid rows.
"""

import os
import sys
import time
from pathlib import Path

import numpy as np
from hydra import compose, initialize_config_module
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.compose.build import instantiate
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.victim import Victim

SEEDS = (0,) if QUICK else (0, 1, 2)
CHECKPOINTS = (300, 600) if QUICK else (500, 2000, 5000, 8000, 14_000, 20_000)
DATA_DIR = os.environ.get("MOATBENCH_DATA_DIR", Path(__file__).parents[2] / "shared" / "data")
SCORES = ("fidelity_test", "fidelity_uniform", "tv_test", "tv_uniform")
BARS = {
    ("adult_income", 8000): "99.8/99.4, .002/.016",
    ("adult_income", 14_000): "99.98/99.95, .0002/.0008",
    ("adult_income", 20_000): "99.98/99.98, .0001/.0002",
    ("breast_cancer", 8000): "99.4/99.0",
    ("breast_cancer", 14_000): "99.4/99.95, .001/.0002",
    ("german_credit", 14_000): "99.3/99.8, .0013/.0008",
    ("german_credit", 20_000): "99.3/99.9, .001/.0003",
}


def main() -> None:
    """Print the rows of a data set as soon as they are measured."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    print("| data | queries | fidelity | TV | bar | CPU s so far | seed 0 served |")
    print("|---|---|---|---|---|---|---|")
    for data in ("breast_cancer",) if QUICK else ("adult_income", "breast_cancer", "german_credit"):
        if asked in data:
            table(data)


def table(data: str) -> None:
    """Print the curve of one data set."""
    curves = [curve(victim(data, seed), seed) for seed in SEEDS]
    for place, queries in enumerate(CHECKPOINTS):
        points = [points[place] for points in curves]
        test, uniform, tv, tv_uniform, cpu = np.median([p[0] for p in points], axis=0)
        bar = BARS.get((data, queries), "")
        print(
            f"| {data} | {queries:,} | {100 * test:.2f}/{100 * uniform:.2f} | "
            f"{tv:.1e}/{tv_uniform:.1e} | {bar} | {cpu:.0f} | {points[0][1]} |",
            flush=True,
        )


def curve(target: Victim, seed: int) -> list[tuple[list[float], str]]:
    """Scores, seconds of the processor and note at each checkpoint."""
    started, points = time.process_time(), []
    attack = EnsembleExpansion(draws=2000, width=8)
    for point in Extraction(target, Defense(), attack, CHECKPOINTS, seed):
        scores = [float(point.metrics[name]) for name in SCORES]
        points.append(([*scores, time.process_time() - started], point.note))
    return points


def victim(data: str, seed: int) -> Victim:
    """Train gradient boosting as conf/ has it."""
    choices = ["victim=gradient_boosting", f"data={data}", f"data_dir={DATA_DIR}"]
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", choices)
        trained: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return trained


if __name__ == "__main__":
    register()
    with threadpool_limits(1):
        main()
