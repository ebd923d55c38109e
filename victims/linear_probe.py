"""The last layer of a network whose hidden part is public.

Source: Alain and Bengio 2016, "Understanding intermediate layers using linear classifier probes",
arXiv:1610.01644, for the name; a frozen public part behind a model of one's own is the case that
Wang et al. 2018, "With Great Training Comes Great Vulnerability" (USENIX Security), attack.
"""

from dataclasses import replace

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.models import forward
from moatbench.models.embedding import HiddenLayer
from moatbench.models.linear import cross_entropy
from moatbench.models.scaled import behind
from moatbench.types import Generator
from moatbench.victim import Victim
from moatbench.victims.mlp import trained


def linear_probe(
    data: Dataset,
    rng: Generator,
    hidden: int = 20,
    activation: str = "tanh",
    C: float = 100.0,
    max_iter: int = 1000,
) -> Victim:
    """Train softmax regression on the units of a hidden layer that everybody knows.

    The layer is that of a network trained on the same rows, which the card publishes, weights and
    all: as where an owner takes a public network, and trains nothing but its last layer.

    Args:
        data: two classes or more.
        rng: draws the shares and the first weights.
        hidden: units of the hidden layer.
        activation: tanh, logistic or relu.
        C: inverse of the L2 penalty on the last layer, > 0.
        max_iter: epochs of the hidden layer's training.
    """
    check_choice("victim.activation", activation, forward.ACTIVATIONS)
    check_whole("victim.hidden", hidden, 1)
    check_number("victim.C", C, 0, above=True)
    check_whole("victim.max_iter", max_iter, 1)
    shares = data.shares(rng)
    public = trained(shares, rng, hidden, activation, 1e-4, max_iter)
    layer = HiddenLayer(public.w, public.b, activation)
    targets = np.eye(len(shares.classes))[shares.y_train]
    units = layer(shares.space.scaled(shares.x_train))
    coef, _ = cross_entropy(units, targets, 1 / (C * len(units)))
    network = replace(public, v=np.ascontiguousarray(coef[:-1]), c=coef[-1], link="softmax")
    return Victim(shares, behind(shares.space, network), "linear_probe", layer.published)
