"""Models whose scores are linear: softmax regression, and binary logistic as its case k = 2."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.numerics.minimise import Solution, descend, fitted, levenberg_marquardt
from moatbench.numerics.objectives import CrossEntropy, LogOdds, Objective
from moatbench.types import Array, Generator, Mask

VISIBLE = 1e-6  # singular value, as a share of the largest, from which on weights are known
FAINT = 1e-9  # 1 - p has no more digits than p / 1e-16: fainter odds carry errors


def design(x: Array) -> Array:
    """Append the column of ones that the intercept multiplies: (n, d) to (n, d + 1)."""
    return np.hstack([x, np.ones((len(x), 1))])


@dataclass(frozen=True)
class Linear:
    """Scores a @ coef for a design `a` (n, d + 1); theta is coef (d + 1, k), class by class."""

    a: Array
    k: int

    least_ridge: ClassVar[float] = 0.0

    @property
    def unknowns(self) -> int:
        """Equations that determine the model: the scores' common shift does not matter."""
        return int(self.a.shape[1] * (self.k - 1))

    def coef(self, theta: Array) -> Array:
        """(d + 1, k), intercepts last."""
        return theta.reshape(self.k, -1).T

    def parameters(self, theta: Array) -> Mapping[str, Array]:
        """Coefficients (k, d) and intercepts (k,), summing to zero over the classes.

        With two classes, as scikit-learn has it: (1, d) and (1,), of the log-odds of the second.
        """
        coef = self.coef(theta)
        coef = coef - coef.mean(axis=1, keepdims=True)
        if self.k == 2:
            coef = coef[:, 1:] - coef[:, :1]
        return {"coef": coef[:-1].T, "intercept": coef[-1]}

    def scores(self, theta: Array) -> Array:
        return self.a @ self.coef(theta)

    def gradient(self, theta: Array, by_score: Array) -> Array:
        return (by_score.T @ self.a).ravel()

    def normal(self, theta: Array, curvature: Array) -> Array:
        return block_normal(self.a, curvature)

    def begin(self, rng: Generator) -> Array:
        """Where to start a fit."""
        return np.zeros(self.a.shape[1] * self.k)

    def fit(self, objective: Objective, theta: Array, ridge: float) -> Solution:
        """Fit to answers that are not exact."""
        return fitted(self, objective, theta, ridge)

    def solve(self, answers: Array, rng: Generator) -> Solution:
        """Solve for exact answers (n, k); zeros are classes not told."""
        odds = LogOdds(answers)
        if odds.reported.all():
            theta = log_ratios(self.a, answers).T.ravel()
            return Solution(theta, odds.value(self.scores(theta))[0], True)
        # Linear equations still: two or three steps, the later ones to regain lost digits.
        start = self.begin(rng)
        return levenberg_marquardt(self, odds, start, iterations=50, damping=1e-6, target=1e-28)


def block_normal(a: Array, curvature: Array) -> Array:
    """Sum over the rows of curvature (k, k) times the outer product of a (d + 1,) with itself.

    Only the blocks of the upper triangle are filled, unless all rows share one curvature.
    """
    k, width = curvature.shape[1], a.shape[1]
    if len(curvature) == 1:
        return np.kron(curvature[0], a.T @ a)
    normal = np.zeros((k, width, k, width))
    for i in range(k):
        for j in range(i, k):
            normal[i, :, j] = (a * curvature[:, i, j, None]).T @ a
    return normal.reshape(k * width, k * width)


def log_ratios(a: Array, answers: Array) -> Array:
    """Solve for softmax regression from exact answers, all of them above zero.

    Each row gives k - 1 linear equations, a (w_i - w_0) = log p_i / p_0, and all share one design:
    d + 1 rows in general position determine everything. (The k (d + 1) queries that Tramèr et al.
    2016, sec. 4.1.2, spend on it are k times too many.) Fewer rows give the least solution.

    Args:
        a: (n, d + 1), the design.
        answers: (n, k) probabilities.

    Returns:
        (d + 1, k) coefficients, intercepts last; each row sums to zero over the classes.
    """
    clear = clear_rows(answers, a.shape[1])
    a, answers = a[clear], answers[clear]
    logs = np.log(answers)
    coef: Array = np.linalg.lstsq(a, logs - logs.mean(axis=1, keepdims=True), rcond=None)[0]
    return coef


def clear_rows(answers: Array, width: int) -> Mask:
    """(n,) the answers (n, k) to solve for `width` unknowns a class: all, if too few are clear."""
    clear = np.asarray(answers.min(axis=1) > FAINT)
    return clear if clear.sum() >= 2 * width else np.ones(len(answers), bool)


def visible(a: Array) -> bool:
    """Whether rows (n, d) determine all d weights of a score that is linear in them.

    Normal equations lose what is too faint.
    """
    sizes = np.linalg.svd(a, compute_uv=False)
    return len(sizes) == a.shape[1] and bool(sizes[-1] > VISIBLE * sizes[0])


def cross_entropy(
    x: Array,
    targets: Array,
    ridge: float,
    start: Array | None = None,
    *,
    iterations: int = 1000,
    tolerance: float = 1e-7,
) -> tuple[Array, bool]:
    """Fit softmax regression to labels or soft labels: the penalised maximum-likelihood estimate.

    Args:
        x: (n, d).
        targets: (n, k) distributions over the classes; one-hot rows are labels.
        ridge: multiplies half the squared norm of all coefficients, intercepts included, beside
            the loss *averaged* over rows; scikit-learn's C is 1 / (ridge * n).
        start: (d + 1, k) where to start; None is zero.
        iterations: cap.
        tolerance: on the largest entry of the gradient.

    Returns:
        (d + 1, k) coefficients, the intercepts last; and whether the gradient met the tolerance.
    """
    model = Linear(design(x), targets.shape[1])
    theta = np.zeros(model.a.shape[1] * model.k) if start is None else start.T.ravel()
    fit = descend(
        model,
        CrossEntropy(targets),
        theta,
        iterations=iterations,
        ridge=ridge,
        tolerance=tolerance,
    )
    return model.coef(fit.theta), fit.converged
