"""Fit softmax regression to a few exact answers, and to the labels of all others.

Each exact answer takes one dimension from the inputs' space, for all classes at once; labels choose
among what is left.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from moatbench.client import Card, Surrogate
from moatbench.learners.learner import Learner
from moatbench.learners.published import linear_odds, odds_learner
from moatbench.learners.purchases import Purchases
from moatbench.models.linear import Linear
from moatbench.numerics.minimise import descend
from moatbench.numerics.objectives import CrossEntropy
from moatbench.reply import from_outputs
from moatbench.solvers.screening import recurring
from moatbench.types import Array, Labels, Mask, Rows

RIDGES: Array = 10.0 ** -np.arange(2.0, 8.0)
STEPS, TOLERANCE = 300, 1e-6
HELD_OUT = 5  # every fifth label judges
FAINT = 1e-12  # a confidence below has no log to speak of
NOTHING = 1e-9  # of the largest singular value: a dimension that no exact answer has


@dataclass(frozen=True)
class Shifted:
    """Cross-entropy of scores that are added to others, (n, k), which are fixed."""

    base: Array
    loss: CrossEntropy

    def value(self, scores: Array) -> tuple[float, Array]:
        return self.loss.value(self.base + scores)

    def curvature(self, scores: Array) -> Array:
        return self.loss.curvature(self.base + scores)


@dataclass(frozen=True)
class FewExact:
    """A fit to few exact answers, and to labels.

    Args:
        learner: of the family.
        w: (d, k) weights.
        exact: answers that were taken for exact.
        held: (n,) the answers whose labels chose the ridge.
        right: share of those that it had right, fitted to the others.
    """

    learner: Learner
    w: Array
    exact: int
    held: Mask
    right: float

    def outputs(self, x: Array) -> Array:
        """(n, k) what it says."""
        return np.asarray(softmax(_features(self.learner, x) @ self.w, axis=1))

    def surrogate(self) -> Surrogate:
        """Return it as what was stolen."""
        note = f"{self.exact} answers are told again and again: exact the first time; and labels"
        return Surrogate(lambda x: from_outputs(self.outputs(x)), note=note)


def few_exact(card: Card, bought: Purchases) -> FewExact | None:
    """Fit where the same answers recur; None where they do not, or the family is another."""
    few = len(card.classes) < 3 or not card.full
    if not linear_odds(card) or few or not recurring(bought):
        return None
    learner, outputs = odds_learner(card), bought.outputs
    exact = np.zeros(len(outputs), bool)
    exact[np.unique(outputs, axis=0, return_index=True)[1]] = True
    exact &= np.nan_to_num(outputs).min(axis=1) > FAINT
    if not exact.any() or exact.all():
        return None
    held = np.zeros(len(outputs), bool)
    held[np.flatnonzero(~exact)[HELD_OUT - 1 :: HELD_OUT]] = True
    w, right = fit_beside(_features(learner, bought.x), outputs, exact, bought.labels)
    return FewExact(learner, w, int(exact.sum()), held, right)


def _features(learner: Learner, x: Array) -> Array:
    model = learner.model(x)
    assert isinstance(model, Linear)
    return model.a


def fit_beside(a: Array, answers: Array, exact: Mask, labels: Labels) -> tuple[Array, float]:
    """Return weights (d, k), and how often they predict held-out labels.

    Args:
        a: (n, d) features.
        answers: (n, k) of which some rows are exact, and have no zeros.
        exact: (n,) which.
        labels: (n,) of all rows.
    """
    logs = np.log(answers[exact])
    fixed = np.linalg.lstsq(a[exact], logs - logs.mean(axis=1, keepdims=True), rcond=None)[0]
    _, sizes, basis = np.linalg.svd(a[exact], full_matrices=True)
    free = basis[int((sizes > NOTHING * sizes[0]).sum()) :].T  # (d, what is left)
    rest = np.flatnonzero(~exact)
    if not free.shape[1] or not len(rest):
        return fixed, 1.0
    held = np.arange(len(rest)) % HELD_OUT == HELD_OUT - 1
    scores, k = a @ fixed, answers.shape[1]

    def fit(rows: Rows, ridge: float, start: Array) -> Array:
        objective = Shifted(scores[rows], CrossEntropy(np.eye(k)[labels[rows]]))
        model = Linear(a[rows] @ free, k)
        return descend(
            model, objective, start, iterations=STEPS, ridge=ridge, tolerance=TOLERANCE
        ).theta

    best, chosen = -1.0, RIDGES[0]
    theta = np.zeros(free.shape[1] * k)
    for ridge in RIDGES:
        theta = fit(rest[~held], float(ridge), theta)
        right = _right(scores, a @ free, theta, labels, rest[held])
        if right > best:
            best, chosen = right, ridge
    theta = fit(rest, float(chosen), np.zeros_like(theta))
    return fixed + free @ theta.reshape(k, -1).T, best


def _right(base: Array, a: Array, theta: Array, labels: Labels, rows: Rows) -> float:
    scores = base[rows] + a[rows] @ theta.reshape(base.shape[1], -1).T
    return float((scores.argmax(axis=1) == labels[rows]).mean())
