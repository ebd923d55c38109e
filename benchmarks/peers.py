"""Our attacks beside the Adversarial Robustness Toolbox's of the same name, on the same purchases.

Run: python benchmarks/peers.py [--quick], or python benchmarks/peers.py FOLDER. The first takes the
`victim=cnn` of digits, the same net, pool and budgets for both, seeds 0 to 2: agreement on test
data / on uniform inputs, ours less ART's with the 95 % interval over seeds, and processor seconds
of the curve (ART has none: each budget is a run); one thread, some ten minutes. The second reads
the report of `moatbench -m experiment=art` and prints its attacks side by side, as docs/peers.md
has them.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch
from configs import composed
from quick import QUICK

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.compose.build import instantiate
from moatbench.defense import Defense
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.report.measure.statistics import t_interval
from moatbench.reproduce.markdown import table
from moatbench.types import Array
from moatbench.victim import Victim

BUDGETS = (20, 60) if QUICK else (100, 650, 2600)
SEEDS = (0,) if QUICK else (0, 1, 2)
METRICS = ("fidelity_test", "fidelity_uniform")
PAIRS = {
    "knockoff": ("attack=knockoff", "attack=art_knockoff"),
    "copycat": ("attack=copycat", "attack=art_copycat"),
    "knockoff_adaptive": ("attack=knockoff_adaptive", "attack=art_knockoff_adaptive"),
}


def attacks() -> None:
    """Print what each attack reaches, ART's, and by how much they differ."""
    victims = {seed: victim_of(seed) for seed in SEEDS}
    rows = []
    for name, pair in PAIRS.items():
        (ours, own), (theirs, other) = (played(victims, choice) for choice in pair)
        gains = np.moveaxis(ours - theirs, 0, -1)  # (budgets, metrics, seeds)
        rows.append([name, *cells(ours), f"{own:.0f}"])
        rows.append([f"ART's {name}", *cells(theirs), f"{other:.0f}"])
        rows.append(["ours less ART's", *map(difference, gains), f"{own / other:.2f} x"])
    print(table(["attack", *map(str, BUDGETS), "seconds a seed"], rows))


def played(victims: dict[int, Victim], choice: str) -> tuple[Array, float]:
    """(seeds, budgets, metrics) what an attack reaches, and its seconds a seed."""
    few = ["attack.steps=50"] if QUICK and "art_" in choice else []
    attack, start = instantiate(composed(choice, *few).attack), process_time()
    found = [list(_curve(victim, attack, seed)) for seed, victim in victims.items()]
    return np.array(found), (process_time() - start) / len(victims)


def _curve(victim: Victim, attack: object, seed: int) -> Iterator[Array]:
    judge = Judge(victim, stream(seed, "judge"))
    api = MeteredAPI(Deployment(victim, Defense(), stream(seed, "defense")), BUDGETS)
    run = attack.run(Target(api, victim.shares.pool), stream(seed, "attack"))  # type: ignore[attr-defined]
    for _, surrogate in zip(BUDGETS, run, strict=False):
        scored = judge.score(surrogate)
        yield np.array([scored[name] for name in METRICS])


def victim_of(seed: int) -> Victim:
    """Train the victim."""
    few = ["+victim.training.steps=100"] if QUICK else []
    cfg = composed("data=digits", "victim=cnn", *few)
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim


def cells(found: Array) -> list[str]:
    """Write the means over seeds, a cell a budget."""
    return [" / ".join(f"{value:.3f}" for value in row) for row in found.mean(axis=0)]


def difference(gains: Array) -> str:
    """Write the mean and half the interval of each metric's differences (metrics, seeds)."""
    told = []
    for one in gains:
        found = t_interval(one)
        half = (found.high - found.low) / 2
        told.append(f"{found.mean:+.3f}" + ("" if np.isnan(half) else f" +- {half:.3f}"))
    return " / ".join(told)


def of_report(folder: Path) -> None:
    """Print the attacks of a report side by side: test / uniform, means over seeds."""
    found: dict[tuple[str, ...], list[Array]] = defaultdict(list)
    with (folder / "curves.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            key = tuple(row[name] for name in ("victim", "defense", "queries", "attack"))
            found[key].append(np.array([float(row[metric]) for metric in METRICS]))
    names = [n for n in dict.fromkeys(key[3] for key in found) if n != "worst_case"]
    cases = list(dict.fromkeys(key[:3] for key in found))
    print(table(["victim", "defense", "queries", *names], [_line(c, names, found) for c in cases]))


def _line(
    case: tuple[str, ...], names: Sequence[str], found: dict[tuple[str, ...], list[Array]]
) -> list[str]:
    means = [np.mean(found[*case, n], axis=0) if (*case, n) in found else None for n in names]
    told = ["-" if m is None else " / ".join(f"{value:.3f}" for value in m) for m in means]
    return [*case, *told]


if __name__ == "__main__":
    if folders := [argument for argument in sys.argv[1:] if not argument.startswith("--")]:
        of_report(Path(folders[0]))
    else:
        with torch.random.fork_rng(devices=[]):
            torch.set_num_threads(1)
            attacks()
