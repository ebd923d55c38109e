"""The rows of a leaderboard as cases of a verdict."""

from collections.abc import Sequence

from moatbench.record.curve import LEVELS
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import t_interval
from moatbench.report.measure.worst import Field, worst
from moatbench.verdict.case import PRICES, WAITED, Case, floor_of, named
from moatbench.verdict.choice import choice


def verdict_of(field: Field, rows: Sequence[Standing] | None = None) -> str:
    """Say which defense of a setting to deploy; of a single one, what became of the model."""
    return choice(cases(field, rows))


def cases(field: Field, rows: Sequence[Standing] | None = None) -> list[Case]:
    """Return a case for each defense of a setting, in the order of the leaderboard.

    Args:
        field: the setting.
        rows: its `standings`; None makes them.
    """
    ranked = standings(field) if rows is None else rows
    stolen = {row.defense: row.test.value.mean for row in ranked}
    return [_case(field, row, stolen) for row in ranked]


def _case(field: Field, row: Standing, stolen: dict[str, float]) -> Case:
    against = field.against(row.defense)
    runs = [curve.run.summary for group in against.values() for curve in group]
    curves = {c.run.id: c.run.summary.finals for group in against.values() for c in group}
    waits = t_interval([v for f in curves.values() if (v := f.get(f"honest_{WAITED}")) is not None])
    paid = {name: row.honest[f"honest_{name}"] for name in PRICES} | {WAITED: waits}
    interval = row.test.value
    return Case(
        defense=row.defense if "(" in row.defense else named(runs[0]),
        model=str(field.setting),
        budget=field.checkpoints[-1],
        stolen=interval.mean,
        low=interval.low,
        high=interval.high,
        seeds=interval.n,
        attack=row.test.attack,
        attacks=len(against),
        reached=_reached(field, row.defense),
        price=float(runs[0].knobs.get("price", 0.0)),
        floor=floor_of(runs),
        floor_name=runs[0].floor or "",
        paid={name: value.mean for name, value in paid.items() if value.n},
        regression=field.regression,
        flags=list(row.flags),
        beside=row.beside,
        beside_stolen=stolen.get(row.beside, float("nan")),
        claimed=row.claims,
    )


def _reached(field: Field, defense: str) -> dict[int, int]:
    """Return the first checkpoint at which the worst attack's mean reaches each level."""
    against = field.against(defense)
    at = [
        (queries, worst(against, "fidelity_test", place).value.mean)
        for place, queries in enumerate(field.checkpoints)
    ]
    hits = {level: [q for q, mean in at if mean >= level / 100] for level in LEVELS}
    return {level: reached[0] for level, reached in hits.items() if reached}
