"""The worst case over attacks, a defense's score, at every checkpoint and for each seed."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan
from typing import Any, NamedTuple

from moatbench.curve import SMALLER_IS_WORSE, Row, worst_case
from moatbench.report.records import Curve, Selection, Setting
from moatbench.report.statistics import Interval, t_interval

UNDEFENDED = "none"


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
    """

    setting: Setting
    curves: Mapping[tuple[str, str], Sequence[Curve]]
    skips: Mapping[tuple[str, str], str]

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
    def seeds(self) -> list[str]:
        """Seeds of any run of the setting."""
        return list(dict.fromkeys(c.seed for group in self.curves.values() for c in group))

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
        )
        for setting in selection.settings
    ]


def _grouped(curves: Iterable[Curve]) -> dict[tuple[str, str], Sequence[Curve]]:
    groups: dict[tuple[str, str], list[Curve]] = defaultdict(list)
    for curve in curves:
        groups[curve.defense, curve.attack].append(curve)
    return dict(groups)


def number(row: Mapping[str, Any], key: str) -> float:
    """Return a row's number; NaN where it has none."""
    value = row.get(key, nan)
    return float(value) if isinstance(value, int | float) else nan


def scale(metric: str) -> tuple[float, float]:
    """Ends of a metric's scale, at which intervals are cut."""
    shares = ("fidelity_", "tv_", "accuracy")
    return (0.0, 1.0) if metric.startswith(shares) else (float("-inf"), float("inf"))


def over_seeds(curves: Sequence[Curve], metric: str, place: int = -1) -> Interval:
    """Mean of a metric over the seeds, at the checkpoint of that place."""
    return t_interval([number(c.rows[place], metric) for c in curves], *scale(metric))


def worst(against: Mapping[str, Sequence[Curve]], metric: str, place: int = -1) -> Worst:
    """Take the attack that is worst for the defender, in the mean over seeds."""
    means = {attack: over_seeds(group, metric, place) for attack, group in against.items()}
    smaller = metric.startswith(SMALLER_IS_WORSE)
    return dearest(means, key=lambda value: -value if smaller else value)


def dearest(
    values: Mapping[str, Interval], key: Callable[[float], float] = lambda value: value
) -> Worst:
    """Take the largest mean (of `key`); an empty interval where nothing was measured."""
    measured = {name: v for name, v in values.items() if v.n}
    if not measured:
        return Worst(Interval(nan, nan, nan, 0), "")
    name = max(measured, key=lambda name: key(measured[name].mean))
    equal = sum(value.mean == measured[name].mean for value in measured.values()) - 1
    return Worst(measured[name], name, equal)


def worst_of_each_seed(against: Mapping[str, Sequence[Curve]]) -> dict[str, list[Row]]:
    """For each seed that all attacks have, the worst-case curve: an attacker who picks afterwards.

    A seed that one attack lacks is left out: its worst case would look too good.
    """
    by_seed: dict[str, dict[str, list[Row]]] = defaultdict(dict)
    for attack, group in against.items():
        for curve in group:
            by_seed[curve.seed][attack] = curve.rows
    return {seed: worst_case(of) for seed, of in by_seed.items() if len(of) == len(against)}
