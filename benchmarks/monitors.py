"""Which monitors tell thieves from customers, after how many queries, and what is stolen by then.

Run: python benchmarks/monitors.py [--quick] [digits|adult_income ...] [MONITOR ...]. One thread;
prints the tables of docs/monitors.md, or the lines of some monitors; about ten minutes. Needs the
paper's data in ../shared/data, or in MOATBENCH_DATA_DIR.

Softmax victims, one a seed. An account is 500 queries, of customers and thieves alike, since a
longer one is alarmed more often whoever holds it: 200 customers ask rows of the test data (digits:
of 539, so that they differ little); a thief who mixes benign rows of its pool in asks the fewer of
its own. Every monitor sees the same recorded streams, so that a response could not change them.
Knobs are those of conf/defense, and nothing is tuned here.
"""

import sys
from collections.abc import Iterator, Sequence

import numpy as np
from configs import composed, victim_of
from quick import QUICK
from thefts import Detection, Theft, detection, first_alarm, mixed, scores, steal
from threadpoolctl import threadpool_limits

from moatbench.compose.build import build_attacks, build_defense
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.extraction_warning import ExtractionWarning
from moatbench.judge.customers.streams import Stream, customers, threshold_at
from moatbench.monitor import Monitor
from moatbench.randomness import stream
from moatbench.types import Generator
from moatbench.victim import Victim

DATA = ("digits",) if QUICK else ("digits", "adult_income")
SEEDS = (0,) if QUICK else (0, 1, 2)  # of victims
THEFTS = 1 if QUICK else 3  # of each attack on each victim
ATTACKS = {  # name in the table: what is chosen on the command line
    "equation_solving": ("attack=equation_solving",),
    "uniform_retraining": ("attack=uniform_retraining",),
    "the same, valid rows": ("attack=uniform_retraining", "attack.inputs=valid"),
    "adaptive_retraining": ("attack=adaptive_retraining",),
}
MIXING = (0.0, 0.5, 0.9)
ACCOUNTS, QUERIES = 10 if QUICK else 200, 500
CHECKPOINTS = (*range(10, 150, 10), *range(150, QUERIES + 1, 25))
RATE = 0.01
METRIC = "fidelity_test"
FIRST_CLOSE = ("neighbours=5", "close=1", "memory=500", "threshold_from=calibrated")
SLIDING = ("epochs=50", "spacing=geometric", "when=sliding", "calibration.false_positives=0.01")
LONGER = ("calibration.horizon=500", "calibration.accounts=200")
PARTS: dict[str, tuple[str, ...]] = {  # name in the table: what is chosen on the command line
    "prada": ("defense=prada",),
    "information_gain": ("defense=extraction_warning",),
    "coverage": ("defense=extraction_warning",),
    "label_margin (ours)": ("defense=label_margin",),
    "seat": ("defense=seat",),
    "seat, first close (ours)": (
        "defense=seat",
        *(f"defense.seat.monitor.{knob}" for knob in FIRST_CLOSE),
    ),
    "vardetect": ("defense=vardetect",),
    "vardetect_ratio (ours)": ("defense=vardetect_ratio",),
    "hoda": ("defense=hoda",),
    "hoda, sliding (ours)": (
        "defense=hoda",
        *(f"defense.hoda.monitor.{knob}" for knob in (*SLIDING, *LONGER)),
    ),
    "dadd": ("defense=dadd",),
}
if QUICK:
    ATTACKS = {"uniform_retraining": ATTACKS["uniform_retraining"]}
    PARTS = {"prada": PARTS["prada"]}
Cell = tuple[str, str, float, str]  # setting, monitor, share of benign rows, attack


def main() -> None:
    """Print the tables, one data set after the other."""
    with threadpool_limits(1):
        monitors = [name for name in sys.argv[1:] if name in PARTS] or list(PARTS)
        for data in [name for name in sys.argv[1:] if name not in PARTS] or DATA:
            for line in table(data, monitors):
                print(line, flush=True)


