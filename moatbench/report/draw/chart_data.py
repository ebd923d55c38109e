"""What the page's charts draw, as plain JSON."""

from collections.abc import Mapping, Sequence
from math import isnan
from typing import Any

from moatbench.record.column import SHARE
from moatbench.record.columns import LARGER, WORST_CASE, shown
from moatbench.record.flag import NOTE
from moatbench.report.draw.lines import leading
from moatbench.report.draw.style import PALETTE, looks
from moatbench.report.measure.baselines import baselines_first
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.worst import UNDEFENDED, Field, number, worst
from moatbench.report.select.records import Curve
from moatbench.verdict import names as parts


def chart_data(fields: Sequence[Field], scale: str = "auto") -> dict[str, Any]:
    """What the charts draw, as plain JSON; shares to five significant digits."""
    names = list(dict.fromkeys(d for field in fields for d in field.defenses))
    look = looks(names, leading(fields))
    measured = {key for f in fields for g in f.curves.values() for c in g for key in c.last}
    attacks = dict.fromkeys(a for field in fields for a in field.attacks)
    return {
        "worst": WORST_CASE,
        "scale": scale,
        "names": {code: parts.shown(code) for code in (*names, *attacks)},
        "looks": {
            name: {
                "colour": PALETTE.index(look[name].colour) if look[name].colour in PALETTE else -1
            }
            | {"marker": look[name].marker, "dash": look[name].dash, "ink": name == UNDEFENDED}
            for name in names
        },
        "metrics": [
            {"key": c.name, "label": c.heading, "log": (c.worse, c.scale) == (LARGER, SHARE)}
            for c in shown("chart")
            if c.name in measured
        ],
        "settings": [_setting(field) for field in fields],
    }


def _setting(field: Field) -> dict[str, Any]:
    rows = standings(field)
    ranked = [row.defense for row in baselines_first(rows)]
    return {
        "name": str(field.setting),
        "checkpoints": field.checkpoints,
        "defenses": [*ranked, *(d for d in field.defenses if d not in ranked)],
        "attacks": field.attacks,
        "skips": {f"{d}|{a}": reason for (d, a), reason in field.skips.items()},
        "standings": [_point(row) for row in rows],
        "curves": [
            *(_worst_curve(field, d) for d in field.defenses if field.against(d)),
            *(_attack_curve(field, d, a) for d, a in field.curves),
        ],
    }


def _point(row: Standing) -> dict[str, Any]:
    return {
        "defense": row.defense,
        "test": _short(row.test.value),
        "cost": _short(row.cost),
        "attack": str(row.test),
        "front": row.front,
        "marks": [str(mark) for mark in row.marks if mark.grade != NOTE],
    }


def _attack_curve(field: Field, defense: str, attack: str) -> dict[str, Any]:
    against = {attack: field.curves[defense, attack]}
    metrics = {key: _points(field, against, key) for key in _metrics()}
    return {"defense": defense, "attack": attack, "metrics": _known(metrics)}


def _worst_curve(field: Field, defense: str) -> dict[str, Any]:
    metrics = {key: _points(field, field.against(defense), key) for key in _metrics()}
    return {"defense": defense, "attack": WORST_CASE, "metrics": _known(metrics)}


def _points(field: Field, against: Mapping[str, Sequence[Curve]], metric: str) -> list[list[Any]]:
    """A point for each checkpoint: mean, low, high, the state of the fit, the attack.

    The state is 0 where every fit had converged, 1 where one had not, 2 where none had begun.
    """
    points = []
    for place in range(len(field.checkpoints)):
        value, attack, _ = worst(against, metric, place)
        named = [attack] if len(against) > 1 else []
        points.append([*_short(value), _state(against.get(attack, ()), place), *named])
    return points


def _state(curves: Sequence[Curve], place: int) -> int:
    rows = [curve.rows[place] for curve in curves]
    if all(number(row, "converged") for row in rows):
        return 0
    return 2 if all(row.get("begun") == 0 for row in rows) else 1


def _metrics() -> list[str]:
    return [c.name for c in shown("chart")]


def _known(metrics: dict[str, list[list[Any]]]) -> dict[str, list[list[Any]]]:
    return {k: points for k, points in metrics.items() if any(p[0] is not None for p in points)}


def _short(value: Interval) -> list[float | None]:
    return [None if isnan(v) else float(f"{v:.5g}") for v in value[:3]]
