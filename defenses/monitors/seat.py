"""SEAT: an extraction asks sequences of queries that are alike, customers do not.

Source: Zhang et al. 2021, "SEAT: Similarity Encoder by Adversarial Training for Detecting Model
Extraction Attack Queries".
Read: authors' code, abstract.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.spatial.distance import cdist

from moatbench.knobs import check_choice, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

ROWS = 2000  # of the defender's data, at most, to find the threshold on
BLOCK = 256  # queries at a time: bounds the memory of queries x memory
THRESHOLDS = ("published", "calibrated")
PERCENTILE = 0.1  # of the training rows' distances, as released


@dataclass
class SEAT(Monitor):
    """Alarm when so many of an account's queries lie close to its earlier ones.

    The distance of a query is the mean to the `neighbours` nearest of the account's last `memory`
    queries; there is none before the account has asked so many. The score is minus the
    `close`-th smallest distance so far: the account is in alarm once so many queries were closer
    than the threshold. As released: the 1 nearest of 100,000, alarm at the 50th close query, and
    close is what is below the .1 percentile of the training rows' own distances. Ours, before that
    was known, was the first query closer than honest accounts' are (`close` 1, `calibrated`, 5
    neighbours, as a customer who asks one row twice is not to be alarmed); it catches fewer.

    Departs from the paper: its encoder is a network trained on pictures and their adversarially
    perturbed copies; here it is the standardised features, for tables. An alarm lasts: there the
    account is cancelled. Verified: scores are those of loops; at the published threshold no
    customer of digits or adult_income is in alarm.

    Args:
        neighbours: nearest earlier queries whose distances count.
        close: close queries of an account at which the alarm sounds.
        memory: latest queries of an account that are compared.
        threshold_from: `published`, the percentile; or `calibrated`, on whole honest accounts.
        calibration: of the threshold, on the defender's training data; where it is calibrated.
    """

    neighbours: int
    close: int
    memory: int
    threshold_from: str
    calibration: Calibration

    def __post_init__(self) -> None:
        check_whole("seat: neighbours", self.neighbours, 1)
        check_whole("seat: close", self.close, 1)
        check_whole("seat: memory", self.memory, self.neighbours)
        check_choice("seat: threshold_from", self.threshold_from, THRESHOLDS)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; find how near customers' queries come to each other."""
        self._accounts: dict[str, _Account] = {}
        self._latch = Latch()
        self._encode = Scaling.of(victim.shares.x_train)
        x = self._encode(victim.shares.x_train)
        x = x[rng.permutation(len(x))[:ROWS]]
        apart, drawn = cdist(x, x), self.calibration.draw(len(x), rng, repeats=False)
        if self.threshold_from == "published":
            self.threshold = self._percentile(apart)
            return
        self.threshold = self.calibration.threshold(
            [float(self._ranked(self._distances(apart[np.ix_(r, r)], 0))[-1]) for r in drawn]
        )

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) minus the `close`-th smallest distance so far; -inf before there are so many."""
        known = self._accounts.setdefault(account, _Account(np.empty((0, x.shape[1])), np.empty(0)))
        away = [np.empty(0)]
        for block in _blocks(self._encode(x)):
            seen = np.concatenate([known.rows, block])
            away.append(self._distances(cdist(block, seen), len(known.rows)))
            known.rows = seen[-self.memory :]
        distances = np.concatenate([known.smallest, *away])
        scores = self._ranked(distances)[len(known.smallest) :]
        known.smallest = np.sort(distances)[: self.close]
        return scores

    def _percentile(self, apart: Array) -> float:
        """Return minus the percentile of m rows' distances to their nearest others, (m, m)."""
        others = apart + np.diag(np.full(len(apart), inf))
        if len(apart) <= self.neighbours:
            return inf
        nearest = np.sort(others, axis=1)[:, : self.neighbours].mean(axis=1)
        return -float(np.percentile(nearest, PERCENTILE))

    def _distances(self, distances: Array, before: int) -> Array:
        """(n,) means of nearest of (n, before + n) distances to all queries, these n at the end."""
        age = before + np.arange(len(distances))[:, None] - np.arange(distances.shape[1])
        earlier = np.where((age > 0) & (age <= self.memory), distances, inf)
        k = self.neighbours
        if earlier.shape[1] < k:
            return np.full(len(earlier), inf)
        # Sorted, so that the sum does not depend on where in a batch the neighbours stand
        nearest = np.sort(np.partition(earlier, k - 1, axis=1)[:, :k], axis=1)
        return np.asarray(nearest.mean(axis=1))

    def _ranked(self, distances: Array) -> Array:
        """(n,) minus the `close`-th smallest of (n,) distances up to each."""
        if self.close == 1:
            return -np.minimum.accumulate(distances)
        found, smallest = np.full(len(distances), -inf), np.full(self.close, inf)
        for place, distance in enumerate(distances):
            if distance < smallest[-1]:
                smallest[-1] = distance
                smallest.sort()
            found[place] = -smallest[-1]
        return found


@dataclass
class _Account:
    """What is known of an account: its latest rows, encoded, and its smallest distances."""

    rows: Array
    smallest: Array


def _blocks(x: Array) -> Iterator[Array]:
    for start in range(0, len(x), BLOCK):
        yield x[start : start + BLOCK]
