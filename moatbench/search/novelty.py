"""Questions whose answers would be unlike all earlier ones, and questions that are hard to call."""

from collections.abc import Callable

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Generator

DRAWN, KEPT, MOVES = 600, 200, 30  # candidates, those that climb, and steps of theirs
MOVED = 0.1  # of the columns, a step
FARTHEST = 2.0  # in L1: two answers that share nothing

Outputs = Callable[[Array], Array]  # (n, d) inputs to (n, k) what a model says of them


def novelty(outputs: Array, told: Array) -> Array:
    """(n,) L1 distance of each answer from the nearest one told with the same top class."""
    top, of, far = outputs.argmax(axis=1), told.argmax(axis=1), np.full(len(outputs), FARTHEST)
    for c in np.unique(top):
        rows, earlier = np.flatnonzero(top == c), told[of == c]
        if len(earlier):
            gaps = np.abs(outputs[rows][:, None] - earlier[None]).sum(axis=2)
            far[rows] = gaps.min(axis=1)
    return far


def unlike(n: int, outputs: Outputs, told: Array, space: InputSpace, rng: Generator) -> Array:
    """(n, d) inputs whose answers, as a model has them, are far from all told and each other.

    Candidates are uniform, or at corners of the box, and climb by changes of some columns.
    """
    low, high = space.low, space.high
    corners = rng.random((DRAWN, space.d)) < rng.random((DRAWN, 1))
    x = np.vstack([space.sample_cube(DRAWN, rng), np.where(corners, high, low)])
    x = x[np.argsort(-novelty(outputs(x), told), kind="stable")[:KEPT]]
    far = novelty(outputs(x), told)
    for _ in range(MOVES):
        moved, other = rng.random(x.shape) < MOVED, low + rng.random(x.shape) * (high - low)
        there = np.where(moved, other, x)
        gain = novelty(outputs(there), told)
        better = gain > far
        x[better], far[better] = there[better], gain[better]
    said, picked = outputs(x), []
    for _ in range(min(n, len(x))):
        picked.append(int(far.argmax()))
        far = np.minimum(far, novelty(said, said[picked[-1:]]))
        far[picked[-1]] = -1.0
    return np.asarray(x[picked])


def undecided(n: int, outputs: Outputs, candidates: Array) -> Array:
    """(n, d) those of the candidates whose two best classes are nearest to each other."""
    best = np.sort(outputs(candidates), axis=1)
    return np.asarray(candidates[np.argsort(best[:, -1] - best[:, -2], kind="stable")[:n]])
