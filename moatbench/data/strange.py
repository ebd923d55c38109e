"""Inputs of no class, for defenses that learn what is strange."""

from moatbench.types import Array, Generator
from moatbench.victim import Victim


def outliers(victim: Victim, n: int, rng: Generator) -> Array:
    """(n, d) rows of the defender's outliers (data@outliers=), drawn with repetition if few.

    Uniform valid inputs, where none are declared: of pictures these are noise, which resembles
    nothing that a thief would ask.
    """
    declared = victim.shares.outliers
    if declared is None:
        return victim.space.sample(n, rng)
    return declared[rng.choice(len(declared), size=n, replace=n > len(declared))]
