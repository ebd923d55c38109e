"""Undo what leaves bounds alone: steps of a grid, classes left out, values out of order."""

from dataclasses import replace

import numpy as np

from moatbench.inverses.origins import Origins
from moatbench.solvers.grids import bounds, grid_of
from moatbench.traits import AnswerGrid
from moatbench.types import Array, Mask

CLOSE = 1e-9


def gridded(told: Origins, said: AnswerGrid) -> Origins:
    """Bound each confidence by the step of the grid that it was moved to."""
    grid = grid_of(said)
    low, high = bounds(grid, told.low)[0], bounds(grid, told.high)[1]
    low = np.where(told.low <= 0, 0.0, low)  # what a relative grid tells as 0 is 0
    on_grid = np.logical_or(_meets(said, told.low), (told.low < told.high).any(axis=1))
    return told.moved(low, high, on_grid, np.arange(len(low)))


def _meets(said: AnswerGrid, told: Array) -> Mask:
    """(m,) whether answers are on the grid at all."""
    if grid_of(said).relative:  # too many roundings to tell
        return np.ones(len(told), bool)
    scale = 10.0**said.steps if said.unit == "decimals" else said.steps - 1
    return np.asarray((np.abs(told * scale - np.rint(told * scale)) < CLOSE * scale).all(axis=1))


def truncated(told: Origins, kept: int, renormalised: bool) -> Origins:
    """Bound the classes left out by the least that was told; the scale, where that is lost."""
    if kept >= told.k:
        return told
    order = np.argsort(-told.high, axis=1, kind="stable")
    out = np.zeros(told.high.shape, bool)
    np.put_along_axis(out, order[:, kept:], True, axis=1)
    least = np.where(out, np.inf, told.high).min(axis=1, keepdims=True)
    possible = np.asarray(np.logical_or(~out, told.low <= CLOSE).all(axis=1))
    scale = 1 / (1 + (told.k - kept) * least) if renormalised else np.ones_like(least)
    low, high = np.where(out, 0.0, told.low * scale), np.where(out, least, told.high)
    return told.moved(low, high, possible, np.arange(len(low)))


def shuffled(told: Origins) -> Origins:
    """Keep the values beside the label's, and forget whose each is."""
    others = np.arange(told.k) != told.labels[:, None]
    return replace(told, mixed=told.mixed | others)
