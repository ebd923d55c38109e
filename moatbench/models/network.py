"""Networks with one hidden layer: scores act([x 1] W) A + e."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from scipy.linalg.blas import dsyrk

from moatbench.models.forward import ACTIVATIONS
from moatbench.models.linear import design
from moatbench.numerics.minimise import Solution, descend
from moatbench.numerics.objectives import Objective
from moatbench.types import Array, Generator

CHUNK = 256  # rows of an explicit Jacobian held at a time


def slope(h: Array, activation: str) -> Array:
    """Derivative of the activation, from its value h."""
    if activation == "tanh":
        return 1 - h * h
    return h * (1 - h) if activation == "logistic" else (h > 0).astype(np.float64)


@dataclass(frozen=True)
class Network:
    """A network on the rows of a design `a` (n, d + 1); only its log-odds are determined.

    theta is W (d + 1, hidden), unit by unit, then the output layer (hidden + 1, k - 1) row by row,
    in coordinates on an orthonormal basis of the scores that sum to zero.
    """

    a: Array
    k: int
    hidden: int
    activation: str

    least_ridge: ClassVar[float] = 1e-4  # less, and a fit from random starts ends anywhere

    @cached_property
    def basis(self) -> Array:
        """(k, k - 1) contrasts: orthonormal, each summing to zero."""
        basis: Array = np.linalg.svd(np.eye(self.k) - 1 / self.k)[0][:, : self.k - 1]
        return basis

    @property
    def first(self) -> int:
        """Unknowns of the hidden layer."""
        return int(self.a.shape[1] * self.hidden)

    @property
    def unknowns(self) -> int:
        """Equations that determine the model, if the right start is known."""
        return self.first + (self.hidden + 1) * (self.k - 1)

    def layers(self, theta: Array) -> tuple[Array, Array]:
        """W (d + 1, hidden), intercepts last, and the output layer (hidden + 1, k - 1)."""
        w, out = theta[: self.first], theta[self.first :]
        return w.reshape(self.hidden, -1).T, out.reshape(self.hidden + 1, self.k - 1)

    def join(self, w: Array, out: Array) -> Array:
        """Theta of two layers."""
        return np.concatenate([w.T.ravel(), out.ravel()])

    def hidden_units(self, theta: Array) -> Array:
        """(n, hidden + 1) activations, and a column of ones; not to be written to."""
        w = theta[: self.first]
        last = self._last
        if not last or not np.array_equal(last[0], w):  # scores and gradient ask for the same
            last[:] = [
                w.copy(),
                design(ACTIVATIONS[self.activation](self.a @ self.layers(theta)[0])),
            ]
        return last[1]

    @cached_property
    def _last(self) -> list[Array]:
        """A cache: the weights that were asked for last, and the activations under them."""
        return []

    def scores(self, theta: Array) -> Array:
        return self.hidden_units(theta) @ self.layers(theta)[1] @ self.basis.T

    def gradient(self, theta: Array, by_score: Array) -> Array:
        h, out = self.hidden_units(theta), self.layers(theta)[1]
        by_contrast = by_score @ self.basis
        by_unit = (by_contrast @ out[:-1].T) * slope(h[:, :-1], self.activation)
        return self.join(self.a.T @ by_unit, h.T @ by_contrast)

    def normal(self, theta: Array, curvature: Array) -> Array:
        curvature = self.basis.T @ curvature @ self.basis
        if len(curvature) == 1:
            return self._shared_normal(theta, curvature[0])
        h, size = self.hidden_units(theta), len(theta)
        normal = np.zeros((size, size))
        for start in range(0, len(h), CHUNK):
            rows = slice(start, start + CHUNK)
            j = self._jacobian(theta, h[rows], self.a[rows])
            normal += j.reshape(-1, size).T @ (curvature[rows] @ j).reshape(-1, size)
        return normal

    def _shared_normal(self, theta: Array, c: Array) -> Array:
        """J^T C J from one product of n (d + 1) hidden, where J itself has k - 1 times its rows."""
        h, out = self.hidden_units(theta), self.layers(theta)[1][:-1]
        n, width, units = len(h), self.a.shape[1], self.hidden
        by_weight = slope(h[:, :-1], self.activation)[:, :, None] * self.a[:, None, :]
        by_weight = by_weight.reshape(n, self.first)
        normal = np.zeros((len(theta), len(theta)))
        corner = np.ascontiguousarray(dsyrk(1.0, by_weight.T).T)  # its lower triangle
        corner = corner.reshape(units, width, units, width)
        corner *= (out @ c @ out.T)[:, None, :, None]
        normal[: self.first, : self.first] = corner.reshape(self.first, self.first).T
        cross = (by_weight.T @ h).reshape(units, width, units + 1, 1) * (out @ c)[:, None, None, :]
        normal[: self.first, self.first :] = cross.reshape(self.first, -1)
        normal[self.first :, self.first :] = np.kron(h.T @ h, c)
        return normal

    def _jacobian(self, theta: Array, h: Array, a: Array) -> Array:
        """(rows, k - 1, unknowns) derivatives of the contrasts."""
        n, k = len(h), self.k - 1
        out = self.layers(theta)[1][:-1]
        by_unit = slope(h[:, :-1], self.activation)[:, None, :] * out.T
        first = (by_unit[..., None] * a[:, None, None, :]).reshape(n, k, self.first)
        last = h[:, None, :, None] * np.eye(k)[:, None, :]
        return np.concatenate([first, last.reshape(n, k, -1)], axis=2)

    def parameters(self, theta: Array) -> Mapping[str, Array]:
        """w1 (d, hidden), b1 (hidden,), w2 (hidden, k), b2 (k,); w2 and b2 sum to zero over k.

        Units may be permuted, and under tanh have both signs turned.
        """
        w, out = self.layers(theta)
        last = out @ self.basis.T
        return {"w1": w[:-1], "b1": w[-1], "w2": last[:-1], "b2": last[-1]}

    def begin(self, rng: Generator) -> Array:
        """Draw where to start: preactivations of about unit variance, small outputs."""
        spread = np.sqrt(max(float((self.a[:, :-1] ** 2).sum(axis=1).mean()), 1e-12))
        w = rng.standard_normal((self.a.shape[1], self.hidden)) / spread
        w[-1] = 0.5 * rng.standard_normal(self.hidden)
        return self.join(w, 0.3 * rng.standard_normal((self.hidden + 1, self.k - 1)))

    def fit(self, objective: Objective, theta: Array, ridge: float) -> Solution:
        """Fit to answers that are not exact."""
        return descend(self, objective, theta, iterations=1000, ridge=ridge, tolerance=1e-5)
