"""What accounts ask, in order, as monitors are shown it, and a threshold that spares customers."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import numpy as np

from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim


class Stream(NamedTuple):
    """What one account asks: x (n, d), the labels it is told (n,), and which rows are a thief's."""

    x: Array
    labels: Labels
    stolen: Mask


def customers(victim: Victim, accounts: int, queries: int, rng: Generator) -> list[Stream]:
    """Draw customers, each with distinct rows of the test data in an order of its own."""
    x = victim.shares.x_test
    labels, n = victim.predict(x).labels, min(queries, len(x))
    orders = [rng.permutation(len(x))[:n] for _ in range(accounts)]
    return [Stream(x[rows], labels[rows], np.zeros(n, bool)) for rows in orders]


def threshold_at(benign: Sequence[Array], rate: float) -> float:
    """Return the least threshold that alarms at most so large a share of benign accounts."""
    greatest = np.sort([one.max(initial=-inf) for one in benign])[::-1]
    return float(greatest[int(rate * len(greatest) + 1e-9)])
