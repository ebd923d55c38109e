"""The victim of a run, kept beside its record."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from moatbench.compose.archive import NotArchivable, dump
from moatbench.record.whole import write_text
from moatbench.space import Categorical, Numeric
from moatbench.victim import Victim

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


def accuracy(victim: Victim) -> float | None:
    """Share of the test rows that the victim labels rightly; None for a regression."""
    shares = victim.shares
    if len(victim.classes) == 1:
        return None
    return float((victim.predict(shares.x_test).labels == shares.y_test).mean())
