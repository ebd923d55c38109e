"""Inputs that nobody chose: of a pool, mixes of two of its rows, and random ones."""

from collections.abc import Sequence

import numpy as np

from moatbench.learners.committee import most_divisive
from moatbench.learners.published import AnyFit
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

POOL, MIXED = 0.2, 0.4  # of the draws; the others are random
CANDIDATES = 6  # for each input that a committee chooses


class Mixes:
    """Draws inputs: a mix takes each feature, or one-hot group, from one of two rows of the pool.

    Args:
        space: of the inputs.
        pool: (m, d); where it is empty, or the same row again and again, all inputs are random.
        rng: draws.
    """

    def __init__(self, space: InputSpace, pool: Array, rng: Generator) -> None:
        several = len(np.unique(pool, axis=0)) > 1  # the same row again tells nothing
        self._space, self._pool, self._rng = space, pool if several else pool[:0], rng

    def draw(self, n: int) -> Array:
        """(n, d) valid inputs."""
        rng, pool = self._rng, self._pool
        kind = rng.random(n)[:, None]
        x = self._space.sample(n, rng)
        if not len(pool):
            return x
        one, mixed = self._mixed(n)
        return np.where(kind < POOL, one, np.where(kind < POOL + MIXED, mixed, x))

    def divisive(self, committee: Sequence[AnyFit], n: int) -> Array:
        """(n, d) on which a committee differs most; half of mixes, half of random inputs."""
        mixed = n // 2 if len(self._pool) > 1 else 0
        rest = self._space.sample(CANDIDATES * (n - mixed), self._rng)
        parts = [most_divisive(committee, rest, n - mixed)]
        if mixed:
            parts.append(most_divisive(committee, self._mixed(CANDIDATES * mixed)[1], mixed))
        return np.vstack(parts)

    def _mixed(self, n: int) -> tuple[Array, Array]:
        """(n, d) rows of the pool, and mixes of each of them with another."""
        rng, pool = self._rng, self._pool
        one, other = pool[rng.integers(len(pool), size=(2, n))]
        mixed = one.copy()
        for columns in self._space.columns:
            taken = rng.random(n) < 0.5
            mixed[taken, columns] = other[taken, columns]
        return one, mixed
