"""ModelGuard-S: answers are told by the first earlier answer that is near enough.

Source: Tang et al. 2024, "ModelGuard: Information-Theoretic Defense Against Model Extraction
Attacks" (USENIX Security), the incremental quantiser of the authors' code.
Read: authors' code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.reply import Reply, has_outputs
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim

BLOCK = 2**20  # numbers compared at once, about


@dataclass
class ModelGuardS(Defense):
    """Keep an ordered list of centroids for each top class; tell the first within epsilon.

    An answer with no centroid within epsilon (L1) becomes the last of the list, and is told as it
    is: the first answers are the exact truth. The list only grows, so that a repeat is told the
    same. One list serves all accounts, as in the authors' code: what one asks changes what the
    others are told (`shared`). Nothing is drawn at random; the order of the queries is what varies.

    Verified: each answer is within epsilon of the truth and has its top class; any two centroids of
    a class are further apart than epsilon; against one row after another, by loops.

    Args:
        epsilon: L1 radius, from 0 to 2; 0 is no defense, 2 tells one answer a class.
    """

    epsilon: float

    traits = Traits({"perturbs", "remembers"}, shared=True, memory="rows")
    harmless: ClassVar[dict[str, Any]] = {"epsilon": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"epsilon": (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)}

    def __post_init__(self) -> None:
        check_number("modelguard_s: epsilon", self.epsilon, 0, 2, hint="; 0 is no defense")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget all centroids; need whole distributions."""
        victim.require_probabilities("modelguard_s", full=True)
        k = len(victim.classes)
        self.centroids = [np.zeros((0, k)) for _ in range(k)]

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer centroids; a row without outputs stays as it is."""
        if reply.outputs is None or self.epsilon == 0:
            return reply
        outputs = np.array(reply.outputs, order="C")
        told = has_outputs(outputs)
        top = np.where(told, outputs.argmax(axis=1), -1)
        for c in np.unique(top[told]):
            outputs[top == c] = self._quantised(outputs[top == c], int(c))
        return reply.with_outputs(outputs)

    def _quantised(self, y: Array, c: int) -> Array:
        """(n, k) a centroid for each answer whose top class is c; the list grows as it must."""
        centroids = self.centroids[c]
        place = self._first_within(y, centroids)
        left = np.flatnonzero(place < 0)
        new: list[Array] = []
        while len(left):  # the earliest row founds a centroid, which serves later rows alone
            place[left[self._near(y[left], y[left[0]])]] = len(centroids) + len(new)
            new.append(y[left[0]])
            left = left[place[left] < 0]
        self.centroids[c] = np.vstack([centroids, *new])
        return np.asarray(self.centroids[c][place])

    def _first_within(self, y: Array, centroids: Array) -> Array:
        """(n,) the place of the first centroid near each answer, -1 where there is none."""
        place = np.full(len(y), -1)
        batch = max(1, BLOCK // max(1, centroids.size))
        for start in range(0, len(y) if len(centroids) else 0, batch):
            rows = slice(start, start + batch)
            near = self._near(y[rows, None], centroids)
            place[rows] = np.where(near.any(axis=1), near.argmax(axis=1), -1)
        return place

    def _near(self, y: Array, centroid: Array) -> Array:
        """Whether answers (..., k) are within epsilon of centroids (..., k)."""
        near: Array = np.abs(y - centroid).sum(axis=-1) <= self.epsilon
        return near
