"""Model inversion on digits: through an extracted model beside straight through the API.

Run: python benchmarks/inversion.py [--quick]. Writes docs/inversion.png and prints a table; some
minutes on one core. For each budget: how sure the victim itself is of the prototypes (Fredrikson
et al. 2015; Tramèr et al. 2016, sec. 5, whose follow-up extracts first), medians of three seeds.
"""

from pathlib import Path

import numpy as np
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.model_inversion import ModelInversion
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax
from moatbench.victims.mlp import mlp

SEEDS = (0,) if QUICK else (0, 1, 2)
SURE = 0.9
MODES = ("extraction", "black_box")
BUDGETS = (20, 65, 85) if QUICK else (10, 20, 30, 40, 65, 75, 85, 130, 200, 390, 650)
SHOWN = (("extraction", 20), ("extraction", 65), ("black_box", 65), ("black_box", 85))
PICTURE = Path(__file__).parents[1] / "docs" / "inversion.png"


def main() -> None:
    """Print the table and draw the picture."""
    digits = bundled("digits")
    pictures: dict[str, Array] = {}
    curves: dict[str, dict[str, Array]] = {}
    print(f"| victim | mode | queries until it is {SURE:.0%} sure of all ten | of the first |")
    print("|---|---|---|---|")
    for name, train in (("softmax", softmax), ("mlp", mlp)):
        victims, curves[name] = [], {}
        for seed in SEEDS:
            victims.append(train(digits, stream(seed, "victim")))
        for mode in MODES:
            runs = [climbed(v, mode, s) for v, s in zip(victims, SEEDS, strict=True)]
            sure = np.array(
                [[confidences(v, p) for p in run] for v, run in zip(victims, runs, strict=True)]
            )
            ten, first = (first_at(t) for t in (sure.min(axis=2), sure.max(axis=2)))
            print(f"| {name} | {mode} | {ten} | {first} |", flush=True)
            curves[name][mode] = np.median(sure.min(axis=2), axis=0)
            if name == "softmax":
                wanted = [q for m, q in SHOWN if m == mode]
                pictures |= {f"{mode}, {q}": runs[0][BUDGETS.index(q)] for q in wanted}
    if not QUICK:
        draw(pictures, curves)


def climbed(victim: Victim, mode: str, seed: int) -> list[Array]:
    """(k, d) prototypes at each budget."""
    attack = ModelInversion(mode, step=0.01, length=0.2, goal=0.95, rounds=200)
    api = MeteredAPI(Deployment(victim, Defense(), stream(seed, "defense")), BUDGETS)
    run = attack.run(Target(api, victim.shares.pool), stream(seed, "attack"))
    return [surrogate.parameters["prototypes"] for surrogate in run]


def confidences(victim: Victim, prototypes: Array) -> Array:
    """(k,) how sure the victim is of each class's prototype."""
    outputs = victim.predict(prototypes).outputs
    assert outputs is not None
    return np.asarray(outputs.diagonal())


def first_at(table: Array) -> str:
    """Name the median budget, and the range, at which a confidence (seeds, budgets) suffices."""
    reached = [
        float(BUDGETS[int(np.argmax(row >= SURE))]) if row.max() >= SURE else np.inf
        for row in table
    ]
    return f"{np.median(reached):,.0f} ({min(reached):,.0f} to {max(reached):,.0f})"


def draw(pictures: dict[str, Array], curves: dict[str, dict[str, Array]]) -> None:
    """Draw prototypes, and the least confidence among the classes against queries."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6.4), layout="constrained")
    grid = figure.add_gridspec(2, 1, height_ratios=(1.2, 1))
    upper, lower = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    rows = upper.subplots(len(pictures), 10)
    for axes, (name, images) in zip(rows, pictures.items(), strict=True):
        for ax, image in zip(axes, images, strict=True):
            ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
        label = name.replace("_", " ").replace(", ", "\n") + " queries"
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=9)
    for ax, (victim, modes) in zip(lower.subplots(1, len(curves)), curves.items(), strict=True):
        for (mode, values), marker in zip(modes.items(), "os", strict=True):
            label = mode.replace("_", " ")
            ax.plot(BUDGETS, values, marker=marker, markersize=3, label=label)
        ax.axhline(SURE, color="0.6", linewidth=0.8, linestyle=":")
        ax.set(xscale="log", xlabel="queries", ylim=(-0.02, 1.02), title=f"{victim} on digits")
    lower.axes[0].set_ylabel("victim's confidence,\nleast of ten prototypes")
    lower.axes[-1].legend(frameon=False, loc="lower right")
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
