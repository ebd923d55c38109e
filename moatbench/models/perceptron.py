"""A trained network with one hidden layer: its answers, and how they move with its weights."""

from typing import NamedTuple

import numpy as np

from moatbench.models.forward import affine, softmax
from moatbench.models.network import Network
from moatbench.types import Array, Generator

DIRECTIONS = ("signs", "ones")


class Perceptron(NamedTuple):
    """The network softmax(tanh(x first + shift) last + bias).

    A row is answered the same to the last bit in any batch.

    first (d, hidden), shift (hidden,), last (hidden, k), bias (k,).
    """

    first: Array
    shift: Array
    last: Array
    bias: Array

    @classmethod
    def of(cls, model: Network, theta: Array) -> "Perceptron":
        """Return the network of tanh units that theta stands for."""
        found = model.parameters(theta)
        return cls(found["w1"], found["b1"], found["w2"], found["b2"])

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities of inputs (n, d)."""
        return softmax(self.scores(x))

    def scores(self, x: Array) -> Array:
        """(n, k) scores, before the softmax."""
        return affine(np.tanh(affine(x, self.first, self.shift)), self.last, self.bias)

    def slopes(self, x: Array, z: "Perceptron") -> Array:
        """(n, k) derivatives of the log-probabilities as the weights move along z.

        One forward pass for all rows and classes; the matrix of all gradients is never made.
        """
        h = np.tanh(affine(x, self.first, self.shift))
        by_unit = (1 - h * h) * affine(x, z.first, z.shift)
        by_score = affine(by_unit, self.last, z.bias) + affine(h, z.last, np.zeros_like(z.bias))
        p = softmax(affine(h, self.last, self.bias))
        return np.asarray(by_score - (p * by_score).sum(axis=1, keepdims=True))

    def toward(self, direction: str, rng: Generator) -> "Perceptron":
        """Return a direction in the space of the weights: random `signs`, or `ones`."""
        if direction == "ones":
            return Perceptron(*(np.ones_like(part) for part in self))
        return Perceptron(*(rng.choice([-1.0, 1.0], part.shape) for part in self))
