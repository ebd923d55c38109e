"""What a service must be before it is measured: readable, and the same now as a moment ago."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from moatbench.remote.endpoint import CANARIES, Endpoint
from moatbench.remote.mapping import Told
from moatbench.remote.reading import Reading, gap_between
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
    mapped = endpoint.mapped
    found = _answered(told) if mapped.refusals else told
    reading = Reading.of(found, classes, known, binary)
    reading = replace(reading, full=mapped.full, names=endpoint.names)
    endpoint.reading = reading
    if mapped.refusals:
        return _guarded(endpoint, x, told, reading)
    reading.reply(told)
    if endpoint.stochastic:
        again = reading.reply(_turned(endpoint, x))
        same = reading.reply(told).labels == again.labels
        return {"agrees_with_itself": float(same.mean())}
    endpoint.watch(x, told)
    if not unsure:
        return {}
    again_told = _turned(endpoint, x)
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


def _answered(told: Sequence[Told]) -> list[Told]:
    """Return the answers that a service gave; some it may have refused."""
    found = [one for one in told if not one.refused]
    if not found:
        raise ValueError(
            f"the service must answer some rows of the data, and refused all {len(told)}; see its "
            "key, victim.key_env"
        )
    return found


def _turned(endpoint: Endpoint, x: Array) -> list[Told]:
    """Ask rows with the last one first: who answers in an order of its own is found out."""
    last, *others = endpoint.fresh(np.roll(x, 1, axis=0))
    return [*others, last]


def _guarded(
    endpoint: Endpoint, x: Array, told: Sequence[Told], reading: Reading
) -> dict[str, Any]:
    """Note how a defended service is read, and whether it answers alike: it need not."""
    one, two = reading.some(told), reading.some(_turned(endpoint, x))
    outputs = (
        one.outputs is None
        or two.outputs is None
        or np.array_equal(one.outputs, two.outputs, equal_nan=True)
    )
    same = one.labels == two.labels
    return {} if same.all() and outputs else {"agrees_with_itself": float(same.mean())}


def _otherwise(gap: float) -> str:
    return (
        "the service must answer a row alike each time, whatever the order of rows, got answers "
        f"to the same rows that differ by up to {gap:.3g}"
    )
