"""What each defense adds in time: 10,000 answers with it, less the victim's own.

Run: python benchmarks/defense_cost.py [--singly] [NAME ...]; without names, all of conf/defense.
One thread, processor time, the median of the rounds, in batches of 1,000 rows uniform in the input
space. On softmax, digits (d = 64, k = 10); what needs two classes, on logistic, breast_cancer.
With --singly, 1,000 answers as a run asks a stranger's defense, row by row, beside a batch:
microseconds a row, the victim's own time included.
"""

import statistics
import sys
import time
from collections.abc import Callable

import numpy as np
import quick  # noqa: F401 - reads --help
from hydra import compose, initialize_config_module
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment
from moatbench.compose.build import build_defense, options
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.judge.trail import Trail
from moatbench.randomness import stream
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import logistic, softmax

BATCH, BATCHES, ROUNDS = 1_000, 10, 3


def main(names: list[str]) -> None:
    """Print a table."""
    singly = "--singly" in names
    names = [name for name in names if name != "--singly"]
    register()
    victims = {
        "softmax, digits": softmax(bundled("digits"), stream(0, "victim")),
        "logistic, breast_cancer": logistic(bundled("breast_cancer"), stream(0, "victim")),
    }
    columns = "us a row in batches | singly" if singly else "ms for 10,000 answers"
    print(f"| defense | {columns} | on |\n|---|---:|{'---:|' * singly}---|")
    for name in names or [n for n in options("defense") if n != "none"]:
        for where, victim in victims.items():
            try:
                cells = both_ways(victim, name) if singly else f"{added(victim, name) * 1e3:.0f}"
                print(f"| {name} | {cells} | {where} |", flush=True)
                break
            except ValueError:  # the defense's need is not met: try the other victim
                continue
        else:
            print(f"| {name} | - | applies to neither victim |")


def added(victim: Victim, name: str) -> float:
    """Seconds that a defense adds to 10,000 answers; deployed afresh each round, not counted."""
    rng = np.random.default_rng(0)
    batches = [victim.space.sample(BATCH, rng) for _ in range(BATCHES)]
    seconds = []
    for _ in range(ROUNDS):
        deployment = Deployment(victim, defense_of(name), stream(0, "defense"))
        bare = timed(batches, victim.predict)
        seconds.append(timed(batches, lambda x, d=deployment: d.answer(x, "alice")) - bare)  # type: ignore[misc]
    return statistics.median(seconds)


def both_ways(victim: Victim, name: str) -> str:
    """Microseconds a row, asked in one batch and row by row."""
    x = victim.space.sample(BATCH, np.random.default_rng(0))
    cells = []
    for singly in (False, True):
        seconds = []
        for _ in range(ROUNDS):
            trail = Trail(victim, defense_of(name), stream(0, "defense"), singly=singly)
            seconds.append(timed([x], lambda x, t=trail: t.serve(x, "alice")))  # type: ignore[misc]
        cells.append(f"{statistics.median(seconds) / BATCH * 1e6:.0f}")
    return " | ".join(cells)


def timed(batches: list[Array], ask: Callable[[Array], object]) -> float:
    """Processor seconds of asking all batches."""
    start = time.process_time()
    for x in batches:
        ask(x)
    return time.process_time() - start


def defense_of(name: str) -> Defense:
    """Build a defense by name, with the knobs of its config file."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        return build_defense(compose("config", [f"defense={name}"]).defense)


if __name__ == "__main__":
    with threadpool_limits(1):
        main(sys.argv[1:])
