"""What the checks ask, and how they compare what they are told."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import numpy as np

from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.types import Array, Labels
from moatbench.victim import Victim

T = TypeVar("T", Array, Labels)

SEED = 0
BATCHES = (1, 10, 256)


def traffic(victim: Victim) -> Array:
    """(n, d) rows of many kinds: dense lines, which wake monitors, then data, uniform, repeats."""
    rng, space = np.random.default_rng(SEED), victim.space
    ends = space.sample(16, rng)
    steps = np.linspace(0, 1, 25)[:, None]
    lines = [a + steps * (b - a) for a, b in zip(ends[::2], ends[1::2], strict=True)]
    for line in lines:
        line[:, space.coded] = line[0, space.coded]
    rows = [*lines, victim.shares.x_test[:60], victim.shares.pool[:40], space.sample(60, rng), ends]
    if victim.partial:
        partial = space.sample(20, rng)
        for row, feature in enumerate(rng.integers(len(space.columns), size=20)):
            partial[row, space.columns[feature]] = np.nan
        rows.append(partial)
    return space.answered(np.concatenate(rows))


def undeployable(victim: Victim, defense: Defense) -> str:
    """Say what the victim lacks that the defense needs; '' where nothing."""
    try:
        defense.deploy(victim, stream(SEED, "defense"))
    except ValueError as error:
        return str(error)
    return ""


def difference(one: Reply, two: Reply, tolerance: float = 0.0) -> str:
    """Name the first row that is answered differently; '' where there is none.

    Args:
        one: a reply.
        two: another, to the same rows.
        tolerance: of the outputs; above 0, classes that are as close as that may swap labels.
    """
    differ = one.labels != two.labels
    if one.outputs is None or two.outputs is None:
        assert one.outputs is two.outputs, "outputs were answered once, and once they were not"
    else:
        rows = np.arange(len(one))
        tie = np.abs(one.outputs[rows, one.labels] - one.outputs[rows, two.labels]) <= tolerance
        differ &= ~(tie & (tolerance > 0))
        untold = np.isnan(one.outputs) != np.isnan(two.outputs)
        differ |= (untold | (np.abs(one.outputs - two.outputs) > tolerance)).any(axis=1)
    if not differ.any():
        return ""
    row = int(np.argmax(differ))
    said = [f"{r.labels[row]} {'' if r.outputs is None else r.outputs[row]}" for r in (one, two)]
    return f"row {row} is answered {said[0]}, then {said[1]}"


def frozen(x: T) -> T:
    """Return a copy that cannot be written to."""
    x = x.copy()
    x.flags.writeable = False
    return x


@contextmanager
def no_writing(who: str) -> Iterator[None]:
    """Say who tried to write to an array that is not theirs."""
    try:
        yield
    except ValueError as error:
        if "read-only" not in str(error):
            raise
        raise AssertionError(
            f"{who} writes to an array that it was given; copy it first"
        ) from error
