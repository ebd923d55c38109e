"""Which sets of classes an answer may have been moved towards."""

from functools import lru_cache
from itertools import product

import numpy as np

from moatbench.types import Array, Mask

LARGE = 20  # classes of large confidence that are left out, at most
UNSURE = 6  # classes whose place a guess leaves open
ROUNDS = 10  # of sorting classes in and out
SLACK = 1e-4  # of the raise, for the lead of the top class


@lru_cache
def all_sets(k: int, top: int) -> Mask:
    """(2^(k - 1), k) all sets of k classes that hold class `top`, by their members."""
    sets = (np.arange(2**k)[:, None] >> np.arange(k)) & 1 == 1
    return np.asarray(sets[sets[:, top]])


def likely_sets(told: Array, top: int, epsilon: float, guess: Array | None) -> Mask:
    """(j, k) sets with class `top` that a greedy search for a step's vertex may have ended with.

    Such a set holds the classes whose true confidence is less than what an ignorant model gives
    them. All members were raised by as much. So among what was told (k,) they stand together:
    below them is what was left out and small, above them what was left out and large.
    """
    k = len(told)
    others = np.array([j for j in np.argsort(-told, kind="stable") if j != top])
    first, last = np.triu_indices(k)
    first, last = first[first <= LARGE], last[first <= LARGE]
    block = (np.arange(k - 1) >= first[:, None]) & (np.arange(k - 1) < last[:, None])
    sets = np.zeros((len(block), k), bool)
    sets[:, others], sets[:, top] = block, True
    raised, _ = _step(told, sets, epsilon)
    sets = sets[np.where(sets, told, 1.0).min(axis=1) >= raised * (1 - SLACK)]
    return sets if guess is None else np.concatenate([sets, _near(told, sets, top, epsilon, guess)])


def _step(told: Array, sets: Mask, epsilon: float) -> tuple[Array, Array]:
    """(j,) by how much a step towards each set raised its members, and by what all shrank."""
    size = sets.sum(axis=1)
    length = np.abs(told - sets / size[:, None]).sum(axis=1)
    return epsilon / (epsilon + length) / size, length / (epsilon + length)


def _near(told: Array, sets: Mask, top: int, epsilon: float, guess: Array) -> Mask:
    """Sets that explain what was told of nearly this guess, from those at hand on."""
    doubt = np.zeros(sets.shape)
    for _ in range(ROUNDS):
        raised, shrunk = _step(told, sets, epsilon)
        left = told - shrunk[:, None] * guess
        doubt = np.abs(left) - np.abs(
            left - raised[:, None]
        )  # > 0: nearer to what a member is told
        doubt[:, top] = np.inf
        sets = doubt > 0
    raised, shrunk = _step(told, sets, epsilon)
    gap = np.abs(told - shrunk[:, None] * guess - raised[:, None] * sets).sum(axis=1)
    if not len(gap):
        return sets
    best, flips = int(gap.argmin()), np.array(list(product((False, True), repeat=UNSURE)))
    unsure = np.argsort(np.abs(doubt[best]))[:UNSURE]
    found: Mask = np.tile(sets[best], (len(flips), 1))
    found[:, unsure] ^= flips
    return found
