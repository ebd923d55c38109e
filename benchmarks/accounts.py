"""What monitors of several accounts see of a thief who asks from many in turn.

Run: python benchmarks/accounts.py [--quick] [digits|adult_income ...]. One thread; prints the table
of docs/monitors.md; about five minutes. Needs the paper's data in ../shared/data, or in
MOATBENCH_DATA_DIR.

Softmax victims, one a seed. A thief asks 500 queries in all, row by row from its accounts in turn,
beside nobody; 200 customers ask 500 rows of the test data each, ten at a time in turn. Knobs are
those of conf/defense, and nothing is tuned here.
"""

import sys
from collections.abc import Iterator, Sequence
from copy import deepcopy

import numpy as np
from configs import composed, victim_of
from quick import QUICK
from thefts import steal
from threadpoolctl import threadpool_limits

from moatbench.compose.build import build_attacks, build_defense
from moatbench.judge.customers.streams import Stream, customers
from moatbench.monitor import Monitor
from moatbench.randomness import stream
from moatbench.victim import Victim

DATA = ("digits",) if QUICK else ("digits", "adult_income")
SEEDS = (0,) if QUICK else (0, 1, 2)
MONITORS = ("linked_accounts", "joined_accounts")
ATTACKS: tuple[str, ...] = ("uniform_retraining", "adaptive_retraining", "pool_retraining")
ACCOUNTS = (1, 4, 16)
CUSTOMERS, QUERIES, TURN = 10 if QUICK else 200, 500, 10
if QUICK:
    ATTACKS = ATTACKS[:1]


def main() -> None:
    """Print a table for each data set."""
    with threadpool_limits(1):
        for data in sys.argv[1:] or DATA:
            print(f"\n{data}\n\n| monitor | customers alarmed | attack |", end="")
            print("".join(f" {n} account{'s' * (n > 1)} |" for n in ACCOUNTS))
            print("|---|---|---|" + "---|" * len(ACCOUNTS))
            for line in table([victim_of(data, seed) for seed in SEEDS]):
                print(line, flush=True)


def table(victims: Sequence[Victim]) -> Iterator[str]:
    """Yield a line a monitor and attack."""
    asked = [
        {a: theft(v, a, seed) for a in ATTACKS} for seed, v in zip(SEEDS, victims, strict=True)
    ]
    for name in MONITORS:
        monitors = [deployed(name, v, seed) for seed, v in zip(SEEDS, victims, strict=True)]
        alarmed = [
            in_turn(m, customers(v, CUSTOMERS, QUERIES, stream(seed, "customers")), TURN)[0]
            for m, v, seed in zip(monitors, victims, SEEDS, strict=True)
        ]
        shares = ", ".join(f"{100 * n / CUSTOMERS:.1f}" for n in alarmed)
        for attack in ATTACKS:
            pairs = [(m, s[attack]) for m, s in zip(monitors, asked, strict=True)]
            cells = [cell([in_turn(m, dealt(s, n), 1) for m, s in pairs], n) for n in ACCOUNTS]
            head = f"| {name} | {shares} %" if attack == ATTACKS[0] else "|  | "
            yield f"{head} | {attack} | {' | '.join(cells)} |"


def theft(victim: Victim, attack: str, seed: int) -> Stream:
    """Return the queries of an attack on the undefended victim."""
    part = build_attacks(composed(f"attack={attack}").attack, attack)[attack]
    return steal(victim, part, (100, 250, QUERIES), 100 * seed, "fidelity_test").stream


def deployed(name: str, victim: Victim, seed: int) -> Monitor:
    """Deploy a monitor as configured."""
    (monitor,) = build_defense(composed(f"defense={name}").defense).monitors
    monitor.deploy(victim, stream(seed, "defense"))
    return monitor


def dealt(whole: Stream, accounts: int) -> list[Stream]:
    """Deal the rows out to accounts in turn."""
    x, labels, stolen = whole
    return [
        Stream(x[n::accounts], labels[n::accounts], stolen[n::accounts]) for n in range(accounts)
    ]


def in_turn(monitor: Monitor, streams: Sequence[Stream], turn: int) -> tuple[int, float]:
    """Return how many accounts are alarmed, and all queries until the first; NaN without."""
    twin, alarmed, total, first = deepcopy(monitor), set[int](), 0, float("nan")
    for start in range(0, max(len(one.x) for one in streams), turn):
        for place, one in enumerate(streams):
            part = slice(start, start + turn)
            over = twin.score(one.x[part], one.labels[part], str(place)) > twin.threshold
            if over.any() and not alarmed:
                first = total + int(np.argmax(over)) + 1
            alarmed |= {place} if over.any() else set()
            total += len(over)
    return len(alarmed), first


def cell(found: Sequence[tuple[int, float]], accounts: int) -> str:
    """Say how many of the accounts are alarmed, all victims together, and the median first."""
    alarms = sum(n for n, _ in found)
    firsts = [first for _, first in found if not np.isnan(first)]
    return f"{alarms} of {accounts * len(found)}" + (
        f", at {np.median(firsts):.0f}" if firsts else ""
    )


if __name__ == "__main__":
    main()
