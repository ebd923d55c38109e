"""Which of many candidates to ask about next: those of whose scores least is known."""

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from moatbench.types import Array, Rows

CURVATURE = 0.25  # of a logistic loss where both classes are equally likely


def most_uncertain(z: Array, precision: Array, n: int) -> Rows:
    """Choose n rows, one by one, each the one whose score is most uncertain after those before it.

    Random points of a boundary lie in heaps and tell the same thing many times over; these are
    spread as the model itself sees distance.

    Args:
        z: (m, r) candidates on the boundary of a model that is linear in them.
        precision: (r, r) inverse covariance of the model's weights, as known so far.
        n: at most m.

    Source: greedy D-optimal design; MacKay 1992, "Information-based objective functions for active
    data selection", sec. 4.
    """
    t = solve_triangular(cholesky(precision, lower=True), z.T, lower=True).T
    variance, known = (t**2).sum(axis=1), np.empty((len(z), n))
    chosen = np.empty(n, dtype=np.intp)
    for place in range(n):
        i = chosen[place] = int(variance.argmax())
        shared = t @ t[i] - known[:, :place] @ known[i, :place]
        known[:, place] = shared / np.sqrt(1 / CURVATURE + max(variance[i], 0.0))
        variance -= known[:, place] ** 2
        variance[i] = -np.inf
    return chosen
