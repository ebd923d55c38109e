"""A neural network with one hidden layer (Tramèr et al. 2016, sec. 4.1.3)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.models import forward
from moatbench.models.scaled import behind
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator
from moatbench.victim import Shares, Victim


@dataclass(frozen=True)
class Network:
    """One hidden layer: link(act(x @ w + b) @ v + c).

    Args:
        w: (d, hidden).
        b: (hidden,).
        v: (hidden, scores).
        c: (scores,).
        activation: a name of `forward.ACTIVATIONS`.
        link: a name of `forward.LINKS`.
    """

    w: Array
    b: Array
    v: Array
    c: Array
    activation: str
    link: str

    @property
    def parameters(self) -> Mapping[str, Array]:
        """Weights and biases of both layers, by the names that surrogates give them."""
        return {"w1": self.w, "b1": self.b, "w2": self.v, "b2": self.c}

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        hidden = forward.ACTIVATIONS[self.activation](forward.affine(x, self.w, self.b))
        return from_outputs(forward.LINKS[self.link](forward.affine(hidden, self.v, self.c)))


def mlp(
    data: Dataset,
    rng: Generator,
    hidden: int = 20,
    activation: str = "tanh",
    alpha: float = 1e-4,
    max_iter: int = 1000,
) -> Victim:
    """Train the network with Adam.

    Args:
        data: two classes or more.
        rng: draws the shares and the first weights.
        hidden: units of the hidden layer.
        activation: tanh, logistic or relu.
        alpha: L2 penalty.
        max_iter: epochs.
    """
    check_choice("victim.activation", activation, forward.ACTIVATIONS)
    check_whole("victim.hidden", hidden, 1)
    check_number("victim.alpha", alpha, 0)
    check_whole("victim.max_iter", max_iter, 1)
    shares = data.shares(rng)
    network = trained(shares, rng, hidden, activation, alpha, max_iter)
    published = {"hidden": hidden, "activation": activation}
    return Victim(shares, behind(shares.space, network), "mlp", published)


def trained(
    shares: Shares, rng: Generator, hidden: int, activation: str, alpha: float, max_iter: int
) -> Network:
    """Train scikit-learn's on the training rows; the arguments are those of `mlp`."""
    from sklearn.neural_network import MLPClassifier  # heavy: after all that may be wrong

    model = MLPClassifier(
        (hidden,),
        activation=activation,
        alpha=alpha,
        max_iter=max_iter,
        random_state=int(rng.integers(2**31)),
    ).fit(shares.space.scaled(shares.x_train), shares.y_train)
    (w, v), (b, c) = model.coefs_, model.intercepts_
    w, v = np.ascontiguousarray(w), np.ascontiguousarray(v)
    return Network(w, b, v, c, activation, "logistic" if v.shape[1] == 1 else "softmax")
