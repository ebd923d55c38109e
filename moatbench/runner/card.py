"""The victim of a run, kept beside its record."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.compose.archive import NotArchivable, dump
from moatbench.judge.judge import uniform_points
from moatbench.record.whole import write_text
from moatbench.remote.guarded import AGREEMENT, REFERENCE
from moatbench.space import Categorical, Numeric
from moatbench.victim import Victim

BY = {  # what surrogates of a defended service are compared with
    "None": "",
    AGREEMENT: "; it is judged by agreement with the service as it is defended, not by fidelity",
    REFERENCE: "; it is judged by victim.reference, the model behind it",
}
MOST_BYTES = 2**22  # of a model that is kept with each run


def write_victim(victim: Victim, folder: Path) -> None:
    """Write victim.npz, the model as plain data (`archive.load` reads it), and card.json."""
    file = folder / "victim.npz"
    with suppress(NotArchivable):  # somebody's own model, which lies where they keep it
        dump(victim.predict, file)
    if file.exists() and file.stat().st_size > MOST_BYTES:
        file.unlink()
    space = victim.space
    card = {
        "family": victim.family,
        "architecture": dict(victim.architecture),
        "classes": list(victim.classes),
        "columns": space.d,
        "features": [{"name": f.name, **_kind(f)} for f in space.features],
        "confidences": victim.confidences,
        "full": victim.full,
        "partial": victim.partial,
        "accuracy": accuracy(victim),
        "data": dict(victim.shares.provenance),
        "model": file.name if file.exists() else None,
    }
    write_text(folder / "card.json", json.dumps(card, indent=2) + "\n")


def _kind(feature: Numeric | Categorical) -> dict[str, Any]:
    if isinstance(feature, Numeric):
        return {"low": feature.low, "high": feature.high, "step": feature.step}
    return {"values": list(feature.values), "one_hot": feature.one_hot}


def constant_accuracy(victim: Victim) -> float:
    """Share of the test rows that the best constant answer labels rightly."""
    _, counts = np.unique(victim.shares.y_test, return_counts=True)
    return float(counts.max() / counts.sum())


def first_line(victim: Victim) -> str:
    """Say what an own model is and how good, in the line that a run begins with; '' for others."""
    facts, right = victim.shares.provenance, accuracy(victim)
    if "model" not in facts or right is None:
        return ""
    rows, d = len(victim.shares.y_test), victim.space.d
    stated = facts.get("accuracy_stated")
    beside = "" if stated is None else f"; its owner states {100 * stated:.1f} %"
    return (
        f"victim: {facts['model']}, {victim.family or 'of no family that is known'}, asked as "
        f"{facts['asked']} ({d} columns): {100 * right:.1f} % right on {rows} test rows, where the "
        f"best constant answer has {100 * constant_accuracy(victim):.1f} %{beside}{_judged(victim)}"
        f"{BY[str(facts.get('judged_by'))]}"
    )


def _judged(victim: Victim) -> str:
    """Say on how few rows surrogates are judged, where each costs, and what that leaves open."""
    if victim.judged is None:
        return ""
    tests = len(victim.shares.x_test)
    rows = {"test rows": tests, "uniform inputs": uniform_points(victim.judged, tests)}
    told = [f"{n:,} {name} (+-{half_width(n):.1f} points)" for name, n in rows.items()]
    return f"; a fidelity of 95 % is known from {' and '.join(told)}"


def half_width(n: int, rate: float = 0.95) -> float:
    """Points by which a fidelity of `rate` on n rows may be off, at 95 % confidence."""
    return float(100 * 1.96 * np.sqrt(rate * (1 - rate) / n))


def accuracy(victim: Victim) -> float | None:
    """Share of the test rows that the victim labels rightly; None for a regression."""
    shares = victim.shares
    if len(victim.classes) == 1:
        return None
    return float((victim.tested.labels == shares.y_test).mean())
