"""What a service must be before it is measured: readable, and the same now as a moment ago."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from moatbench.remote.endpoint import CANARIES, CLOSE, Endpoint
from moatbench.remote.mapping import Told
from moatbench.remote.reading import Reading
from moatbench.types import Array


def learn(
    endpoint: Endpoint,
    x: Array,
    classes: Sequence[str],
    known: Sequence[str] | None = None,
    binary: str | None = None,
) -> dict[str, Any]:
    """Find out how a service is read, and whether it answers a few rows as it did before.

    A service that is new is asked them twice; one that is remembered once, and not at all where
    that was done a short while ago.

    Args:
        endpoint: of the service; it can answer afterwards.
        x: (n, d) rows, of which the first are asked.
        classes: the data's.
        known: what outputs stand for, in their order; None finds out.
        binary: see `Reading`.

    Returns:
        Notes for the record.

    Raises:
        ValueError: it is not read, or answers otherwise.
        Stopped: it does not answer.
    """
    x = x[:CANARIES]
    kept, unsure = endpoint.remembered(x), endpoint.unsure(x)
    told = endpoint.fresh(x) if len(kept) < len(x) else list(kept.values())
    endpoint.reading = reading = Reading.of(told, classes, known, binary)
    reading.reply(told)
    if endpoint.stochastic:
        again = reading.reply(endpoint.fresh(x))
        same = reading.reply(told).labels == again.labels
        return {"agrees_with_itself": float(same.mean())}
    if not unsure:
        return {}
    again_told = endpoint.fresh(x)
    before = list(kept.values())
    if kept and (gap := gap_between(reading, before, [again_told[row] for row in kept])):
        raise ValueError(
            f"{_otherwise(gap)} from those that are remembered: it is another model now; "
            "victim.memo=new forgets what it answered"
        )
    if gap := gap_between(reading, told, again_told):
        raise ValueError(
            f"{_otherwise(gap)}; say victim.stochastic=true where that is meant, and the run is "
            "flagged"
        )
    endpoint.keep(x, told)
    endpoint.memo.checked()
    return {}


def gap_between(reading: Reading, one: Sequence[Told], other: Sequence[Told]) -> float:
    """How far answers lie apart: the largest difference of outputs, 1 for other labels; 0 close."""
    a, b = reading.reply(one), reading.reply(other)
    if a.outputs is None or b.outputs is None:
        return float((a.labels != b.labels).any())
    gap = float(np.abs(a.outputs - b.outputs).max(initial=0.0))
    return gap if gap > CLOSE else 0.0


def _otherwise(gap: float) -> str:
    return (
        "the service must answer a row alike each time, got answers to the same rows that differ "
        f"by up to {gap:.3g}"
    )
