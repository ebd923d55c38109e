"""Adaptive misinformation: inputs that the model is unsure of get the answers of a wrong model.

Source: Kariyappa and Qureshi 2020, "Defending Against Model Stealing Attacks with Adaptive
Misinformation", arXiv:1911.07100.
Read: authors' code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from moatbench.data.strange import outliers
from moatbench.defense import Defense
from moatbench.knobs import check_number, check_whole
from moatbench.models.forward import affine, softmax
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import Victim

MOST_ROWS = 1_000  # of the training data, and as many outliers
RIDGE = 1e-3  # on the weights: without it, more certainty of being wrong always pays
STEPS = 60  # of the optimiser at most


@dataclass
class AdaptiveMisinformation(Defense):
    """Tell (1 - a) f(x) + a g(x), with a = 1 / (1 + exp(nu (max_k f_k(x) - tau))).

    The misinformation model g, here a softmax regression, minimises -log(1 - g_y(x)) on the
    defender's training data and on uniform inputs, y being the victim's own labels: it puts little
    weight on the label and need not agree with the victim on anything else. The label told is the
    top class of the mixture. Customers whose inputs the victim is sure of get the truth.

    It departs from the paper in four points: there the victim itself is trained to be unsure of
    outliers; here it is taken as it is, so that the gate is only as good as its confidences. For
    g, there are true labels for the training rows (here the victim's), a real set of outliers
    (uniform inputs), and a network of the victim's kind (a softmax regression).

    Verified: the gate is 1/2 at tau and falls with confidence; the gradient of the loss against
    finite differences; g gives the victim's label less than chance on the test data.

    Args:
        tau: confidence below which misinformation is told, from 0 to 1; 0 switches it off.
        nu: steepness of the gate, above 0; the paper's 1000 is nearly a step, its code has 10,000.
        rows: training rows, and uniform inputs, that g is fitted to, from 2 to 1,000 each.
    """

    tau: float
    nu: float
    rows: int

    traits = Traits({"off_data"}, keeps_labels=False)
    harmless: ClassVar[dict[str, Any]] = {"tau": 0.0}
    strengths: ClassVar[dict[str, Any]] = {
        "tau": (0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.99),
        "nu": (1000.0, 10_000.0),
    }

    def __post_init__(self) -> None:
        name = "adaptive_misinformation"
        check_number(f"{name}: tau", self.tau, 0, 1, hint="; 0 is no defense")
        check_number(f"{name}: nu", self.nu, 0, above=True, hint="; for example 1000")
        check_whole(f"{name}: rows", self.rows, 2, MOST_ROWS)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Train the misinformation model; need whole distributions, and training rows."""
        victim.require_probabilities("adaptive_misinformation", full=True)
        victim.require_training_rows("adaptive_misinformation")
        known = victim.shares.x_train
        known = known[rng.permutation(len(known))[: self.rows]]
        x = np.concatenate([known, outliers(victim, len(known), rng)])
        self._space = victim.space
        self._weights, self._bias = wrong_model(
            victim.space.encode(x), victim.predict(x).labels, len(victim.classes), rng
        )

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer the mixture; a row without outputs stays as it is."""
        if self.tau == 0:
            return reply

        def mix(rows: Rows, y: Array) -> Array:
            share = self.gate(y)[:, None]
            return normalised((1 - share) * y + share * self.wrong(x[rows]))

        return reply.perturbed(mix, keep_labels=False)

    def gate(self, y: Array) -> Array:
        """(n,) the share of misinformation in the answers whose truth is y (n, k)."""
        return np.asarray(expit(self.nu * (self.tau - y.max(axis=1))))

    def wrong(self, x: Array) -> Array:
        """(n, k) what the misinformation model answers."""
        return softmax(affine(self._space.encode(x), self._weights, self._bias))


def wrong_model(x: Array, labels: Labels, classes: int, rng: Generator) -> tuple[Array, Array]:
    """Fit a softmax regression, weights (d, k) and bias (k,), that avoids the labels."""
    d = x.shape[1]
    # All zeros would be a saddle, where every class but the label's is as good
    start = rng.normal(size=(d + 1) * classes) * 0.1
    found = minimize(
        avoidance, start, (x, labels, classes), "L-BFGS-B", jac=True, options={"maxiter": STEPS}
    )
    weights = found.x.reshape(d + 1, classes)
    return weights[:-1], weights[-1]


def avoidance(flat: Array, x: Array, labels: Labels, classes: int) -> tuple[float, Array]:
    """Return the mean of -log(1 - g_label) with a ridge on all weights, and its gradient."""
    weights, rows = flat.reshape(-1, classes), np.arange(len(x))
    g = softmax(x @ weights[:-1] + weights[-1])
    right = np.minimum(g[rows, labels], 1 - 1e-12)
    odds = right / (1 - right)
    # d(-log(1 - g_y)) / dz_j = g_y / (1 - g_y) (1[j = y] - g_j)
    slope = -g * odds[:, None]
    slope[rows, labels] += odds
    slope /= len(x)
    gradient = np.vstack([x.T @ slope, slope.sum(axis=0)]) + RIDGE * weights
    loss = -np.log1p(-right).mean() + RIDGE / 2 * (flat**2).sum()
    return float(loss), gradient.ravel()
