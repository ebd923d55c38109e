"""One-vs-rest logistic regression, its k sigmoids divided by their sum."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, log_expit

from moatbench.models.linear import block_normal, log_ratios
from moatbench.numerics.minimise import Solution, fitted, levenberg_marquardt
from moatbench.numerics.objectives import LogOdds, Objective
from moatbench.types import Array, Generator

EXACT = 1e-28  # half the mean squared gap in log-odds, summed over the classes of a row
SHIFTS = (1.0, 3.0)  # of the intercepts, where the search starts


@dataclass(frozen=True)
class OneVsRest:
    """Scores log sigma(a @ coef), whose softmax is sigma_i / sum of sigma_j.

    `a` is a design (n, d + 1); theta is coef (d + 1, k), class by class.
    """

    a: Array
    k: int

    least_ridge: ClassVar[float] = 0.0

    @property
    def unknowns(self) -> int:
        """Equations that determine the model."""
        return int(self.a.shape[1] * self.k)

    def coef(self, theta: Array) -> Array:
        """(d + 1, k), intercepts last."""
        return theta.reshape(self.k, -1).T

    def parameters(self, theta: Array) -> Mapping[str, Array]:
        """Coefficients (k, d) and intercepts (k,) of the k sigmoids."""
        coef = self.coef(theta)
        return {"coef": coef[:-1].T, "intercept": coef[-1]}

    def scores(self, theta: Array) -> Array:
        scores: Array = log_expit(self.a @ self.coef(theta))
        return scores

    def gradient(self, theta: Array, by_score: Array) -> Array:
        return ((by_score * self._slope(theta)).T @ self.a).ravel()

    def normal(self, theta: Array, curvature: Array) -> Array:
        slope = self._slope(theta)
        return block_normal(self.a, curvature * slope[:, :, None] * slope[:, None, :])

    def begin(self, rng: Generator) -> Array:
        """Where to start a fit: all classes alike."""
        coef = np.zeros((self.a.shape[1], self.k))
        coef[-1] = -SHIFTS[0]
        return coef.T.ravel()

    def fit(self, objective: Objective, theta: Array, ridge: float) -> Solution:
        """Fit to answers that are not exact."""
        return fitted(self, objective, theta, ridge)

    def solve(self, answers: Array, rng: Generator) -> Solution:
        """Solve for exact answers (n, k); zeros are classes not told.

        The unknown normaliser drops out of the log-odds. Where all sigmoids are near zero log sigma
        is linear, and a common shift all but unidentifiable: then about twice as many rows are
        needed as there are unknowns.

        Source: Tramèr et al. 2016, sec. 4.1.2, solved there by minimising a loss.
        """
        odds = LogOdds(answers)
        told = odds.reported.all(axis=1)
        coef = np.zeros((self.a.shape[1], self.k))
        if told.any():
            coef = log_ratios(self.a[told], answers[told])
        fits = []
        for shift in SHIFTS:
            start = coef.copy()
            start[-1] -= shift
            fit = levenberg_marquardt(
                self, odds, start.T.ravel(), iterations=100, target=EXACT, stall=1e-6
            )
            fits.append(fit)
            if fit.value < 1e6 * EXACT:
                break
        return min(fits, key=lambda fit: fit.value)

    def _slope(self, theta: Array) -> Array:
        slope: Array = expit(-(self.a @ self.coef(theta)))
        return slope
