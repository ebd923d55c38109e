"""Softmax regression whose training rows stay private: noisy gradient descent, and its price.

Source: gradient descent on clipped gradients with Gaussian noise, Song et al. 2013, "Stochastic
gradient descent with differentially private updates", and Bassily et al. 2014, "Private Empirical
Risk Minimization", arXiv:1405.7085; accounts by zero-concentrated differential privacy, Bun and
Steinke 2016, arXiv:1605.02065.
"""

from math import log, sqrt

import numpy as np

from moatbench.models.forward import softmax
from moatbench.models.linear import design
from moatbench.types import Array, Generator


def spent(multiplier: float, steps: int, delta: float) -> float:
    """Return the epsilon of so many steps with noise of so many times the sensitivity.

    One step is rho-zCDP with rho = 1 / (2 multiplier^2) (their proposition 1.6), steps add up
    (lemma 1.7), and rho-zCDP is (rho + 2 sqrt(rho ln(1 / delta)), delta)-private (proposition 1.3).
    """
    rho = steps / (2 * multiplier**2)
    return rho + 2 * sqrt(rho * log(1 / delta))


def noise_multiplier(epsilon: float, delta: float, steps: int) -> float:
    """Return the noise, in times the sensitivity, with which all steps together spend epsilon."""
    tail = log(1 / delta)
    # sqrt(tail + epsilon) - sqrt(tail), without cancellation
    root = epsilon / (sqrt(tail + epsilon) + sqrt(tail))
    return sqrt(steps / 2) / root


def clipped_gradient(a: Array, targets: Array, coef: Array, clip: float) -> Array:
    """(d + 1, k) the sum over rows of the cross-entropy's gradient, each of norm `clip` at most.

    So one row more, or one less, moves the sum by `clip` at most (Frobenius norm).

    Args:
        a: (n, d + 1), the design.
        targets: (n, k) one-hot labels.
        coef: (d + 1, k), where.
        clip: the bound, above 0.
    """
    residuals = softmax(a @ coef) - targets
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(residuals, axis=1)  # of outer products
    kept = clip / np.maximum(norms, clip)
    return np.asarray(a.T @ (residuals * kept[:, None]))


def private_softmax(
    x: Array,
    targets: Array,
    rng: Generator,
    *,
    multiplier: float,
    clip: float,
    steps: int,
    rate: float,
    ridge: float,
) -> Array:
    """Fit (d + 1, k) coefficients, the intercepts last, from full batches.

    The penalty does not look at the data, and costs nothing; neither does the mean over the later
    half of the steps, which takes most of the noise out again (Bassily et al. average as well).

    Args:
        x: (n, d).
        targets: (n, k) one-hot labels.
        rng: draws the noise.
        multiplier: standard deviation of the noise on each entry of the gradient's sum, in times
            `clip`.
        clip: bound on each row's gradient.
        steps: of gradient descent, from zero.
        rate: of a step, on the loss averaged over rows; n is taken to be public.
        ridge: half of it times the squared norm of the coefficients, intercepts left out, is added.
    """
    a, n = design(x), len(x)
    coef = np.zeros((a.shape[1], targets.shape[1]))
    later, total = steps // 2, np.zeros_like(coef)
    for step in range(steps):
        noise = multiplier * clip * rng.normal(size=coef.shape)
        penalty = ridge * coef
        penalty[-1] = 0.0
        gradient = (clipped_gradient(a, targets, coef, clip) + noise) / n
        coef = coef - rate * (gradient + penalty)
        if step >= later:
            total += coef
    return total / (steps - later)
