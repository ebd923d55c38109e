"""The worst case over attacks, a defense's score, at every checkpoint and for each seed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan, nan
from typing import Any, NamedTuple

from moatbench.record.columns import SMALLER, column
from moatbench.record.curve import Row, worst_case
from moatbench.report.measure.bootstrap import clustered_interval, mean_of_means
from moatbench.report.measure.statistics import Interval
from moatbench.report.select.records import Curve, Selection, Setting
from moatbench.verdict.case import UNDEFENDED as UNDEFENDED


class Worst(NamedTuple):
    """The worst over the attacks of the mean over the seeds.

    Args:
        value: the mean with its interval.
        attack: that it is of, the first of equals.
        equal: how many others have the same mean.
    """

    value: Interval
    attack: str
    equal: int = 0

    def __str__(self) -> str:
        return f"{self.attack} +{self.equal}" if self.equal else self.attack


@dataclass(frozen=True)
class Field:
    """The curves of one setting, by defense and attack.

    Args:
        setting: victim and data.
        curves: (defense, attack) to the curves, one a seed.
        skips: (defense, attack) to the reason why the attack does not apply.
        confirmations: (defense, attack) to the curves of reruns, on seeds that chose nothing.
    """

    setting: Setting
    curves: Mapping[tuple[str, str], Sequence[Curve]]
    skips: Mapping[tuple[str, str], str]
    confirmations: Mapping[tuple[str, str], Sequence[Curve]] = field(default_factory=dict)

    @property
    def defenses(self) -> list[str]:
        """Defenses, the undefended API first."""
        names = dict.fromkeys(defense for defense, _ in (*self.curves, *self.skips))
        return sorted(names, key=lambda name: name != UNDEFENDED)

    @property
    def attacks(self) -> list[str]:
        """Attacks, in order of appearance."""
        return list(dict.fromkeys(attack for _, attack in (*self.curves, *self.skips)))

    @property
    def ran(self) -> list[str]:
        """Attacks that drew a curve against some defense."""
        return list(dict.fromkeys(attack for _, attack in self.curves))

    @property
    def seeds(self) -> list[str]:
        """Seeds of any run of the setting."""
        return list(dict.fromkeys(c.seed for group in self.curves.values() for c in group))

    @property
    def victims(self) -> list[str]:
        """Seeds of the victims: a fixed one serves several seeds."""
        return list(dict.fromkeys(c.victim for group in self.curves.values() for c in group))

    @property
    def checkpoints(self) -> list[int]:
        """Cumulative queries, the last is the budget."""
        first = next(iter(self.curves.values()))[0]
        return [int(row["queries"]) for row in first.rows]

    @property
    def regression(self) -> bool:
        """Whether the victim answers values, not classes."""
        return all(isnan(number(c.last, "accuracy")) for g in self.curves.values() for c in g)

    @cached_property
    def worst_of_seeds(self) -> dict[str, dict[str, list[Row]]]:
        """For each defense and seed the worst-case curve."""
        return {
            d: worst_of_each_seed(against) for d in self.defenses if (against := self.against(d))
        }

    def against(self, defense: str) -> dict[str, Sequence[Curve]]:
        """The curves of every attack that was measured against a defense."""
        return {attack: group for (name, attack), group in self.curves.items() if name == defense}


def fields(selection: Selection) -> list[Field]:
    """Sort the curves by setting."""
    return [
        Field(
            setting,
            _grouped(c for c in selection.curves if c.setting == setting),
            {(s.defense, s.attack): s.reason for s in selection.skips if s.setting == setting},
            _grouped(_fresh(selection, setting)),
        )
        for setting in selection.settings
    ]


def _fresh(selection: Selection, setting: Setting) -> list[Curve]:
    """Reruns on seeds that no measurement of the setting has: the others helped to choose."""
    used = {c.seed for c in selection.curves if c.setting == setting}
    return [c for c in selection.confirmations if c.setting == setting and c.seed not in used]


def _grouped(curves: Iterable[Curve]) -> dict[tuple[str, str], Sequence[Curve]]:
    groups: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        groups[curve.defense, curve.attack].append(curve)
    return dict(groups)


def number(row: Mapping[str, Any], key: str) -> float:
    """Return a row's number; NaN where it has none."""
    value = row.get(key, nan)
    return float(value) if isinstance(value, int | float) else nan


def by_victim(curves: Sequence[Curve], value: Callable[[Curve], float]) -> list[list[float]]:
    """Take a number of each curve; those of one victim together."""
    groups: dict[str, list[float]] = defaultdict(list)
    for curve in curves:
        groups[curve.victim].append(value(curve))
    return list(groups.values())


def over_seeds(curves: Sequence[Curve], metric: str, place: int = -1) -> Interval:
    """Mean of a metric over victims and seeds, at the checkpoint of that place."""
    values = by_victim(curves, lambda curve: number(curve.rows[place], metric))
    return clustered_interval(values, *column(metric).scale)


def worst(against: Mapping[str, Sequence[Curve]], metric: str, place: int = -1) -> Worst:
    """Take the attack that is worst for the defender, in the mean over seeds."""
    known = column(metric)
    sign = -1.0 if known.worse == SMALLER else 1.0
    return worst_by(against, lambda curve: number(curve.rows[place], metric), known.scale, sign)


def worst_by(
    against: Mapping[str, Sequence[Curve]],
    value: Callable[[Curve], float],
    ends: tuple[float, float] = (-inf, inf),
    sign: float = 1.0,
) -> Worst:
    """Take the attack under which the mean of a value is largest; NaN where none has any.

    Args:
        against: the curves of each attack.
        value: of a curve.
        ends: of the value's scale.
        sign: -1 takes the smallest mean.
    """
    values = {attack: by_victim(group, value) for attack, group in against.items()}
    means = {attack: mean_of_means(groups) for attack, groups in values.items()}
    known = {attack: mean for attack, mean in means.items() if not isnan(mean)}
    if not known:
        return Worst(Interval(nan, nan, nan, 0), "")
    name = max(known, key=lambda name: sign * known[name])
    equal = sum(mean == known[name] for mean in known.values()) - 1
    return Worst(clustered_interval(values[name], *ends), name, equal)


def worst_of_each_seed(against: Mapping[str, Sequence[Curve]]) -> dict[str, list[Row]]:
    """For each seed that all attacks have, the worst-case curve: an attacker who picks afterwards.

    A seed that one attack lacks is left out: its worst case would look too good.
    """
    by_seed: dict[str, dict[str, list[Row]]] = defaultdict(dict)
    for attack, group in against.items():
        for curve in group:
            by_seed[curve.seed][attack] = curve.rows
    return {seed: worst_case(of) for seed, of in by_seed.items() if len(of) == len(against)}
