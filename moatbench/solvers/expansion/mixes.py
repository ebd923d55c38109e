"""Inputs that nobody chose: of a pool, mixes of two of its rows, and random ones."""

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Generator

POOL, MIXED = 0.2, 0.4  # of the draws; the others are random


class Mixes:
    """Draws inputs: a mix takes each feature, or one-hot group, from one of two rows of the pool.

    Args:
        space: of the inputs.
        pool: (m, d); where it is empty, all inputs are random.
        rng: draws.
    """

    def __init__(self, space: InputSpace, pool: Array, rng: Generator) -> None:
        self._space, self._pool, self._rng = space, pool, rng

    def draw(self, n: int) -> Array:
        """(n, d) valid inputs."""
        rng, pool = self._rng, self._pool
        kind = rng.random(n)[:, None]
        x = self._space.sample(n, rng)
        if not len(pool):
            return x
        one, other = pool[rng.integers(len(pool), size=(2, n))]
        mixed = one.copy()
        for columns in self._space.columns:
            taken = rng.random(n) < 0.5
            mixed[taken, columns] = other[taken, columns]
        return np.where(kind < POOL, one, np.where(kind < POOL + MIXED, mixed, x))
