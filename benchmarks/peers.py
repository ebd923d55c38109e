"""Our attacks beside the Adversarial Robustness Toolbox's of the same name, on the same purchases.

Run: python benchmarks/peers.py [--quick] [knockoff] [copycat] [knockoff_adaptive], or
python benchmarks/peers.py FOLDER. The first takes the `victim=cnn` of digits, the same net, pool
and budgets for both, seeds 0 to 2: agreement on test data / on uniform inputs, ours less ART's with
the 95 % interval over seeds, and processor seconds of the attack's curve (ART has none: each budget
is a run), the judge's not counted; one thread, some ten minutes. The second reads the report of
`moatbench -m experiment=art` and prints its attacks side by side, as docs/peers.md has them.
"""

import csv
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import torch
from configs import composed
from quick import QUICK

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Target
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


def attacks(names: Sequence[str]) -> None:
    """Print what each attack reaches, ART's, and by how much they differ."""
    victims = {seed: victim_of(seed) for seed in SEEDS}
    rows = []
    for name in names:
        pair = PAIRS[name]
        (ours, own), (theirs, other) = (played(victims, choice) for choice in pair)
        gains = np.moveaxis(ours - theirs, 0, -1)  # (budgets, metrics, seeds)
        rows.append([name, *cells(ours), f"{own:.0f}"])
        rows.append([f"ART's {name}", *cells(theirs), f"{other:.0f}"])
        rows.append(["ours less ART's", *map(difference, gains), f"{own / other:.2f} x"])
    print(table(["attack", *map(str, BUDGETS), "seconds a seed"], rows))


def played(victims: dict[int, Victim], choice: str) -> tuple[Array, float]:
    """(seeds, budgets, metrics) what an attack reaches, and its seconds a seed."""
    few = ["attack.steps=50"] if QUICK and "art_" in choice else []
    attack = instantiate(composed(choice, *few).attack)
    found = [_curve(victim, attack, seed) for seed, victim in victims.items()]
    return np.array([scores for scores, _ in found]), float(np.mean([took for _, took in found]))


def _curve(victim: Victim, attack: Attack, seed: int) -> tuple[list[Array], float]:
    """Return (metrics,) of each budget, and the attack's seconds: the judge's are not counted."""
    judge, seconds, found = Judge(victim, stream(seed, "judge")), 0.0, []
    api = MeteredAPI(Deployment(victim, Defense(), stream(seed, "defense")), BUDGETS)
    run = iter(attack.run(Target(api, victim.shares.pool), stream(seed, "attack")))
    for _ in BUDGETS:
        start = process_time()
        surrogate = next(run)
        seconds += process_time() - start
        scored = judge.score(surrogate)
        found.append(np.array([scored[name] for name in METRICS]))
    return found, seconds


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
    asked = sys.argv[1:]
    if set(asked) <= set(PAIRS):
        with torch.random.fork_rng(devices=[]):
            torch.set_num_threads(1)
            attacks(asked or list(PAIRS))
    else:
        of_report(Path(asked[0]))
