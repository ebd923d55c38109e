"""Victims with linear scores: logistic, softmax and one-vs-rest regression.

Tramèr et al. 2016, sec. 4.1. Trained by scikit-learn, answered by our own forward pass.
"""

from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.numerics import forward
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator
from moatbench.victim import Shares, Victim


@dataclass(frozen=True)
class LinearModel:
    """Scores x @ weights + intercept, through a link.

    Args:
        weights: (d, scores).
        intercept: (scores,).
        link: a name of `forward.LINKS`.
    """

    weights: Array
    intercept: Array
    link: str

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        return from_outputs(
            forward.LINKS[self.link](forward.affine(x, self.weights, self.intercept))
        )


def logistic(data: Dataset, rng: Generator, C: float = 1.0, max_iter: int = 5000) -> Victim:
    """Train binary logistic regression.

    Args:
        data: two classes.
        rng: draws the shares.
        C: inverse of the L2 penalty, > 0.
        max_iter: of the optimiser.
    """
    shares = data.shares(rng)
    if len(shares.classes) != 2:
        raise ValueError(
            f"victim logistic needs two classes, and {data.table.name} has {len(shares.classes)}; "
            "use victim=softmax"
        )
    model = _fit(shares, C, max_iter)
    return _victim(shares, "logistic", model.coef_, model.intercept_, "logistic")


def softmax(data: Dataset, rng: Generator, C: float = 1.0, max_iter: int = 5000) -> Victim:
    """Train multinomial logistic regression; arguments as for `logistic`, any number of classes."""
    shares = data.shares(rng)
    model = _fit(shares, C, max_iter)
    coef, intercept = model.coef_, model.intercept_
    if len(shares.classes) == 2:  # scikit-learn keeps one row of log-odds
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    return _victim(shares, "softmax", coef, intercept, "softmax")


def one_vs_rest(data: Dataset, rng: Generator, C: float = 1.0, max_iter: int = 5000) -> Victim:
    """Train one logistic regression a class against all others; arguments as for `logistic`."""
    shares = data.shares(rng)
    models = [
        _fit(shares, C, max_iter, shares.y_train == place) for place in range(len(shares.classes))
    ]
    coef = np.vstack([m.coef_ for m in models])
    intercept = np.hstack([m.intercept_ for m in models])
    return _victim(shares, "one_vs_rest", coef, intercept, "one_vs_rest")


def _fit(shares: Shares, C: float, max_iter: int, y: Array | None = None):  # type: ignore[no-untyped-def]
    from sklearn.linear_model import LogisticRegression

    if C <= 0:
        raise ValueError(f"victim.C must be above 0, got {C}")
    model = LogisticRegression(C=C, max_iter=max_iter)
    return model.fit(shares.x_train, shares.y_train if y is None else y)


def _victim(shares: Shares, family: str, coef: Array, intercept: Array, link: str) -> Victim:
    model = LinearModel(np.ascontiguousarray(coef.T), np.asarray(intercept), link)
    return Victim(shares, model, family)
