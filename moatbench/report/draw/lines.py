"""The lines of a chart of many defenses: equal ones are one, and few stand out."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest

from moatbench.report.measure.leaderboard import LABEL_ONLY, standings
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import UNDEFENDED, Field, worst
from moatbench.verdict.case import CONTROLS


@dataclass(frozen=True)
class Line:
    """The worst case of defenses whose curves are equal.

    Args:
        names: of the defenses.
        values: at each checkpoint.
    """

    names: tuple[str, ...]
    values: tuple[Interval, ...]


def worst_lines(field: Field, metric: str) -> list[Line]:
    """Return the worst case of each defense against queries, equal ones as one line."""
    groups: dict[str, tuple[list[str], list[Interval]]] = {}
    for name in field.defenses:
        if against := field.against(name):
            places = range(len(field.checkpoints))
            values = [worst(against, metric, place).value for place in places]
            # As text, for NaN is not equal to itself
            groups.setdefault(repr([v[:3] for v in values]), ([], values))[0].append(name)
    return [Line(tuple(names), tuple(values)) for names, values in groups.values()]


def leading(fields: Sequence[Field]) -> list[str]:
    """Rank what should stand out: label-only, then the front from its lowest worst case up.

    Of defenses whose curves are equal the first; those equal to no defense have its line.
    """
    ranked = zip_longest(*(_leading(field) for field in fields))
    return list(dict.fromkeys(name for name in chain.from_iterable(ranked) if name))


def _leading(field: Field) -> list[str]:
    rows = [row for row in standings(field) if row.defense not in CONTROLS]
    rows.sort(key=lambda row: (row.defense != LABEL_ONLY, not row.front))
    taken, out = {UNDEFENDED}, []
    equal = {
        name: line.names for line in worst_lines(field, "fidelity_test") for name in line.names
    }
    for row in rows:
        if not taken & set(equal[row.defense]):
            out.append(row.defense)
            taken.add(row.defense)
    return out
