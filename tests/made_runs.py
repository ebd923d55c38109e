"""Runs made up for a report, as the store would give them."""

from collections.abc import Sequence
from math import nan
from typing import Any

from summaries import summary

from moatbench.record.summary import Summary
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.worst import Field, fields
from moatbench.report.select.records import Selection
from moatbench.report.select.selection import select
from moatbench.report.write.contents import tables
from moatbench.tracking.read import Logged

CHECKPOINTS = (10, 20, 50)


def rows(fidelity: Sequence[float] = (0.5, 0.8, 0.9), **changes: Any) -> list[dict[str, Any]]:
    return [
        {
            "attack": "solve",
            "queries": q,
            "refused": 0,
            "dollars": 0.0,
            "waited": 0.0,
            "seconds": 0.1,
            "fidelity_test": f,
            "tv_test": 1 - f,
            "accuracy": f,
            "fidelity_uniform": f / 2,
            "honest_refused": 0.0,
            "honest_alarmed_accounts": 0.0,
            "honest_first_alarm": nan,
            "honest_label_agreement": 1.0,
            "honest_accuracy_lost": 0.0,
            "honest_l1_mean": 0.0,
            "honest_l1_max": 0.0,
            "honest_ece": 0.1,
            "honest_ece_undefended": 0.1,
            "first_alarm": nan,
            "converged": 1,
            "note": "",
        }
        | changes
        for q, f in zip(CHECKPOINTS, fidelity, strict=True)
    ]


def run(
    defense: str = "none",
    attack: str = "solve",
    seed: int = 0,
    fidelity: Sequence[float] = (0.5, 0.8, 0.9),
    row: dict[str, Any] | None = None,
    state: str = "FINISHED",
    **changes: Any,
) -> Logged:
    """A run as the store would give it."""
    identity = f"{defense}-{attack}-{seed}-{changes.get('data', '')}-{fidelity}-{changes.get('id')}"
    knobs = {"seed": seed, "victim_seed": None, "price": 1e-4} | changes.pop("knobs", {})
    changes.pop("id", None)
    told: Summary | None = summary(
        defense=defense, attack=attack, seed=seed, knobs=knobs, config_hash=identity, **changes
    )
    curve = rows(fidelity, **{"attack": attack, **(row or {})})
    if state != "FINISHED":
        told, curve = None, []
    elif told is not None and told.status != "finished":
        curve = []
    return Logged(identity, identity, state, 1.7e9, {"config_hash": identity}, told, curve)


def one_field(*runs: Logged) -> Field:
    (found,) = fields(select(runs))
    return found


def standing(name: str, *runs: Logged) -> Standing:
    return next(row for row in standings(one_field(*runs)) if row.defense == name)


def sample() -> Selection:
    """Twelve defenses on two victims, with all that a page may have to show."""
    runs = []
    for data in ("iris", "wine_<b>"):
        origin = {"name": data, "sha256": data, "rows": 150, "test_share": 0.3}
        for place in range(12):
            name = "none" if not place else f"defense_{place}"
            for attack in ("solve", "retrain", "adapt"):
                for seed in range(3):
                    gap = place * 0.03 + seed * 0.01 + len(attack) * 0.01
                    fidelity = [max(0.0, f - gap) for f in (0.5, 0.8, 1.0)]
                    price = {"honest_l1_mean": place * 0.05, "converged": int(place != 3)}
                    more: Any = {"data": data, "data_provenance": origin}
                    runs.append(run(name, attack, seed, fidelity, price, **more))
        skip: Any = {"status": "not_applicable", "not_applicable": {"solve": "no confidences"}}
        runs.append(run("label_only", "solve", data=data, data_provenance=origin, **skip))
        runs.append(run("label_only", "adapt", data=data, data_provenance=origin))
    return select([*runs, run(seed=7, state="KILLED")])


def cells(name: str, *runs: Logged) -> dict[str, dict[str, str]]:
    """A table's cells, by the first column and the heading."""
    found = select(runs)
    (table,) = [table for table in tables(found, fields(found)) if table.name == name]
    headings = [column.heading for column in table.columns]
    return {row[0]: dict(zip(headings, row, strict=True)) for row in table.groups[0].rows}
