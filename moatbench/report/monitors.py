"""What monitors saw: alarms of attackers and of honest accounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan

from moatbench.report.records import Curve
from moatbench.report.statistics import median
from moatbench.report.worst import Field, number


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
        refused: share of the attacker's queries refused, at the budget, mean.
        honest: share of honest accounts in alarm, mean.
        honest_first: least queries of an honest account at its first alarm; NaN without.
    """

    defense: str
    attack: str
    runs: int
    alarmed: int
    first: float
    fidelity: float
    refused: float
    honest: float
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
    return Watch(
        defense=defense,
        attack=attack,
        runs=len(group),
        alarmed=len(alarmed),
        first=median([first for _, first in alarmed]),
        fidelity=median([_fidelity_from(c, first) for c, first in alarmed]),
        refused=_mean([c.last["refused"] / c.last["queries"] for c in group]),
        honest=_mean([number(c.last, "honest_alarmed_accounts") for c in group]),
        honest_first=min((first for first in honest if not isnan(first)), default=nan),
    )


def _fidelity_from(curve: Curve, queries: float) -> float:
    """Fidelity at the first checkpoint that is no earlier: what the alarm came too late for."""
    return next(number(r, "fidelity_test") for r in curve.rows if r["queries"] >= queries)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else nan
