"""Kernel logistic regression, whose representers are training rows (Tramèr et al. 2016, 4.1.3)."""

from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.models import forward
from moatbench.models.kernel_logistic import kernel_scores
from moatbench.models.kernels import Kernel
from moatbench.models.linear import cross_entropy
from moatbench.models.scaled import behind
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass(frozen=True)
class Similarity:
    """Softmax over RBF similarities.

    Args:
        representers: (s, d) rows of the training data.
        coef: as `kernel_scores` takes them.
        gamma: of the kernel.
    """

    representers: Array
    coef: Array
    gamma: float

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        scores = kernel_scores(x, self.representers, self.coef, self.gamma)
        return from_outputs(forward.softmax(scores))


def kernel_logistic(
    data: Dataset,
    rng: Generator,
    representers: int = 20,
    gamma: float | None = None,
    C: float = 100.0,
    max_iter: int = 20000,
) -> Victim:
    """Train a softmax over RBF similarities to rows drawn from the training data.

    Departs from Zhu and Hastie 2005, who choose the rows one by one and penalise the function: rows
    are drawn at random, and the coefficients bear a plain L2 penalty.

    Args:
        data: two classes or more.
        rng: draws the shares and the representers.
        representers: rows of the training data that the model keeps.
        gamma: of the kernel; None is 1 / (d * variance of the training data), as scikit-learn's.
        C: inverse of the L2 penalty, > 0.
        max_iter: of the optimiser.
    """
    check_whole("victim.representers", representers, 1)
    check_number("victim.C", C, 0, above=True)
    check_whole("victim.max_iter", max_iter, 1)
    if gamma is not None:
        check_number("victim.gamma", gamma, 0, above=True, other="null")
    shares = data.shares(rng)
    x, y = shares.space.scaled(shares.x_train), shares.y_train
    hint = f"; there are {len(x)} rows of training data"
    check_whole("victim.representers", representers, 1, len(x), hint=hint)
    width = float(gamma or 1 / (x.shape[1] * max(float(x.var()), 1e-12)))
    chosen: Array = x[rng.choice(len(x), representers, replace=False)]
    coef, _ = cross_entropy(
        Kernel("rbf", width)(x, chosen),
        np.eye(len(shares.classes))[y],
        1 / (C * len(x)),
        iterations=max_iter,
    )

    published = {"kernel": "rbf", "gamma": width, "representers": representers}
    served = behind(shares.space, Similarity(chosen, coef, width))
    return Victim(shares, served, "kernel_logistic", published)
