"""BDPL: near the boundary, a coin decides which of the two labels is told.

Source: Zheng et al. 2019, "BDPL: A Boundary Differentially Private Layer Against Machine Learning
Model Extraction Attacks", the boundary randomised response and its corner points.
Read: abstract. Rule and constants are from memory of the paper, and unverified.
"""

from dataclasses import dataclass
from math import sqrt, tanh

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.numerics.keyed import keyed_uniform
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import NotApplicable, Victim

ROWS = 2**14  # probes in one batch to the victim, about
EXACT = 1e-12  # rows on the grid are the same to the last bit


@dataclass
class BDPL(Defense):
    """Tell labels only, and in a zone along the boundary flip them at random.

    A row is in the zone if any of its corner points x +- zone e_i, within the bounds, has another
    label: for a linear boundary, if |w.x + b| < zone max_i |w_i|. There the true label is told with
    probability P = 1/2 + sqrt(e^(2 epsilon) - 1) / (2 + 2 e^epsilon), else the other. Verified: for
    any two rows in the zone, Pr[told the same] and Pr[told different] then differ by the factor
    e^epsilon at most, and by exactly that.

    The coin is a function of the row's cell under a secret key, as the label is within it (the
    true one is that of its middle): were the truth that of the row itself, two neighbours on
    either side of the boundary would be told apart, flipped or not, and bisection would be exact.

    Args:
        epsilon: privacy loss in the zone, above 0 and up to 100.
        zone: half its width, at least 0, in units in which each numeric feature spans [-1, 1];
            0 leaves label-only.
        grid: side of a cell, above 0 and up to 2, in the same units; a repeat with less jitter is
            told the same.
    """

    epsilon: float
    zone: float
    grid: float

    traits = Traits(
        {"noisy", "withholds"}, keeps_labels=False, confidences=False, noise=NoiseModel("keyed")
    )

    def __post_init__(self) -> None:
        check_number("bdpl: epsilon", self.epsilon, 0, 100, above=True)
        check_number("bdpl: zone", self.zone, 0, 2, hint="; features span [-1, 1]")
        check_number("bdpl: grid", self.grid, 0, 2, above=True, hint="; for example 1e-6")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key; need two classes, and a numeric feature to move along."""
        if len(victim.classes) != 2:
            raise NotApplicable(
                f"bdpl flips one of two labels, and this victim has {len(victim.classes)} classes; "
                "choose a binary data set, or leave bdpl out"
            )
        self._columns = np.flatnonzero(victim.space.numeric)
        if not len(self._columns):
            raise NotApplicable(
                "bdpl moves a row along numeric features, and this victim has none; choose another "
                "data set, or leave bdpl out"
            )
        self._victim, self._key = victim, rng.bytes(32)
        self._truth = truth_probability(self.epsilon)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer labels; in the zone, those of the coin. No path: it would tell the splits."""
        labels, inside = reply.labels.copy(), self.in_zone(x)
        if inside.any():
            cell = self._victim.space.snap(x[inside], self.grid / 2)
            told = self._victim.predict(cell).labels
            flip = (
                keyed_uniform(self._key, self._victim.space.scaled(cell), 1, EXACT)[:, 0]
                > self._truth
            )
            labels[inside] = np.where(flip, 1 - told, told)
        return Reply(labels, refused=reply.refused)

    def in_zone(self, x: Array) -> Mask:
        """(n,) whether some corner point of each row has another label."""
        if self.zone == 0:
            return np.zeros(len(x), dtype=bool)
        batch = max(1, ROWS // (2 * len(self._columns) + 1))
        parts = [self._around(x[i : i + batch]) for i in range(0, len(x), batch)]
        differ = [(part != part[:, :1]).any(axis=1) for part in parts]
        return np.concatenate([np.zeros(0, dtype=bool), *differ])

    def _around(self, x: Array) -> Labels:
        """(n, 1 + 2 m) labels of each row and its corner points along m numeric features."""
        space, m = self._victim.space, len(self._columns)
        reach = self.zone * (space.high - space.low)[self._columns] / 2
        reach = np.maximum(reach, space.steps[self._columns])  # less than a step is no other row
        corners = np.repeat(x[:, None], 2 * m + 1, axis=1)
        corners[:, np.arange(1, m + 1), self._columns] += reach
        corners[:, np.arange(m + 1, 2 * m + 1), self._columns] -= reach
        corners = np.clip(corners, space.low, space.high)
        return self._victim.predict(corners.reshape(-1, space.d)).labels.reshape(len(x), -1)


def truth_probability(epsilon: float) -> float:
    """P of the paper, in a form that does not overflow: (e^eps - 1) / (e^eps + 1) = tanh(eps/2)."""
    return 0.5 + 0.5 * sqrt(tanh(epsilon / 2))
