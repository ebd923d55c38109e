"""Victims with linear scores: logistic, softmax and one-vs-rest regression, and a private one.

Tramèr et al. 2016, sec. 4.1. Trained by scikit-learn but for the private one, answered by our own
forward pass.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.models import forward
from moatbench.models.private_descent import noise_multiplier, private_softmax
from moatbench.models.scaled import behind
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

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Coefficients (scores, d) and intercepts (scores,)."""
        return {"coef": self.weights.T, "intercept": self.intercept}

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
    _check(C, max_iter)
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
    _check(C, max_iter)
    shares = data.shares(rng)
    model = _fit(shares, C, max_iter)
    coef, intercept = model.coef_, model.intercept_
    if len(shares.classes) == 2:  # scikit-learn keeps one row of log-odds
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    return _victim(shares, "softmax", coef, intercept, "softmax")


def one_vs_rest(data: Dataset, rng: Generator, C: float = 1.0, max_iter: int = 5000) -> Victim:
    """Train one logistic regression a class against all others; arguments as for `logistic`."""
    _check(C, max_iter)
    shares = data.shares(rng)
    models = [
        _fit(shares, C, max_iter, shares.y_train == place) for place in range(len(shares.classes))
    ]
    coef = np.vstack([m.coef_ for m in models])
    intercept = np.hstack([m.intercept_ for m in models])
    return _victim(shares, "one_vs_rest", coef, intercept, "one_vs_rest")


def dp_softmax(
    data: Dataset,
    rng: Generator,
    epsilon: float = 1.0,
    delta: float = 1e-5,
    clip: float = 1.0,
    steps: int = 100,
    rate: float = 1.0,
    C: float = 1.0,
) -> Victim:
    """Train softmax regression so that no row of the training data shows much in the model.

    (epsilon, delta)-differentially private, where neighbours have one row more or less; the scaling
    of the features, the number of rows and the knobs are taken to be public. What is private is the
    data: the model itself is served as it is, and an API tells as much of it as ever.

    Args:
        data: two classes or more.
        rng: draws the shares, then the noise.
        epsilon: privacy loss, above 0; a large one is no privacy.
        delta: its probability to be more, above 0 and below one in the number of training rows.
        clip: bound on each row's gradient, above 0.
        steps: of gradient descent on all rows, 1 or more; each draws noise, more of it for more.
        rate: of a step, above 0.
        C: inverse of the L2 penalty, as for `softmax`, above 0.

    Source: Tramèr et al. 2016, sec. 7, propose it as a countermeasure; see `private_descent`.
    """
    for knob, value in {"epsilon": epsilon, "clip": clip, "rate": rate, "C": C}.items():
        check_number(f"dp_softmax: {knob}", value, 0, above=True)
    check_whole("dp_softmax: steps", steps, 1)
    check_number("dp_softmax: delta", delta, 0, 1, above=True)
    shares = data.shares(rng)
    n, k = len(shares.y_train), len(shares.classes)
    if delta * n >= 1:
        raise ValueError(
            f"dp_softmax: delta must be below one in {n}, the number of training rows, got "
            f"{delta!r}; at that, to publish some row or other would be private"
        )
    coef = private_softmax(
        shares.space.scaled(shares.x_train),
        np.eye(k)[shares.y_train],
        rng,
        multiplier=noise_multiplier(epsilon, delta, steps),
        clip=clip,
        steps=steps,
        rate=rate,
        ridge=1 / (C * n),
    )
    model = LinearModel(np.ascontiguousarray(coef[:-1]), coef[-1].copy(), "softmax")
    return Victim(
        shares, behind(shares.space, model), "softmax", {"epsilon": epsilon, "delta": delta}
    )


def _check(C: float, max_iter: int) -> None:
    check_number("victim.C", C, 0, above=True)
    check_whole("victim.max_iter", max_iter, 1)


def _fit(shares: Shares, C: float, max_iter: int, y: Array | None = None):  # type: ignore[no-untyped-def]
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=C, max_iter=max_iter)
    return model.fit(shares.space.scaled(shares.x_train), shares.y_train if y is None else y)


def _victim(shares: Shares, family: str, coef: Array, intercept: Array, link: str) -> Victim:
    model = LinearModel(np.ascontiguousarray(coef.T), np.asarray(intercept), link)
    return Victim(shares, behind(shares.space, model), family)
