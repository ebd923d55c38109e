"""What monitors make of questions to tree ensembles: a committee's, and those of exact extraction.

Run: python benchmarks/ensemble_monitors.py [--quick]. One thread, some ten minutes; prints a table
of docs/monitors.md. Gradient boosting on breast_cancer, seed 0; each monitor is as in conf/defense
and refuses who is in alarm. "Plain" asks from one account, "hidden" is `evasion` as in conf/attack:
16 accounts, each row tried on a copy of the monitor first. A cell is fidelity on test / on uniform
rows at the last of the checkpoints, then how many accounts are in alarm, and the query of its
account at which the first alarm sounded.
"""

from copy import deepcopy

from configs import composed
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import MeteredAPI
from moatbench.attack import Known, Target
from moatbench.attacks.evasion import Evasion
from moatbench.compose.build import build_attacks, build_defense, instantiate
from moatbench.defense import evidence_of
from moatbench.judge.judge import Judge
from moatbench.judge.trail import Trail
from moatbench.randomness import stream
from moatbench.victim import Victim

DATA, SEED = "wine" if QUICK else "breast_cancer", 0
CHECKPOINTS = (60,) if QUICK else (500, 2000)
MONITORS = ("quota",) if QUICK else ("none", "quota", "prada", "seat", "extraction_warning")
ATTACKS = ("committee_retraining", "ensemble_expansion")[QUICK:]
WAYS = {"plain": (1, False), "hidden": (16, True)}  # accounts, whether rows are tried on a copy


def main() -> None:
    """Print a line for each monitor and attack."""
    print(f"| monitor | attack | {' | '.join(WAYS)} |\n|---|---|{'---|' * len(WAYS)}")
    with threadpool_limits(1):
        cfg = composed(f"data={DATA}", "victim=gradient_boosting")
        victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(SEED, "victim"))
        for monitor in MONITORS:
            for attack in ATTACKS:
                cells = [played(victim, monitor, attack, *way) for way in WAYS.values()]
                print(f"| {monitor} | {attack} | {' | '.join(cells)} |", flush=True)


def played(victim: Victim, monitor: str, inner: str, accounts: int, matched: bool) -> str:
    """Run once and say what came of it."""
    hidden = build_attacks(composed(f"attack={inner}").attack, inner)[inner]
    attack = Evasion(hidden, accounts, "round_robin", 0.0, matched)
    defense = build_defense(composed(f"defense={monitor}").defense)
    known = Known(deepcopy(defense))
    trail = Trail(victim, defense, stream(SEED, "defense"), singly=False)
    target = Target(MeteredAPI(trail, CHECKPOINTS), victim.shares.pool, known)
    judge, scores = Judge(victim, stream(SEED, "judge")), dict[str, float]()
    for surrogate in attack.run(target, stream(SEED, "attack")):
        scores = judge.score(surrogate)
    alarms = evidence_of(defense).alarms
    first = f", at {min(alarms.values())}" if alarms else ""
    fidelity = f"{100 * scores['fidelity_test']:.1f}/{100 * scores['fidelity_uniform']:.1f}"
    return f"{fidelity}; {len(alarms)} of {accounts}{first}"


if __name__ == "__main__":
    main()
