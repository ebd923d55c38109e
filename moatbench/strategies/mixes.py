"""Questions like those of honest customers, made of a pool."""

from moatbench.space import InputSpace
from moatbench.types import Array, Generator


def group_mixes(pool: Array, n: int, space: InputSpace, rng: Generator) -> Array:
    """(n, d) rows of which each feature is that of one of two rows of the pool, at random.

    A one-hot group is one feature, so a mix of valid rows is a valid row. Uniform rows leave where
    data lie; mixes stay near, and yet cross what a model tests.

    Args:
        pool: (m, d) rows, at least one if any mix is wanted.
        n: how many.
        space: tells the features.
        rng: draws.
    """
    if not n:
        return pool[:0]
    one, other = (pool[rng.integers(len(pool), size=n)] for _ in range(2))
    mixed = one.copy()
    for columns in space.columns:
        swapped = rng.random(n) < 0.5
        mixed[swapped, columns] = other[swapped, columns]
    return mixed
