"""What monitors saw: alarms of attackers and of honest accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

from moatbench.report.measure.statistics import median
from moatbench.report.measure.worst import Field, number
from moatbench.report.select.records import Curve, base_name


@dataclass(frozen=True)
class Watch:
    """Alarms under one defense and attack, over the seeds.

    Args:
        defense: its name.
        attack: its name.
        runs: how many.
        alarmed: runs in which an account of the attacker's was in alarm.
        first: median queries at the attacker's first alarm, over the runs with one; NaN without.
        fidelity: median fidelity on test data at the first checkpoint from that alarm on.
        caught: share of the attacker's accounts that the least threshold catches which alarms at
            most 1 % of 200 customers, mean; NaN where no run tells.
        asked: median queries of all its accounts together until that alarm.
        held: median fidelity of the last surrogate before it, over the runs with one.
        accounts: median accounts for 95 % fidelity, over the runs that reached it.
        reached: runs that did, and tell the accounts.
        refused: share of the attacker's queries refused, at the budget, mean.
        honest: share of honest accounts in alarm, mean.
        customers: share of 200 customers in alarm, on a twin of the deployment, mean.
        honest_first: least queries of an honest account at its first alarm; NaN without.
    """

    defense: str
    attack: str
    runs: int
    alarmed: int
    first: float
    fidelity: float
    caught: float
    asked: float
    held: float
    accounts: float
    reached: int
    refused: float
    honest: float
    customers: float
    honest_first: float


def watches(field: Field) -> list[Watch]:
    """A row for each attack on each defense that watches, or that any account set off."""
    return [
        _watch(defense, attack, group)
        for defense in field.defenses
        if any(_watched(c) for group in field.against(defense).values() for c in group)
        for attack, group in field.against(defense).items()
    ]


def _watched(curve: Curve) -> bool:
    """Whether the defense has a monitor (a knob of one), or anybody was in alarm."""
    knobs = curve.run.summary["knobs"]
    if any(
        key.startswith("defense.") and {"monitor", "response"} & set(key.split("."))
        for key in knobs
    ):
        return True
    alarms = number(curve.last, "first_alarm"), number(curve.last, "honest_first_alarm")
    return not all(isnan(alarm) for alarm in alarms)


def _watch(defense: str, attack: str, group: Sequence[Curve]) -> Watch:
    firsts = [number(c.last, "first_alarm") for c in group]
    alarmed = [(c, first) for c, first in zip(group, firsts, strict=True) if not isnan(first)]
    honest = [number(c.last, "honest_first_alarm") for c in group]
    accounts = _told(group, "accounts_for_95")
    return Watch(
        defense=defense,
        attack=attack,
        runs=len(group),
        alarmed=len(alarmed),
        first=median([first for _, first in alarmed]),
        fidelity=median([_fidelity_from(c, first) for c, first in alarmed]),
        caught=_mean(_told(group, "tpr_at_1_percent")),
        asked=median(_told(group, "queries_to_first_alarm")),
        held=median(_told(group, "fidelity_at_first_alarm")),
        accounts=median(accounts),
        reached=len(accounts),
        refused=_mean([c.last["refused"] / c.last["queries"] for c in group]),
        honest=_mean([number(c.last, "honest_alarmed_accounts") for c in group]),
        customers=_mean(_told(group, "customers_alarmed")),
        honest_first=min((first for first in honest if not isnan(first)), default=nan),
    )


def _told(group: Sequence[Curve], measure: str) -> list[float]:
    """What the runs say of their attack's detection, where they do."""
    told = []
    for curve in group:
        summaries = curve.run.summary["summaries"]
        value = summaries.get(base_name(curve.attack), {}).get(f"detection_{measure}")
        told += [] if value is None else [float(value)]
    return told


def _fidelity_from(curve: Curve, queries: float) -> float:
    """Fidelity at the first checkpoint that is no earlier: what the alarm came too late for."""
    return next(number(r, "fidelity_test") for r in curve.rows if r["queries"] >= queries)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else nan
