"""Moves of inputs along a surrogate's slopes: Jacobian-based dataset augmentation."""

from typing import Any

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Rows

STEP = 1e-3  # of a column's range, for differences where a surrogate has no slopes
TINY = 1e-12


def movable(space: InputSpace) -> Rows:
    """The columns that can move on their own: numbers, not names."""
    kept = space.numeric.copy()
    for group in space.groups:
        kept[group] = False
    return np.flatnonzero(kept)


def log_slopes(guide: Any, space: InputSpace, x: Array, labels: Labels) -> Array:
    """(n, d) how a surrogate's log-probability of a class (n,) grows with each number's range.

    By differences where the surrogate tells no slopes; 0 for names, and for what is left out.
    """
    columns, found = movable(space), np.zeros_like(x)
    if hasattr(guide, "log_slopes"):
        encoded = guide.log_slopes(x, labels)
        places = np.cumsum(~np.isin(np.arange(space.d), space.coded)) - 1
        found[:, columns] = encoded[:, places[columns]]
        return found
    here = _logs(guide, x, labels)
    for column in columns:
        moved = x.copy()
        moved[:, column] += STEP * (space.high[column] - space.low[column])
        found[:, column] = (_logs(guide, moved, labels) - here) / STEP
    return np.nan_to_num(found)


def _logs(guide: Any, x: Array, labels: Labels) -> Array:
    p: Array = guide.outputs(x)[np.arange(len(x)), labels]
    return np.log(np.maximum(p, TINY))


def stepped(
    guide: Any, space: InputSpace, x: Array, labels: Labels, step: float, rng: Generator
) -> Array:
    """(n, d) the inputs, each number moved by a share of its range: up where the class gains.

    Where a surrogate is level, as trees are nearly everywhere, the ways are drawn.
    """
    ways = np.sign(log_slopes(guide, space, x, labels))
    level = ~ways.any(axis=1)
    drawn = np.zeros((int(level.sum()), space.d))
    columns = movable(space)
    drawn[:, columns] = rng.choice([-1.0, 1.0], size=(len(drawn), len(columns)))
    ways[level] = drawn
    moved = x.copy()
    by = step * (space.high - space.low)[columns] * ways[:, columns]
    moved[:, columns] = np.clip(x[:, columns] + by, space.low[columns], space.high[columns])
    return moved
