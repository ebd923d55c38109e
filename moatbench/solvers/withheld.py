"""Rows whose confidences were withheld, beside others that were told."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, log_softmax

from moatbench.models.linear import Linear
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.minimise import Solution
from moatbench.numerics.objectives import Objective
from moatbench.solvers.pooled_odds import PooledOdds
from moatbench.types import Array, Labels

SOFTNESS = (1.0, 0.3, 0.1)  # in log-odds, in turn
WEIGHT = 1e3  # of a told row, which is exact, beside one that is withheld
PRIOR = 1e-4  # ridge: of all that fit, the least


@dataclass(frozen=True)
class Withheld:
    """Penalty on scores under which a row would have another label, or would have been told.

    It is softplus of the log-odds by which another class is above the label's, and of the log by
    which the label's probability is above `most`, over `softness`.

    Args:
        labels: (n,) the answered classes.
        most: no label whose confidences were withheld is more probable.
        softness: the annealing parameter.
    """

    labels: Labels
    most: float
    softness: float

    def value(self, scores: Array) -> tuple[float, Array]:
        beyond, rows, n = self._beyond(scores), np.arange(len(scores)), len(scores)
        pull = expit(beyond)
        over = pull[rows, self.labels].copy()
        pull[rows, self.labels] = 0.0
        pull[rows, self.labels] = over - pull.sum(axis=1)
        pull -= over[:, None] * np.exp(log_softmax(scores, axis=1))
        return self.softness * float(np.logaddexp(0, beyond).sum()) / n, pull / n

    def curvature(self, scores: Array) -> Array:
        pull, (rows, k) = expit(self._beyond(scores)), (np.arange(len(scores)), scores.shape[1])
        bend = pull * (1 - pull) / (self.softness * len(scores))
        own = np.eye(k)[self.labels]
        ways = np.eye(k) - own[:, None, :]  # by class: its score less the label's
        ways[rows, self.labels] = own - np.exp(log_softmax(scores, axis=1))
        curvature: Array = ways.transpose(0, 2, 1) @ (bend[:, :, None] * ways)
        return curvature

    def _beyond(self, scores: Array) -> Array:
        """(n, k) by how much each class is too high, in units of `softness`."""
        rows = np.arange(len(scores))
        beyond = scores - scores[rows, self.labels][:, None]
        log_p = np.asarray(log_softmax(scores, axis=1))
        beyond[rows, self.labels] = log_p[rows, self.labels] - np.log(self.most)
        return beyond / self.softness


@dataclass(frozen=True)
class Both:
    """One objective on the first rows, and another on the others.

    Args:
        first: for the first `split` rows.
        last: for the rest.
        split: where they part.
        weight: of the first.
    """

    first: Objective
    last: Objective
    split: int
    weight: float

    def value(self, scores: Array) -> tuple[float, Array]:
        (a, by_a), (b, by_b) = (
            part.value(rows) for part, rows in zip(self._parts, self._cut(scores), strict=True)
        )
        return self.weight * a + b, np.concatenate([self.weight * by_a, by_b])

    def curvature(self, scores: Array) -> Array:
        a, b = (
            part.curvature(rows) for part, rows in zip(self._parts, self._cut(scores), strict=True)
        )
        first = np.broadcast_to(self.weight * a, (self.split, *a.shape[1:]))
        return np.concatenate([first, b])

    @property
    def _parts(self) -> tuple[Objective, Objective]:
        return self.first, self.last

    def _cut(self, scores: Array) -> list[Array]:
        return np.split(scores, [self.split])


def fit_withheld(
    model: Linear | OneVsRest, answers: Array, labels: Labels, theta: Array
) -> Solution:
    """Fit to exact answers, and to labels of rows whose confidences were withheld.

    What is withheld is taken for less sure than all that is told.

    Args:
        model: on the rows that were told, then on the others.
        answers: (m, k) what was told of the first m rows; zeros are classes left out.
        labels: (n - m,) of the others.
        theta: where to start.
    """
    fit, most = Solution(theta, 0.0, True), float(answers.max(axis=1).min())
    for softness in SOFTNESS:
        last = Withheld(labels, most, softness)
        objective = Both(
            PooledOdds(answers), last, len(answers), WEIGHT * len(answers) / len(labels)
        )
        fit = model.fit(objective, fit.theta, PRIOR)
    return fit
