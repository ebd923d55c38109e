"""How few confidences, and how many seconds, equation solving needs, beside the paper's Table 4.

Run: python benchmarks/solving.py [part of a row's name]. One thread; prints a table, medians of
three seeds; about ten minutes, most of it to train the victims. Seconds are the attacker's, of wall
clock and of the processor. Needs the paper's data in ../shared/data, or MOATBENCH_DATA_DIR.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import quick  # noqa: F401 - reads --help
from hydra import compose, initialize_config_module
from threadpoolctl import threadpool_limits

from moatbench.attack import Attack, Target
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.client import Surrogate
from moatbench.compose.build import instantiate
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.defenses.rounding import Rounding
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.types import Generator
from moatbench.victim import Victim

SEEDS = (0, 1, 2)
DATA_DIR = os.environ.get("MOATBENCH_DATA_DIR", Path(__file__).parents[2] / "shared" / "data")


class Row(NamedTuple):
    """What to attack with how many queries, and the paper's figures: fidelity or seconds."""

    victim: str
    data: str
    queries: int
    decimals: int | None = None
    knob: str = ""
    paper: str = ""

    @property
    def name(self) -> str:
        """For people."""
        rounded = "" if self.decimals is None else f", {self.decimals} decimals"
        return f"{self.victim} {self.knob.partition('=')[2]} {self.data}{rounded}".replace(
            "  ", " "
        )


ROWS = (
    Row("logistic", "adult_income", 109, paper="same queries"),
    Row("logistic", "mushrooms", 113, paper="same queries"),
    Row("softmax", "adult_race", 106, paper="530: 100/100, 3.1 s"),
    Row("softmax", "digits", 65, paper="650"),
    Row("softmax", "gss", 103, paper="309"),
    Row("softmax", "iris", 5, paper="15"),
    Row("softmax", "steak", 41, paper="205"),
    Row("one_vs_rest", "adult_race", 140),
    Row("one_vs_rest", "adult_race", 265, paper="99.98/99.98, 2.8 s"),
    Row("mlp", "adult_race", 900),
    Row("mlp", "adult_race", 1112, paper="98.17/94.32, 155 s"),
    Row("mlp", "adult_race", 2225, None, "victim.activation=relu", "98.68/97.23, 168 s"),
    Row("mlp", "adult_race", 2225, None, "victim.activation=logistic", "98.68/97.23, 168 s"),
    Row("kernel_logistic", "digits", 650),
    *(Row("softmax", "adult_race", q, r) for q, r in ((2650, 3), (2650, 2), (10_600, 1))),
    *(Row("softmax", "digits", q, r) for q, r in ((3250, 3), (3250, 2), (13_000, 1))),
    *(Row("one_vs_rest", "adult_race", 2650, r) for r in (3, 2)),
    *(Row("logistic", "breast_cancer", q, r) for q, r in ((620, 2), (620, 1), (1860, 1))),
)


def main() -> None:
    """Print a row as soon as it is measured."""
    asked = sys.argv[1] if len(sys.argv) > 1 else ""
    print("| victim | queries | test | uniform | TV | wall s | CPU s | the paper |")
    print("|---|---|---|---|---|---|---|---|")
    for row in (r for r in ROWS if asked in r.name):
        m = measured(row)
        fidelities = f"{100 * m['test']:.2f} | {100 * m['uniform']:.2f} | {m['tv']:.0e}"
        seconds = f"{m['wall']:.3f} | {m['cpu']:.3f}"
        print(
            f"| {row.name} | {row.queries:,} | {fidelities} | {seconds} | {row.paper} |", flush=True
        )


def measured(row: Row) -> Mapping[str, float]:
    """Medians over the seeds; `uniform` and `tv` are the worst of the judge's samples."""
    runs = []
    for seed in SEEDS:
        target = victim(row.victim, row.data, row.knob, seed)
        defense = Defense() if row.decimals is None else Rounding(row.decimals)
        attack = Timed(EquationSolving(intervals=True))
        (point,) = Extraction(target, defense, attack, [row.queries], seed)
        by_sample = {k: v for k, v in point.metrics.items() if k.startswith(("fidelity_", "tv_"))}
        test = by_sample.pop("fidelity_test")
        uniform = min(v for k, v in by_sample.items() if k.startswith("fidelity_"))
        tv = max(v for k, v in by_sample.items() if k.startswith("tv_"))
        runs.append((test, uniform, tv, point.seconds, attack.cpu))
    return dict(zip(("test", "uniform", "tv", "wall", "cpu"), np.median(runs, axis=0), strict=True))


@dataclass
class Timed(Attack):
    """Another attack, and the processor's seconds until it yields the first time."""

    attack: Attack
    cpu: float = float("nan")

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Run the attack to its only checkpoint."""
        start = time.process_time()
        surrogate = next(iter(self.attack.run(target, rng)))
        self.cpu = time.process_time() - start
        yield surrogate


@cache
def victim(family: str, data: str, knob: str, seed: int) -> Victim:
    """Train a victim of conf/."""
    choices = [
        f"victim={family}",
        f"data={data}",
        f"data_dir={DATA_DIR}",
        *([knob] if knob else []),
    ]
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", choices)
        trained: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return trained


if __name__ == "__main__":
    register()
    with threadpool_limits(1):
        main()
