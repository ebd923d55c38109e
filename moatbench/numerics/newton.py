"""Binary logistic regression by Newton's method, and how well it would explain what it left out."""

from dataclasses import dataclass

import numpy as np
from scipy.linalg.lapack import dposv, dpotrf, dtrtrs
from scipy.special import expit, xlogy

from moatbench.numerics.minimise import Solution
from moatbench.types import Array

GAIN = 1e-7  # of a step, relative to the value reached, that ends a search
FAINT = 1e-3  # curvatures below this share of the ridge, do not matter
SMALLEST = 1e-6  # share of a step that is still tried
STEPS = 50  # at each ridge of a path


@dataclass(frozen=True)
class Logistic:
    """Log-odds a @ w, fitted to the probability y of the second class.

    With labels that a plane separates and a ridge near zero, the minimum lies far out: first-order
    methods crawl there, and Newton's needs one step for each unit of log-odds.

    Args:
        a: (n, r) inputs, a column of ones included.
        y: (n,) labels or probabilities, in [0, 1].
        ridge: multiplies half the squared norm of w, beside the divergence averaged over rows.
    """

    a: Array
    y: Array
    ridge: float

    def cost(self, w: Array) -> float:
        """Mean divergence of the model from y, and the penalty."""
        return float(np.mean(self._losses(self.a @ w))) + 0.5 * self.ridge * float(w @ w)

    def fit(self, w: Array, iterations: int) -> Solution:
        """Descend from w, until a step promises no gain."""
        value = self.cost(w)
        for _ in range(iterations):
            p = expit(self.a @ w)
            slope = self.a.T @ (p - self.y) / len(p) + self.ridge * w
            step = dposv(self._curvature(p), slope)[1]
            if (gain := float(slope @ step)) <= GAIN * value:
                return Solution(w, value, True)
            share = 1.0
            while (after := self.cost(w - share * step)) > value - 1e-4 * share * gain:
                share /= 2
                if share < SMALLEST:  # rounding errors are all that is left to gain
                    return Solution(w, value, True)
            w, value = w - share * step, after
        return Solution(w, value, False)

    def leave_one_out(self, w: Array) -> float:
        """Mean divergence of each row's answer from a fit to the others, by one Newton step.

        Source: Rad and Maleki 2020, "A scalable estimate of the out-of-sample prediction error via
        approximate leave-one-out cross-validation", eq. 7.
        """
        scores = self.a @ w
        p = expit(scores)
        pull = np.abs(p - self.y) > 1e-9  # the others would not be missed
        factor = dpotrf(self._curvature(p))[0]
        half = dtrtrs(factor, self.a[pull].T, trans=1)[0]
        leverage = (half**2).sum(axis=0) / len(p)
        p = p[pull]
        left = np.maximum(1 - leverage * p * (1 - p), 1e-9)
        scores[pull] += leverage * (p - self.y[pull]) / left
        return float(np.mean(self._losses(scores)))

    def _losses(self, scores: Array) -> Array:
        """(n,) divergences; what even a perfect model would lose does not count."""
        least = -xlogy(self.y, self.y) - xlogy(1 - self.y, 1 - self.y)
        losses: Array = np.logaddexp(0, scores) - self.y * scores - least
        return losses

    def _curvature(self, p: Array) -> Array:
        weight = p * (1 - p) / len(p)
        felt = weight > FAINT * self.ridge
        rows = self.a[felt] * np.sqrt(weight[felt])[:, None]
        curvature: Array = rows.T @ rows
        curvature[np.diag_indices(len(curvature))] += self.ridge
        return curvature


def descend_path(a: Array, y: Array, path: Array, w: Array) -> tuple[Array, float, float]:
    """Fit at each of the falling ridges; return the w, ridge and loss that leave-one-out prefers.

    The whole path: on answers from a boundary that closes upon itself, losses rise before they
    fall.

    Args:
        a: (n, r) inputs, as above.
        y: (n,) answers.
        path: ridges.
        w: (r,) where to start.
    """
    best = (w, float(path[0]), np.inf)
    for ridge in path:
        model = Logistic(a, y, float(ridge))
        w = model.fit(w, STEPS).theta
        if (loss := model.leave_one_out(w)) < best[2]:
            best = (w, float(ridge), loss)
    return best
