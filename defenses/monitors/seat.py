"""SEAT: an extraction asks sequences of queries that are alike, customers do not.

Source: Zhang et al. 2021, "SEAT: Similarity Encoder by Adversarial Training for Detecting Model
Extraction Attack Queries"; the rule by nearest neighbours as in its released code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf

import numpy as np
from scipy.spatial.distance import cdist

from moatbench.knobs import check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

ROWS = 2000  # of the defender's data, at most, to calibrate on
BLOCK = 256  # queries at a time: bounds the memory of queries x memory


@dataclass
class SEAT(Monitor):
    """Alarm when a query lies closer to earlier ones of its account than customers' queries do.

    The score of a query is minus the mean distance to the `neighbours` nearest of the account's
    last `memory` queries; there is none before the account has asked so many. A small mean needs
    many near queries, so that a customer who asks one row twice is not alarmed.

    Departs from the paper: its encoder is a network trained on pictures and their adversarially
    perturbed copies; here it is the standardised features, for tables. The threshold
    is calibrated for whole accounts; the .1 percentile of single queries, as in the released code,
    would alarm two honest accounts in five within 500 queries. An alarm lasts: the paper cancels
    the account.

    Args:
        neighbours: nearest earlier queries whose distances count.
        memory: latest queries of an account that are compared.
        calibration: of the threshold, on the defender's training data.
    """

    neighbours: int
    memory: int
    calibration: Calibration

    def __post_init__(self) -> None:
        check_whole("seat: neighbours", self.neighbours, 1)
        check_whole("seat: memory", self.memory, self.neighbours)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; find how near customers' queries come to each other."""
        self._accounts: dict[str, Array] = {}  # the latest rows, encoded
        self._latch = Latch()
        self._encode = Scaling.of(victim.shares.x_train)
        x = self._encode(victim.shares.x_train)
        x = x[rng.permutation(len(x))[:ROWS]]
        apart, drawn = cdist(x, x), self.calibration.draw(len(x), rng, repeats=False)
        self.threshold = self.calibration.threshold(
            [float(self._scores(apart[np.ix_(rows, rows)], 0).max()) for rows in drawn]
        )

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) minus the mean distance of each row to the nearest before it; -inf without."""
        past = self._accounts.get(account, np.empty((0, x.shape[1])))
        scores = [np.empty(0)]
        for block in _blocks(self._encode(x)):
            seen = np.concatenate([past, block])
            scores.append(self._scores(cdist(block, seen), len(past)))
            past = seen[-self.memory :]
        self._accounts[account] = past
        return np.concatenate(scores)

    def _scores(self, distances: Array, before: int) -> Array:
        """(n,) scores from (n, before + n) distances to all queries seen, these n at the end."""
        age = before + np.arange(len(distances))[:, None] - np.arange(distances.shape[1])
        earlier = np.where((age > 0) & (age <= self.memory), distances, inf)
        k = self.neighbours
        if earlier.shape[1] < k:
            return np.full(len(earlier), -inf)
        # Sorted, so that the sum does not depend on where in a batch the neighbours stand
        nearest = np.sort(np.partition(earlier, k - 1, axis=1)[:, :k], axis=1)
        return np.asarray(-nearest.mean(axis=1))


def _blocks(x: Array) -> Iterator[Array]:
    for start in range(0, len(x), BLOCK):
        yield x[start : start + BLOCK]
