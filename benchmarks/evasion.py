"""What monitors make of a thief that hides: many accounts, benign rows, a copy of the monitor.

Run: python benchmarks/evasion.py [--quick] [digits|adult_income ...] [MONITOR ...]. One thread;
prints a table of docs/monitors.md, or the lines of some monitors; about twenty minutes. Needs the
paper's data in ../shared/data, or in MOATBENCH_DATA_DIR.

Softmax victims, one a seed; adaptive retraining, 500 queries in all, hidden as the columns say.
Each monitor is as in conf/defense, and refuses who is in alarm. Nothing is tuned here.
"""

import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from configs import composed, victim_of
from monitors import PARTS
from quick import QUICK
from threadpoolctl import threadpool_limits

from moatbench.api import MeteredAPI
from moatbench.attack import Known, Target
from moatbench.attacks.evasion import Evasion
from moatbench.compose.build import build_attacks, build_defense
from moatbench.defense import Defense, evidence_of
from moatbench.judge.customers.caught import Verdict
from moatbench.judge.judge import Judge
from moatbench.judge.trail import Trail
from moatbench.randomness import stream
from moatbench.victim import Victim

DATA = ("digits",) if QUICK else ("digits", "adult_income")
SEEDS = (0,)
CHECKPOINTS = (100, 200, 500)
MONITORS: tuple[str, ...] = (
    "prada",
    "vardetect",
    "vardetect_ratio (ours)",
    "label_margin (ours)",
    "extraction_warning",
    "hoda, sliding (ours)",
    "seat, first close (ours)",
    "dadd",
    "linked_accounts",
)
ACCOUNTS: tuple[int, ...] = (1, 4, 16)
HIDDEN = {  # column: share of benign rows, whether rows are tried on a copy
    "0 % benign": (0.0, False),
    "50 %": (0.5, False),
    "90 %": (0.9, False),
    "0 %, matched": (0.0, True),
    "50 %, matched": (0.5, True),
}
if QUICK:
    MONITORS, ACCOUNTS = MONITORS[:1], (1, 4)
    HIDDEN = {"0 % benign": (0.0, False)}


def main() -> None:
    """Print the tables, one data set after the other."""
    with threadpool_limits(1):
        monitors = [name for name in sys.argv[1:] if name in MONITORS] or MONITORS
        for data in [name for name in sys.argv[1:] if name not in MONITORS] or DATA:
            print(f"\n{data}\n\n| monitor | customers alarmed | accounts | {' | '.join(HIDDEN)} |")
            print("|---|---|---:|" + "---|" * len(HIDDEN))
            victims = {seed: victim_of(data, seed) for seed in SEEDS}
            for monitor in monitors:
                for line in lines(monitor, victims):
                    print(line, flush=True)


def lines(monitor: str, victims: dict[int, Victim]) -> Iterator[str]:
    """Yield a row for each number of accounts."""
    for accounts in ACCOUNTS:
        cells = []
        for benign, matched in HIDDEN.values():
            found = [play(v, s, monitor, accounts, benign, matched) for s, v in victims.items()]
            cells.append(cell(found, accounts))
        alarmed = np.mean([one["customers_alarmed"] for one in found])
        first = accounts == ACCOUNTS[0]
        head = f"| {monitor} | {alarmed:.1%} " if first else "|  |  "
        yield f"{head}| {accounts} | {' | '.join(cells)} |"


def cell(found: list[dict[str, float]], accounts: int) -> str:
    """Mean fidelity at the budget; accounts in alarm, all runs together; accounts for 95 %."""
    fidelity = np.mean([one["fidelity"] for one in found])
    alarms = sum(int(one["alarms"]) for one in found)
    needed = [one["accounts_for_95"] for one in found]
    median = "-" if np.isnan(needed).any() else f"{np.median(needed):.0f}"
    return f"{fidelity:.3f}, {alarms} of {accounts * len(found)}, {median}"


def play(
    victim: Victim, seed: int, monitor: str, accounts: int, benign: float, matched: bool
) -> dict[str, float]:
    """Run the attack once, without the honest traffic of a run."""
    defense, attack = parts(monitor)
    knobs: dict[str, Any] = {"accounts": accounts, "benign": benign, "matched": matched}
    attack, known = replace(attack, **knobs), Known(deepcopy(defense))
    trail = Trail(victim, defense, stream(seed, "defense"), singly=False)
    api = MeteredAPI(trail, CHECKPOINTS)
    judge, curve = Judge(victim, stream(seed, "judge")), []
    target = Target(api, victim.shares.pool, known)
    for surrogate in attack.run(target, stream(seed, "attack")):
        curve.append((api.queries, judge.score(surrogate)["fidelity_test"]))
    verdict = verdict_of(victim, seed, monitor).of(trail, api.per_account, curve)
    alarms = len(evidence_of(defense).alarms.keys() & api.per_account.keys())
    return {**verdict, "fidelity": curve[-1][1], "alarms": alarms}


VERDICTS: dict[tuple[int, int, str], Verdict] = {}


def verdict_of(victim: Victim, seed: int, monitor: str) -> Verdict:
    """Return the one that knows the customers' scores already, where there is one."""
    key = id(victim), seed, monitor
    if key not in VERDICTS:
        VERDICTS[key] = Verdict(victim, parts(monitor)[0], seed, singly=False)
    return VERDICTS[key]


@cache
def parts(monitor: str) -> tuple[Defense, Evasion]:
    """Build the defense and the attack, once."""
    cfg = composed(*PARTS.get(monitor, (f"defense={monitor}",)), "attack=evasion")
    attack = build_attacks(cfg.attack, "evasion")["evasion"]
    assert isinstance(attack, Evasion)
    return build_defense(cfg.defense), attack


if __name__ == "__main__":
    main()
