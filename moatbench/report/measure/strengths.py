"""Defenses that were measured at several strengths: what each costs, against what it leaves."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from moatbench.report.measure.leaderboard import Standing
from moatbench.report.measure.worst import Field
from moatbench.report.select.records import base_name, varied

Knobs = Mapping[str, Any]


@dataclass(frozen=True)
class Strengths:
    """One defense along one knob.

    Args:
        name: of the defense, with what else tells it from others of the name.
        knob: its last part, `epsilon`.
        values: in ascending order.
        rows: the standing at each.
    """

    name: str
    knob: str
    values: Sequence[float]
    rows: Sequence[Standing]


def strengths(field: Field, rows: Sequence[Standing]) -> list[Strengths]:
    """Find the defenses that differ from another in nothing but a number, in order of appearance.

    Of several knobs that vary, the one with the most values is the strength, and each choice of the
    others is a line of its own.
    """
    groups: dict[str, list[Standing]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: field.defenses.index(row.defense)):
        groups[base_name(row.defense)].append(row)
    return [line for name, group in groups.items() for line in _lines(field, name, group)]


def strengths_seen(field: Field, rows: Sequence[Standing]) -> dict[str, int]:
    """Count the strengths at which each defense was measured: 1 is one point of its curve."""
    seen = dict.fromkeys((base_name(row.defense) for row in rows), 1)
    for line in strengths(field, rows):
        seen[base_name(line.name)] = max(seen[base_name(line.name)], len(line.values))
    return seen


def _lines(field: Field, name: str, group: Sequence[Standing]) -> list[Strengths]:
    knobs = [_knobs(field, row.defense) for row in group]
    differing = varied(knobs)
    numbers = {k: {each.get(k) for each in knobs} for k in differing if _numeric(k, knobs)}
    if not numbers:
        return []
    knob = max(numbers, key=lambda k: len(numbers[k]))
    others = [k for k in differing if k != knob]
    lines: dict[tuple[str, ...], list[tuple[float, Standing]]] = defaultdict(list)
    for row, each in zip(group, knobs, strict=True):
        rest = tuple(f"{k.rpartition('.')[2]}={each.get(k)}" for k in others)
        lines[rest].append((float(each[knob]), row))
    return [
        Strengths(
            f"{name} ({', '.join(rest)})" if rest else name,
            knob.rpartition(".")[2],
            *zip(*sorted(points, key=lambda point: point[0]), strict=True),
        )
        for rest, points in lines.items()
        if len(points) > 1
    ]


def _numeric(knob: str, knobs: Sequence[Knobs]) -> bool:
    values = [each.get(knob) for each in knobs]
    return all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def _knobs(field: Field, defense: str) -> dict[str, Any]:
    curve = next(iter(field.against(defense).values()))[0]
    told = curve.run.summary.knobs
    return {key: value for key, value in told.items() if key.startswith("defense.")}