def table(data: str, monitors: Sequence[str]) -> Iterator[str]:
    """Yield the table's lines: as configured, then at `RATE` of customers alarmed."""
    results: dict[tuple[str, str, float, str], list[Detection]] = {}
    alarmed: dict[tuple[str, str], list[float]] = {}
    for seed in SEEDS:
        victim = victim_of(data, seed)
        thefts = {a: [theft(victim, a, seed, i) for i in range(THEFTS)] for a in ATTACKS}
        hidden = {
            (attack, share): [
                hide(t.stream, victim, share, stream(seed, f"mix-{attack}-{i}"))
                for i, t in enumerate(thefts[attack])
            ]
            for attack in ATTACKS
            for share in MIXING
        }
        benign = customers(victim, ACCOUNTS, QUERIES, stream(seed, "customers"))
        for name in monitors:
            monitor, threshold = monitor_of(name, victim, seed)
            usual = scores(monitor, benign, "customer")
            limits = {"as configured": threshold, "at 1 %": threshold_at(usual, RATE)}
            for setting, limit in limits.items():
                share_alarmed = np.mean([not np.isnan(first_alarm(s, limit)) for s in usual])
                alarmed.setdefault((setting, name), []).append(float(share_alarmed))
            for (attack, share), streams in hidden.items():
                found = scores(monitor, streams, f"{attack}-{share}")
                for setting, limit in limits.items():
                    caught = detection(thefts[attack], streams, found, limit)
                    results.setdefault((setting, name, share, attack), []).append(caught)
    for setting in ("as configured", "at 1 %"):
        yield f"\n{data}, {setting}\n"
        yield from rows(setting, monitors, results, alarmed)


def rows(
    setting: str,
    monitors: Sequence[str],
    results: dict[Cell, list[Detection]],
    alarmed: dict[tuple[str, str], list[float]],
) -> Iterator[str]:
    """Yield a row a monitor and share of benign rows; a cell an attack."""
    yield "| monitor | customers alarmed | benign rows | " + " | ".join(ATTACKS) + " |"
    yield "|---|---|---|" + "---|" * len(ATTACKS)
    for name in monitors:
        for share in MIXING:
            cells = [cell(results[setting, name, share, attack]) for attack in ATTACKS]
            customers_alarmed = f"{np.mean(alarmed[setting, name]):.1%}" if not share else ""
            label = name if not share else ""
            yield f"| {label} | {customers_alarmed} | {share:.0%} | " + " | ".join(cells) + " |"


def cell(found: Sequence[Detection]) -> str:
    """Say what was caught, after how many queries, with what fidelity; medians over the victims."""
    caught = np.mean([one.caught for one in found])
    if not caught:
        return "0 %"
    queries = np.nanmedian([one.queries for one in found])
    known = [one.fidelity for one in found if not np.isnan(one.fidelity)]
    held = f"{np.median(known):.3f}" if known else "none yet"
    return f"{caught:.0%}, {queries:.0f}, {held}"


def hide(theft: Stream, victim: Victim, share: float, rng: Generator) -> Stream:
    """Mix benign rows in; the account ends with its last query."""
    hidden = mixed(theft, victim, share, rng)
    return Stream(hidden.x[:QUERIES], hidden.labels[:QUERIES], hidden.stolen[:QUERIES])


def theft(victim: Victim, attack: str, seed: int, repeat: int) -> Theft:
    """Run an attack once."""
    name = ATTACKS[attack][0].removeprefix("attack=")
    part = build_attacks(composed(*ATTACKS[attack]).attack, name)[name]
    return steal(victim, part, CHECKPOINTS, 100 * seed + repeat, METRIC)


def monitor_of(name: str, victim: Victim, seed: int) -> tuple[Monitor, float]:
    """Deploy a monitor as configured; return it with its threshold."""
    defense = build_defense(composed(*PARTS[name]).defense)
    assert isinstance(defense, QueryMonitoring)
    monitor = defense.monitor
    if isinstance(monitor, ExtractionWarning):
        knobs = (monitor.leaves, monitor.check_every, monitor.growth, monitor.calibration)
        monitor = ExtractionWarning(name, *knobs)
    monitor.deploy(victim, stream(seed, "defense"))
    return monitor, monitor.threshold


if __name__ == "__main__":
    main()
