"""Kernel machines: scores of many rows against support vectors, and surrogates of that kind."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from moatbench.models import forward
from moatbench.types import Array, Labels

Metric = Sequence[float] | Sequence[Sequence[float]]


def measured(x: Array, metric: Metric) -> Array:
    """(n, r) where a kernel measures the distances of x (n, d): x itself where `metric` is empty.

    Args:
        x: inputs.
        metric: a factor for each column, or a row of d factors for each of r coordinates.
    """
    if not len(metric):
        return x
    factors = np.asarray(metric, dtype=np.float64)
    return x * factors if factors.ndim == 1 else np.asarray(x @ factors.T)


@dataclass(frozen=True)
class Kernel:
    """A similarity of two inputs.

    Args:
        name: `rbf`, exp(-gamma |x - s|^2), or `poly`, (gamma x.s + coef0)^degree.
        gamma: > 0; of rbf the inverse of twice the squared width.
        degree: of poly, a whole number of at least 1.
        coef0: of poly, at least 0; 0 leaves only the monomials of the full degree.
    """

    name: str
    gamma: float
    degree: int = 1
    coef0: float = 0.0

    def __call__(self, x: Array, support: Array) -> Array:
        """(n, m) similarities of the rows of x (n, d) to those of support (m, d)."""
        product = x @ support.T
        if self.name == "poly":
            return np.asarray((self.gamma * product + self.coef0) ** self.degree)
        # Squares may come out a rounding error below zero.
        squares = (x**2).sum(axis=1)[:, None] + (support**2).sum(axis=1) - 2 * product
        return np.asarray(np.exp(-self.gamma * np.maximum(squares, 0.0)))


@dataclass(frozen=True)
class Machine:
    """Scores kernel(x, support) @ dual + intercept, one column for each pair of classes.

    Args:
        kernel: between inputs.
        support: (m, d) support vectors.
        dual: (m, pairs) their coefficients.
        intercept: (pairs,).
        k: classes; the pairs are (0, 1), (0, 2), ..., (k - 2, k - 1).
    """

    kernel: Kernel
    support: Array
    dual: Array
    intercept: Array
    k: int

    def scores(self, x: Array) -> Array:
        """(n, pairs); positive for the first class. The same bits for a row in any batch."""
        # One block at a time: a large victim has thousands of support vectors.
        parts = [self.kernel(block, self.support) @ self.dual for block in forward.blocks(x)]
        scores: Array = np.concatenate([np.empty((0, len(self.intercept))), *parts])[: len(x)]
        return scores + self.intercept

    def labels(self, x: Array) -> Labels:
        """(n,) the class with most votes of the pairs; the first in a tie, as libsvm has it."""
        return one_vs_one(self.scores(x), self.k)


def one_vs_one(scores: Array, k: int) -> Labels:
    """(n,) winners of the votes that scores (n, pairs) cast; a score of zero is for the second."""
    votes = np.zeros((len(scores), k), dtype=np.int64)
    for column, (first, second) in enumerate(zip(*np.triu_indices(k, 1), strict=True)):
        wins = scores[:, column] > 0
        votes[:, first] += wins
        votes[:, second] += ~wins
    winners: Labels = votes.argmax(axis=1).astype(np.int64)
    return winners


def machine(model: object, kernel: Kernel) -> Machine:
    """Take a fitted scikit-learn SVC apart; its classes must be 0..k-1.

    libsvm stores, for a support vector of class i, its coefficient in the pair with class j in row
    j - 1 of `dual_coef_` where j > i, and in row j where j < i.
    """
    counts, stored = np.asarray(model.n_support_), np.asarray(model.dual_coef_)  # type: ignore[attr-defined]
    support, intercept = np.asarray(model.support_vectors_), np.asarray(model.intercept_)  # type: ignore[attr-defined]
    k = len(counts)
    ends = np.concatenate([[0], np.cumsum(counts)])
    dual = np.zeros((len(support), k * (k - 1) // 2))
    for column, (i, j) in enumerate(zip(*np.triu_indices(k, 1), strict=True)):
        dual[ends[i] : ends[i + 1], column] = stored[j - 1, ends[i] : ends[i + 1]]
        dual[ends[j] : ends[j + 1], column] = stored[i, ends[j] : ends[j + 1]]
    if k == 2:  # scikit-learn turns the signs, so that its decision is positive for class 1
        dual, intercept = -dual, -intercept
    return Machine(kernel, support, dual, intercept, k)
