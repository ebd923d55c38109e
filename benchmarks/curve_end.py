"""Whether a point of a curve depends on where the curve ends: noisy and rounded answers, tuned.

Run: python benchmarks/curve_end.py [--quick]. One thread, about two minutes. Each row attacks the
same victims with a curve that ends at some queries, and with one that goes on to four times as
many; prints fidelity on test data at the first, means of three seeds. The two must be equal.
"""

from collections.abc import Sequence

import numpy as np
from configs import composed, victim_of
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.compose.build import build_attacks, build_defense
from moatbench.runner.extract import Extraction

NOISE = ("defense=gaussian_noise", "defense.gaussian_noise.sigma=0.2")
ROWS = (
    ("equation_solving", "digits", NOISE, 650),
    ("equation_solving", "five_class", ("defense=rounding", "defense.rounding.decimals=1"), 420),
    ("tuned", "digits", ("defense=none",), 325),
    ("adaptive_retraining", "digits", ("defense=label_only",), 325),
)
QUICK_ROWS = (("equation_solving", "iris", ("defense=gaussian_noise",), 20),)
SEEDS = (0, 1, 2)
LONGER = 4


def main() -> None:
    """Print a row as soon as it is measured."""
    print("| attack | data, defense | queries | ends there | goes on |\n|---|---|---:|---:|---:|")
    for attack, data, defense, queries in QUICK_ROWS if QUICK else ROWS:
        short, long = (
            fidelity(attack, data, defense, points)
            for points in ([queries], [queries, LONGER * queries])
        )
        print(
            f"| {attack} | {data}, {', '.join(defense)} | {queries} | {short:.4f} | {long:.4f} |",
            flush=True,
        )


def fidelity(attack: str, data: str, defense: Sequence[str], checkpoints: list[int]) -> float:
    """Mean fidelity on test data at the first checkpoint of a curve."""
    found = []
    for seed in SEEDS[: 1 if QUICK else None]:
        cfg = composed(f"data={data}", f"attack={attack}", *defense)
        extraction = Extraction(
            victim_of(data, seed),
            build_defense(cfg.defense),
            build_attacks(cfg.attack, attack)[attack],
            checkpoints,
            seed,
        )
        found.append(next(iter(extraction)).metrics["fidelity_test"])
    return float(np.mean(found))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
