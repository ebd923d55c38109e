"""Support vector machines, which answer labels only (Tramèr et al. 2016, sec. 6).

Trained by scikit-learn, answered by our own forward pass.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.models import forward
from moatbench.models.kernels import Kernel, Machine, machine
from moatbench.models.scaled import behind
from moatbench.reply import Reply
from moatbench.types import Array, Generator
from moatbench.victim import Shares, Victim

GAMMAS = ("scale", "auto")


@dataclass(frozen=True)
class Hyperplanes:
    """The label of the highest score x @ weights + bias; of a single one, its sign."""

    weights: Array
    bias: Array

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        scores = forward.affine(x, self.weights, self.bias)
        winner = scores[:, 0] > 0 if scores.shape[1] == 1 else scores.argmax(axis=1)
        return Reply(winner.astype(np.int64))


@dataclass(frozen=True)
class Voting:
    """The label that a kernel machine gives."""

    machine: Machine

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        return Reply(self.machine.labels(x))


def linear_svm(data: Dataset, rng: Generator, C: float = 1.0, max_iter: int = 10000) -> Victim:
    """Train a linear SVM; of more than two classes, one against all others.

    Args:
        data: two classes or more.
        rng: draws the shares.
        C: inverse of the L2 penalty, > 0.
        max_iter: of the optimiser.
    """
    check_number("victim.C", C, 0, above=True)
    check_whole("victim.max_iter", max_iter, 1)
    shares = data.shares(rng)
    from sklearn.svm import LinearSVC  # heavy: after all that may be wrong

    # random_state orders the coordinates of the dual problem, which is solved where rows are few.
    model = LinearSVC(C=C, max_iter=max_iter, dual="auto", random_state=0)
    model.fit(shares.space.scaled(shares.x_train), shares.y_train)
    plane = Hyperplanes(np.ascontiguousarray(model.coef_.T), np.asarray(model.intercept_))
    return Victim(shares, behind(shares.space, plane), "linear_svm")


def poly_svm(
    data: Dataset,
    rng: Generator,
    C: float = 1.0,
    degree: int = 2,
    coef0: float = 1.0,
    gamma: float | str = "auto",
) -> Victim:
    """Train an SVM with the kernel (gamma x.s + coef0)^degree; degree and coef0 are published.

    Args:
        data: two classes or more; one-vs-one votes decide among several.
        rng: draws the shares.
        C: inverse of the penalty, > 0.
        degree: a whole number of at least 1.
        coef0: at least 0; 0 leaves only the monomials of the full degree.
        gamma: a number above 0, `auto` (1 / d) or `scale` (1 / (d times the inputs' variance)).
    """
    check_whole("victim.degree", degree, 1)
    check_number("victim.coef0", coef0, 0)
    shares, width = _shares(data, rng, C, gamma)
    fitted = _fit(shares, C, Kernel("poly", width, degree, float(coef0)))
    return _victim(shares, fitted, "poly_svm", {"degree": degree, "coef0": float(coef0)})


def rbf_svm(data: Dataset, rng: Generator, C: float = 1.0, gamma: float | str = "auto") -> Victim:
    """Train an SVM with the kernel exp(-gamma |x - s|^2); gamma is not published.

    Arguments as for `poly_svm`.
    """
    shares, width = _shares(data, rng, C, gamma)
    return _victim(shares, _fit(shares, C, Kernel("rbf", width)), "rbf_svm", {})


def _shares(data: Dataset, rng: Generator, C: float, gamma: float | str) -> tuple[Shares, float]:
    """Draw the shares; turn a gamma that is named into a number."""
    check_number("victim.C", C, 0, above=True)
    named = gamma in GAMMAS
    if not named:
        check_number("victim.gamma", gamma, 0, above=True, other=" or ".join(GAMMAS))
    shares = data.shares(rng)
    if not named:
        return shares, float(gamma)
    variance = float(shares.space.scaled(shares.x_train).var()) if gamma == "scale" else 1.0
    return shares, 1 / (shares.space.d * (variance or 1.0))


def _fit(shares: Shares, C: float, kernel: Kernel) -> Machine:
    from sklearn.svm import SVC

    model = SVC(
        C=C, kernel=kernel.name, gamma=kernel.gamma, degree=kernel.degree, coef0=kernel.coef0
    )
    return machine(model.fit(shares.space.scaled(shares.x_train), shares.y_train), kernel)


def _victim(shares: Shares, fitted: Machine, family: str, architecture: dict[str, Any]) -> Victim:
    return Victim(shares, behind(shares.space, Voting(fitted)), family, architecture)
