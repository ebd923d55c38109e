"""What a kernel model gives away of its training data: the representers that it answers from.

Run: python benchmarks/leakage.py [--quick]. Writes docs/leakage.png, after Figure 2 of Tramèr
et al. 2016, and prints a table; some minutes on one core.
"""

from pathlib import Path

import numpy as np
from quick import QUICK
from scipy.optimize import linear_sum_assignment
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.kernel_logistic import kernel_logistic

SEEDS = (0,) if QUICK else (0, 1, 2)
BUDGETS = (650,) if QUICK else (325, 650, 1300)
PICTURE = Path(__file__).parents[1] / "docs" / "leakage.png"


def main() -> None:
    """Print the tables and draw the picture."""
    digits = bundled("digits")
    print("| queries | seed | pixel correlation, mean | least | solved |\n|---|---|---|---|---|")
    for queries in BUDGETS:
        for seed in SEEDS:
            victim = kernel_logistic(digits, stream(seed, "victim"))
            attack = EquationSolving(intervals=True)
            (surrogate,) = run(victim, attack, (queries,), seed)
            if not surrogate.parameters:
                print(f"| {queries} | {seed} | - | - | {surrogate.note} |", flush=True)
                continue
            found = surrogate.parameters["representers"]
            true, likeness = matched(found, victim.shares.x_train)
            least = likeness.min()
            print(f"| {queries} | {seed} | {likeness.mean():.4f} | {least:.4f} | yes |", flush=True)
            if (queries, seed) == (650, 0) and not QUICK:
                draw(true, found)


def run(victim: Victim, attack: Attack, checkpoints: tuple[int, ...], seed: int) -> list[Surrogate]:
    """Attack the undefended victim; return the surrogates of all checkpoints."""
    deployment = Deployment(victim, Defense(), stream(seed, "defense"))
    api = MeteredAPI(deployment, checkpoints)
    return list(attack.run(Target(api, victim.shares.pool), stream(seed, "attack")))


def matched(found: Array, rows: Array) -> tuple[Array, Array]:
    """Match each image found to a row of its own; return the rows and the pixel correlations."""
    table = np.corrcoef(found, rows)[: len(found), len(found) :]
    places = linear_sum_assignment(-table)
    return rows[places[1]], table[places]


def draw(true: Array, found: Array) -> None:
    """Draw the training images over what was solved for."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 1.9), layout="constrained")
    rows = figure.subplots(2, len(true))
    for axes, images, name in zip(rows, (true, found), ("training", "recovered"), strict=True):
        for ax, image in zip(axes, images, strict=True):
            ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
        axes[0].set_title(name, loc="left", fontsize=9)
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
