"""One seed, many independent streams, each with a name."""

import hashlib

import numpy as np

from moatbench.types import Generator


def stream(seed: int, name: str) -> Generator:
    """Return the generator that `seed` gives to the part called `name`.

    Streams are keyed by name, so a part that is added later changes no other part's draws, and two
    runs that differ in the defense alone share victim, queries and test points.
    """
    return np.random.default_rng([seed, *words_of(name)])


def words_of(name: str) -> list[int]:
    """Return the numbers that a name stands for in a seed."""
    digest = hashlib.blake2b(name.encode(), digest_size=16).digest()
    return [int(word) for word in np.frombuffer(digest, dtype=np.uint32)]
