"""Feature spaces in which a kernel machine is linear."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb
from typing import Any

import numpy as np

from moatbench.models import forward
from moatbench.models.kernels import Kernel
from moatbench.models.linear import design
from moatbench.numerics.newton import descend_path
from moatbench.types import Array

LARGEST = 1e8  # weight of a layer: of larger ones, squares of units lose all else
LANDMARKS = 600  # rows at most that span the feature space
RANK = 1e-10  # eigenvalues below this share of the largest are rounding errors
WIDTHS = 2.0 ** np.arange(-6, 7)  # gammas to try, in units of 1 / columns
PATH: Array = 10.0 ** -np.arange(2.0, 11.0, 2.0)  # ridges to try
JUDGED = 300  # rows at most that judge a width
JUDGES = 2  # classes at most that judge a width: those most evenly matched by the rest
FEW = 10  # rows that are too few to judge by
REGROWN = 1.5  # times as many rows, and the width is chosen anew

Embedding = Callable[[Array], Array]


@dataclass(frozen=True)
class Nystrom:
    """Coordinates in which the dot product is the kernel, exact between landmarks.

    Args:
        kernel: between inputs.
        landmarks: (m, d) inputs.
        basis: (m, r) turns similarities to the landmarks into coordinates.
        rows: how many there were when the kernel was chosen.

    Source: Williams and Seeger 2000, "Using the Nyström method to speed up kernel machines".
    """

    kernel: Kernel
    landmarks: Array
    basis: Array
    rows: int

    @classmethod
    def of(cls, kernel: Kernel, x: Array, rows: int) -> "Nystrom":
        """Take the landmarks from x (n, d): all rows, or every so many."""
        landmarks = x[np.unique(np.linspace(0, len(x) - 1, min(len(x), LANDMARKS)).astype(int))]
        values, vectors = np.linalg.eigh(kernel(landmarks, landmarks))
        kept = values > RANK * values[-1]
        return cls(kernel, landmarks, vectors[:, kept] / np.sqrt(values[kept]), rows)

    def __call__(self, x: Array) -> Array:
        """(n, r) coordinates of inputs (n, d)."""
        return self.kernel(x, self.landmarks) @ self.basis

    def scores(self, x: Array, coef: Array) -> Array:
        """(n, k) scores of inputs (n, d) under coef (r + 1, k), intercepts last.

        By way of one coefficient a landmark, which spares the coordinates.
        """
        scores: Array = self.kernel(x, self.landmarks) @ (self.basis @ coef[:-1]) + coef[-1]
        return scores

    def weights(self, values: Array) -> Array:
        """(r, k) weights of the least function with these values (m, k) at the landmarks."""
        return self.basis.T @ values


@dataclass(frozen=True)
class HiddenLayer:
    """The units of a network's hidden layer, which everybody knows: (n, d) to (n, h).

    Args:
        weights: (d, h), of numbers from -1 to 1.
        bias: (h,).
        activation: a name of `forward.ACTIVATIONS`.
    """

    weights: Array
    bias: Array
    activation: str

    def __call__(self, x: Array) -> Array:
        """(n, h), the same bits for a row in any batch."""
        return forward.ACTIVATIONS[self.activation](forward.affine(x, self.weights, self.bias))

    @property
    def published(self) -> Mapping[str, Any]:
        """What a card says of it, as plain numbers."""
        return {
            "hidden": len(self.bias),
            "activation": self.activation,
            "w1": self.weights.tolist(),
            "b1": self.bias.tolist(),
        }

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> "HiddenLayer | None":
        """Return the one that a card publishes; None where it publishes none, or no such."""
        activation = str(card.get("activation"))
        told = [card.get(name) for name in ("w1", "b1")]
        try:
            w, b = (np.asarray(numbers, np.float64) for numbers in told)
        except (TypeError, ValueError, OverflowError):  # no numbers, or none that float64 has
            return None
        if any(np.asarray(numbers).dtype == bool for numbers in told):
            return None
        whole = w.ndim == 2 and b.shape == w.shape[1:] and len(b) > 0
        sizes = (np.abs(one).max(initial=0.0) for one in (w, b))
        if not (whole and all(size <= LARGEST for size in sizes)):
            return None
        return cls(w, b, activation) if activation in forward.ACTIVATIONS else None

    def parameters(self, last: Mapping[str, Array]) -> Mapping[str, Array]:
        """Name those of the network, given its last layer's (`Linear.parameters`)."""
        w2, b2 = last["coef"].T, last["intercept"]
        return {"w1": self.weights, "b1": self.bias, "w2": w2, "b2": b2}


@dataclass(frozen=True)
class Monomials:
    """All products of at most `degree` columns, but for the constant: (n, d) to (n, size)."""

    degree: int

    def __call__(self, x: Array) -> Array:
        """(n, size), lower degrees first."""
        columns = range(x.shape[1])
        terms = [
            x[:, list(chosen)].prod(axis=1)
            for power in range(1, self.degree + 1)
            for chosen in combinations_with_replacement(columns, power)
        ]
        return np.stack(terms, axis=1)

    def size(self, d: int) -> int:
        """Monomials of d columns."""
        return comb(d + self.degree, self.degree) - 1


def gaussian(x: Array, targets: Array, known: Embedding | None, published: float | None) -> Nystrom:
    """Choose the width of an RBF kernel by how well it explains each answer from the others.

    The width belongs to the inputs, not to a class, so classes against all others judge it.

    Args:
        x: (n, d) inputs in [-1, 1].
        targets: (n, k) labels or soft labels.
        known: an earlier choice; kept as long as there are not many more rows.
        published: gamma, where the service publishes it.

    Source: Tramèr et al. 2016, sec. 6.2, "extract-and-test" of the width.
    """
    if published is not None:
        return Nystrom.of(Kernel("rbf", published), x, len(x))
    if isinstance(known, Nystrom) and len(x) < REGROWN * known.rows:
        return Nystrom.of(known.kernel, x, known.rows)
    kernels = [Kernel("rbf", float(width) / x.shape[1]) for width in WIDTHS]
    if len(x) < FEW:
        return Nystrom.of(kernels[len(kernels) // 2], x, len(x))
    some = np.unique(np.linspace(0, len(x) - 1, min(len(x), JUDGED)).astype(int))
    judges = targets[some][:, np.argsort(-np.abs(targets.mean(axis=0) - 0.5))[-JUDGES:]]
    judges = judges[:, :1] if targets.shape[1] == 2 else judges
    losses = [_loss(kernel, x[some], judges) for kernel in kernels]
    return Nystrom.of(kernels[int(np.argmin(losses))], x, len(x))


def _loss(kernel: Kernel, x: Array, judges: Array) -> float:
    """Divergence of answers that were left out, at the ridge that suits them best."""
    a = design(Nystrom.of(kernel, x, 0)(x))
    return sum(descend_path(a, y, PATH, np.zeros(a.shape[1]))[2] for y in judges.T)
