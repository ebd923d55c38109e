"""Which of many candidates to ask about, by what a surrogate makes of them.

Sources: entropy, k-center and their union with adversarial distance as in Pal et al. 2020,
"ActiveThief" (AAAI); the distance is that of Ducoffe & Precioso 2018 (arXiv:1802.09841) to first
order. Margin: Scheffer et al. 2001. Disagreement: Seung et al. 1992.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.special import xlogy

from moatbench.numerics.spread import k_center
from moatbench.types import Array, Labels, Rows

WIDE = 3  # times as many in doubt as are wanted, of which the most spread are taken
TINY = 1e-9


class Guide(Protocol):
    """A surrogate that is asked which candidates are worth a query."""

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities."""


class Sloping(Guide, Protocol):
    """One whose scores have slopes."""

    def slopes(self, x: Array, towards: Labels, away: Labels) -> Array:
        """(n, d) how the score of one class above another's grows with each column."""


def by_entropy(guide: Guide, candidates: Array, known: Array, n: int) -> Rows:
    """Take those whose answers are the least sure."""
    p = guide.outputs(candidates)
    return np.argsort(xlogy(p, p).sum(axis=1), kind="stable")[:n]


def by_margin(guide: Guide, candidates: Array, known: Array, n: int) -> Rows:
    """Take those whose two likeliest classes are nearest to each other."""
    return np.argsort(margins(guide.outputs(candidates)), kind="stable")[:n]


def by_spread(guide: Guide, candidates: Array, known: Array, n: int) -> Rows:
    """Take those whose answers are the farthest from each other and from all known ones."""
    told = guide.outputs(known) if len(known) else np.empty((0, 1))
    return k_center(guide.outputs(candidates), told, n)


def by_distance(guide: Guide, candidates: Array, known: Array, n: int) -> Rows:
    """Take those nearest to the boundary of the two likeliest classes, to first order."""
    return np.argsort(_distances(guide, candidates), kind="stable")[:n]


def by_distance_and_spread(guide: Guide, candidates: Array, known: Array, n: int) -> Rows:
    """Take the most spread of those near the boundary."""
    near = np.argsort(_distances(guide, candidates), kind="stable")[: WIDE * n]
    told = guide.outputs(known) if len(known) else np.empty((0, 1))
    return near[k_center(guide.outputs(candidates[near]), told, n)]


def _distances(guide: Guide, candidates: Array) -> Array:
    """(m,) distance to the nearest boundary; the margin, where the guide has no slopes."""
    p = guide.outputs(candidates)
    if not hasattr(guide, "slopes"):
        return margins(p)
    first, second = np.argsort(-p, axis=1, kind="stable")[:, :2].T
    rows = np.arange(len(p))
    gap = np.log(p[rows, first] + TINY) - np.log(p[rows, second] + TINY)
    length = np.linalg.norm(guide.slopes(candidates, first, second), axis=1)
    return np.asarray(gap / np.maximum(length, TINY))


def margins(p: Array) -> Array:
    """(n,) how far the most probable class is above the next, of distributions (n, k)."""
    top = np.partition(p, -2, axis=1)[:, -2:]
    return np.asarray(top[:, 1] - top[:, 0])


SELECTIONS: dict[str, Callable[[Guide, Array, Array, int], Rows]] = {
    "entropy": by_entropy,
    "margin": by_margin,
    "kcenter": by_spread,
    "dfal": by_distance,
    "dfal_kcenter": by_distance_and_spread,
}
