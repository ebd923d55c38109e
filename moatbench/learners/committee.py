"""A committee: models of the same answers, each trained on a bootstrap, and where they differ.

Source: Seung et al. 1992, "Query by Committee" (COLT); members on bootstraps: Abe and Mamitsuka
1998, "Query Learning Strategies Using Boosting and Bagging".
"""

from collections.abc import Iterable, Sequence

import numpy as np

from moatbench.learners.published import AnyFit, AnyLearner
from moatbench.types import Array, Generator, Rows

Answered = tuple[Array, Array]  # (n, d) inputs and (n, k) soft labels


def bootstrapped(
    learner: AnyLearner,
    answered: Answered,
    draws: Iterable[Rows],
    rng: Generator,
    guide: AnyFit | None = None,
) -> list[AnyFit]:
    """Train a brief fit on each draw (m,) of the answers, from a guide if there is one."""
    x, targets = answered
    return [learner.fit(x[rows], targets[rows], rng, guide, brief=True) for rows in draws]


def most_divisive(committee: Sequence[AnyFit], x: Array, n: int) -> Array:
    """(n, d) those of the inputs (m, d), m at least n, on which the confidences differ most."""
    spread = np.std([fit.outputs(x) for fit in committee], axis=0).sum(axis=1)
    return x[np.argsort(-spread, kind="stable")[:n]]
