"""The victims' forward pass: fast, and bitwise independent of how the rows are batched.

BLAS picks its kernel by the shape of the matrices, so the same row can get other last digits in
another batch. Here every product is of blocks of one size.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit

from moatbench.types import Array

BLOCK = 64
Activation = Callable[[Array], Array]


def _relu(z: Array) -> Array:
    return np.maximum(z, 0.0)


ACTIVATIONS: dict[str, Activation] = {"tanh": np.tanh, "logistic": expit, "relu": _relu}


def blocks(x: Array) -> Array:
    """Cut (n, d) rows into (m, BLOCK, d), the last block filled up with zeros."""
    n, d = x.shape
    short = -n % BLOCK
    if short:
        x = np.concatenate([x, np.zeros((short, d))])
    return np.ascontiguousarray(x).reshape(-1, BLOCK, d)


def affine(x: Array, weights: Array, bias: Array) -> Array:
    """X @ weights + bias for (n, d) rows, the same bits for a row in any batch."""
    out: Array = (blocks(x) @ weights).reshape(-1, weights.shape[1])[: len(x)]
    return out + bias


def softmax(z: Array) -> Array:
    """Turn each row of scores into probabilities."""
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def logistic(z: Array) -> Array:
    """(n, 2) probabilities from (n, 1) log-odds, both without cancellation."""
    return np.asarray(expit(np.hstack([-z, z])))


def one_vs_rest(z: Array) -> Array:
    """Normalise the sigmoid of each class's own score, as scikit-learn does."""
    p = expit(z)
    return np.asarray(p / p.sum(axis=1, keepdims=True))


LINKS: dict[str, Activation] = {
    "softmax": softmax,
    "logistic": logistic,
    "one_vs_rest": one_vs_rest,
}
