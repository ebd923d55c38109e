"""What the line to an isolated attack costs: queries through it, beside the same ones asked here.

Run: python benchmarks/isolation.py [--quick]. One thread. A thief buys batches of one size until
its budget is spent, once in this process and once in one of its own; starting a process and judging
are not counted, as in the column `seconds` of a run.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.learners.published import ignorant
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.types import Generator
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

SIZES = (1, 100, 1_000)
QUERIES, ROUNDS = (200, 1) if QUICK else (2_000, 5)


@dataclass(frozen=True)
class Buyer(Attack):
    """Buys so many batches of one size, and learns nothing."""

    size: int

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Ask one batch again and again."""
        api = target.api
        x = api.card.space.sample(self.size, rng)
        while api.remaining:
            api.query(x)
        yield ignorant(api.card)


def main() -> None:
    """Print a table: the median over rounds, in microseconds a query (call)."""
    # A program is no module that another process could import under the name __main__.
    from isolation import Buyer as Importable

    victim = softmax(bundled("digits"), stream(0, "victim"))
    print("| rows a query | here, µs | isolated, µs | the line, µs | a row, µs |")
    print("|---:|---:|---:|---:|---:|")
    for size in SIZES:
        calls = QUERIES if size == 1 else max(QUERIES // 10, 10)
        spent: dict[str, list[float]] = {"none": [], "process": []}
        for _ in range(ROUNDS):
            for isolation, seconds in spent.items():
                attack = Importable(size)
                run = Extraction(victim, Defense(), attack, [calls * size], isolation=isolation)
                seconds.extend(point.seconds / calls * 1e6 for point in run)
        here, apart = (statistics.median(np.array(s)) for s in spent.values())
        line = apart - here
        print(f"| {size:,} | {here:.0f} | {apart:.0f} | {line:.0f} | {line / size:.2f} |")


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
