"""Deep networks, trained by torch and kept as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number
from moatbench.learners.deep.architectures import make
from moatbench.learners.deep.device import check_device, one_stream
from moatbench.learners.deep.learner import NET
from moatbench.learners.deep.nets import Net, check, kept
from moatbench.learners.deep.recipes import recipe
from moatbench.learners.deep.training import Exposure, train
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass(frozen=True)
class Deep:
    """A network behind an API of this space."""

    space: InputSpace
    net: Net

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        return from_outputs(self.net.outputs(self.space.encode(x)))


def net(
    data: Dataset,
    rng: Generator,
    net: str | None,
    knobs: Mapping[str, Any],
    recipe: str,
    training: Mapping[str, Any],
    outlier_exposure: float,
    device: str,
) -> Victim:
    """Train a network.

    Args:
        data: two classes or more.
        rng: draws the shares, the first weights, and the order of training.
        net: a name of `architectures`; None is cnn for pictures and mlp for a table.
        knobs: of the network.
        recipe: a name of `recipes`.
        training: changes to it.
        outlier_exposure: weight of being undecided on the outliers (data@outliers=); 0 for none.
        device: auto, cpu or cuda, to train on; the victim answers on the CPU.
    """
    check_device(device)
    check_number("victim.outlier_exposure", outlier_exposure, 0)
    how = recipe_of(recipe, training, device)
    shares = data.shares(rng)
    image = shares.space.image or (shares.space.encode(shares.space.low[None]).shape[1],)
    net = net or ("cnn" if shares.space.image else "mlp")
    check(net, image, knobs)
    exposure = None
    if outlier_exposure:
        if shares.outliers is None:
            raise ValueError(
                "victim.outlier_exposure needs outliers; name some with data@outliers=photos, or "
                "set it to 0"
            )
        exposure = Exposure(shares.space.encode(shares.outliers), outlier_exposure)
    k = len(shares.classes)
    with one_stream(int(rng.integers(2**31))):
        module = make(net, image, k, knobs)
        z, targets = shares.space.encode(shares.x_train), np.eye(k)[shares.y_train]
        state = kept(train(module, z, targets, how, rng, exposure))
    model = Deep(shares.space, Net(net, tuple(image), k, dict(knobs), state))
    return Victim(shares, model, NET, {"net": net, **knobs})


def recipe_of(name: str, training: Mapping[str, Any], device: str) -> Any:
    """Return the recipe of a victim, on its device."""
    return recipe(name, {**training, "device": device}, "victim")
