"""Estimates of true answers from those that a defense told, by a table of pairs of both."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from scipy.spatial.distance import cdist

from moatbench.knobs import check_number, check_whole
from moatbench.numerics.simplex import normalised
from moatbench.types import Array, Generator, Labels

BLOCK = 2**22  # distances held at once
TIE = 1e-12  # distances that differ by less are equal


class Pairs(NamedTuple):
    """Answers that a defense told, beside the true ones.

    `told` (m, k), `true` (m, k) distributions, `labels` (m,) the labels told.
    """

    told: Array
    true: Array
    labels: Labels


class Restorer(Protocol):
    """Turns answers told into estimates of the true ones."""

    def restore(self, told: Array, labels: Labels) -> Array:
        """(n, k) estimates, from the answers told (n, k) and the labels told (n,)."""


class Method(Protocol):
    """Learns a restorer from pairs."""

    def learn(self, pairs: Pairs, keeps_labels: bool, rng: Generator) -> Restorer:
        """Learn from pairs, at least one, of a defense that keeps all labels, or does not."""


@dataclass(frozen=True)
class Lookup:
    """Look the answer up in a table ("partial Bayes"): the mean truth of the nearest entries.

    Near is what lies within `radius`, or no further than the nearest entries do (L1); of a defense
    that keeps labels, entries of the same label only. Departs from the published method where
    `neighbours` is more than 1: among ten classes hardly anything lies within 0.01 of an answer, so
    that the one nearest entry would decide.

    Args:
        radius: L1 distance, at least 0; published: 0.01.
        neighbours: entries that count however far they are, at least 1; published: 1.

    Source: Tang et al. 2024, "ModelGuard" (USENIX Security), the partial Bayes attack.
    """

    radius: float
    neighbours: int

    def __post_init__(self) -> None:
        check_number("lookup: radius", self.radius, 0)
        check_whole("lookup: neighbours", self.neighbours, 1)

    def learn(self, pairs: Pairs, keeps_labels: bool, rng: Generator) -> "AnswerTable":
        """Keep the pairs."""
        return AnswerTable(pairs, keeps_labels, self.radius, self.neighbours)


@dataclass(frozen=True)
class AnswerTable:
    """The pairs to look answers up in; arguments as for `Lookup`."""

    pairs: Pairs
    keeps_labels: bool
    radius: float
    neighbours: int

    def restore(self, told: Array, labels: Labels) -> Array:
        """Estimate by near pairs; an answer whose label the table lacks is believed."""
        if not self.keeps_labels:
            return self._means(told, np.ones(len(self.pairs.told), dtype=bool))
        found = normalised(told.clip(0))
        for label in np.unique(labels):
            same, asked = self.pairs.labels == label, labels == label
            if same.any():
                found[asked] = self._means(told[asked], same)
        return found

    def _means(self, told: Array, entries: Array) -> Array:
        """(n, k) the mean truth of the near ones among some entries."""
        known, true = self.pairs.told[entries], self.pairs.true[entries]
        size, last = max(1, BLOCK // len(known)), min(self.neighbours, len(known)) - 1
        found = np.empty((len(told), true.shape[1]))
        for start in range(0, len(told), size):
            part = slice(start, start + size)
            distance = cdist(told[part], known, "cityblock")
            within = np.partition(distance, last, axis=1)[:, [last]]
            near = (distance <= np.maximum(self.radius, within) + TIE).astype(np.float64)
            found[part] = near @ true / near.sum(axis=1, keepdims=True)
        return found
