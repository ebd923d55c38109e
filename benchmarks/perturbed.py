"""What is left of the literature's perturbations once their answers are inverted.

Run: python benchmarks/perturbed.py [--quick]. One thread; prints two tables, some minutes on one
core. First answer by answer, for any victim, on uniform inputs of digits: mean L1 error of the
answers as told, and of those that are restored whole; the share of rows within 1e-4, and of entries
known exactly, where the true model chooses among several origins. Then whole attacks on softmax
regression: the worst of the seeds.
"""

import time
from typing import NamedTuple

import numpy as np
from hydra import compose, initialize_config_module
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import Deployment
from moatbench.attack import Attack
from moatbench.compose.build import build_attacks, build_defense, instantiate
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.inverses.layers import inverse_of
from moatbench.inverses.origins import Origins
from moatbench.inverses.settling import nearest
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import extract
from moatbench.victim import Victim

SEEDS = (0,) if QUICK else (0, 1, 2)
ROWS = 200 if QUICK else 1300
CLOSE = 1e-4
VICTIMS = ("softmax", "mlp") if QUICK else ("softmax", "mlp", "gradient_boosting", "random_forest")
BY_ANSWER = ("mad", "mad_argmax", "grad2", "modelguard_w", "shuffle")


class Row(NamedTuple):
    """A defense, how many queries its inversion has, and what the attacker knows of its knobs."""

    defense: str
    queries: int
    knowledge: str = "exact"


ROWS_OF_ATTACKS = (
    Row("mad", 650),
    Row("mad_argmax", 1300),
    Row("modelguard_w", 1300),
    Row("grad2", 1300),
    Row("shuffle", 1300),
    Row("mad", 650, "family"),
    Row("mad_argmax", 1300, "family"),
    Row("modelguard_w", 1300, "family"),
    Row("grad2", 1300, "family"),
)


def main() -> None:
    """Print the tables."""
    register()
    print("| victim | defense | L1 told | restored | rows | entries | one origin | no origin |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    for family in VICTIMS:
        victim = victim_of(family, 0)
        for name in BY_ANSWER:
            print(f"| {family} | {name} | {restored(victim, defense_of(name))} |", flush=True)
    print()
    print("| defense | knobs | queries | test | uniform | TV, uniform | CPU seconds |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for row in ROWS_OF_ATTACKS[:1] if QUICK else ROWS_OF_ATTACKS:
        runs = [attacked(row, seed) for seed in SEEDS]
        test, uniform = (100 * min(run[i] for run in runs) for i in (0, 1))
        far, seconds = (max(run[i] for run in runs) for i in (2, 3))
        known = f"{row.defense} | {row.knowledge} | {row.queries}"
        print(f"| {known} | {test:.1f} | {uniform:.1f} | {far:.0e} | {seconds:.1f} |", flush=True)


def restored(victim: Victim, defense: Defense) -> str:
    """Tell how near inverted answers are to the truth, as the cells of a row."""
    x = victim.space.sample(ROWS, stream(0, "fresh"))
    answers = Deployment(victim, defense, stream(0, "defense")).answer(x, "customer")
    true, told, inverse = victim.predict(x).outputs, answers.outputs, inverse_of(defense)
    assert true is not None
    assert told is not None
    assert inverse is not None
    origins = inverse(Origins.of(Reply(answers.labels, told)), None)
    found, known = nearest(origins, true)
    errors, exact = np.abs(np.nan_to_num(found) - true).sum(axis=1), known.all(axis=1)
    cells = [
        f"{np.abs(told - true).sum(axis=1).mean():.2f}",
        f"{errors[exact].mean():.0e}" if exact.any() else "-",
        f"{(exact & (errors < CLOSE)).mean():.1%}",
        f"{known.mean():.1%}",
        f"{origins.certain.mean():.1%}",
        f"{(origins.counts == 0).mean():.1%}",
    ]
    return " | ".join(cells)


def attacked(row: Row, seed: int) -> tuple[float, float, float, float]:
    """Fidelity on test data and uniform inputs, total variation on these, and CPU seconds."""
    victim, start = victim_of("softmax", seed), time.process_time()
    attack = attack_of(row.knowledge)
    (point,) = extract(
        victim, defense_of(row.defense), attack, checkpoints=[row.queries], seed=seed
    )
    spent = time.process_time() - start
    metrics = point.metrics
    return metrics["fidelity_test"], metrics["fidelity_uniform"], metrics["tv_uniform"], spent


def victim_of(family: str, seed: int) -> Victim:
    """Train a victim of conf/ on digits."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", [f"victim={family}", "data=digits"])
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim


def defense_of(name: str) -> Defense:
    """Build a defense of conf/."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        return build_defense(compose("config", [f"defense={name}"]).defense)


def attack_of(knowledge: str) -> Attack:
    """Build the inversion."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", ["attack=inversion", f"attack.knowledge={knowledge}"])
    return build_attacks(cfg.attack, "inversion")["inversion"]


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
