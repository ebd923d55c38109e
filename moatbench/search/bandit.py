"""Which groups of a pool pay: the adaptive strategy of Orekondy et al. 2019, "Knockoff Nets"."""

import numpy as np

from moatbench.search.selection import margins
from moatbench.types import Array, Generator

GROUPS = 20  # arms; the paper takes the classes of a labelled pool
RATE = 5.0  # of the preferences, for rewards from 0 to 1
LEAST = 1e-12  # a probability that is foreseen
SEEN = 5000  # rows of the pool from which the groups are found


class Bandit:
    """A gradient bandit whose arms are groups of like rows.

    A row pays by how sure the victim's answer is, how far it lies from its mean answer, and how
    badly the surrogate foresaw it, each from 0 to 1. Each row is asked once: an arm without rows is
    drawn no more, and the round goes on among the others.

    Args:
        pool: (m, d) rows, at least one.
        rng: draws the groups, arms and rows.
    """

    def __init__(self, pool: Array, rng: Generator) -> None:
        from sklearn.cluster import KMeans

        self._pool, self._rng = pool, rng
        k = min(GROUPS, len(np.unique(pool[:SEEN], axis=0)))
        means = KMeans(k, n_init=1, random_state=int(rng.integers(2**31))).fit(pool[:SEEN])
        group = means.predict(pool)
        order = rng.permutation(len(pool))
        self._rows: list[list[int]] = [order[group[order] == g].tolist() for g in range(k)]
        self._preference, self._mean, self._rounds = np.zeros(k), 0.0, 0
        self._arm_of: dict[bytes, int] = {}

    @property
    def _odds(self) -> Array:
        """(k,) how likely each arm is to be drawn; one without rows is not, while others have."""
        full = np.array([bool(rows) for rows in self._rows])
        preference = np.where(full | ~full.any(), self._preference, -np.inf)
        e = np.exp(preference - preference.max())
        return np.asarray(e / e.sum())

    def draw(self, n: int) -> Array:
        """(at most n, d) rows of arms drawn by what they have paid; fewer once all are spent."""
        arms: list[int] = []
        rows: list[int] = []
        while len(rows) < n and any(self._rows):
            for arm in self._rng.choice(len(self._rows), size=n - len(rows), p=self._odds):
                if self._rows[arm]:
                    arms.append(int(arm))
                    rows.append(self._rows[arm].pop())
        x = self._pool[np.array(rows, np.intp)]
        self._arm_of = {row.tobytes(): arm for row, arm in zip(x, arms, strict=True)}
        return x

    def learn(self, x: Array, targets: Array, mean: Array, foreseen: Array | None) -> None:
        """Prefer the arms whose rows were answered as rewards say; uniform rows count for none.

        Args:
            x: (n, d) what was answered of this round.
            targets: (n, k) the answers.
            mean: (k,) of all answers so far.
            foreseen: (n, k) what the surrogate before the round made of x.
        """
        if not len(x):
            return
        told = np.log(np.maximum(targets if foreseen is None else foreseen, LEAST))
        parts = (
            margins(targets),
            np.abs(targets - mean).sum(axis=1),
            -(targets * told).sum(axis=1),
        )
        reward = np.mean([_scaled(part) for part in parts], axis=0)
        arms = np.array([self._arm_of.get(row.tobytes(), -1) for row in x], np.intp)
        self._rounds += 1
        self._mean += (float(reward.mean()) - self._mean) / self._rounds
        odds = self._odds
        for arm in np.unique(arms[arms >= 0]):
            gain = RATE * (float(reward[arms == arm].mean()) - self._mean)
            self._preference -= gain * odds
            self._preference[arm] += gain


def _scaled(values: Array) -> Array:
    """(n,) from 0 for the least to 1 for the greatest."""
    width = float(np.ptp(values))
    return (values - values.min()) / width if width else np.zeros(len(values))
