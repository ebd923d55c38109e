"""Deep networks, trained by torch and kept as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.learners.deep.device import check_device, computing, one_stream
from moatbench.learners.deep.learner import NET
from moatbench.learners.deep.nets import Net, check, kept
from moatbench.learners.deep.recipes import Recipe, recipe
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Victim

MOST_ROWS = 2**18  # remembered; then it begins anew


@dataclass(frozen=True)
class Deep:
    """A network behind an API of this space; equal rows are computed once.

    Judge, customers and monitors ask about the same rows again and again.

    Args:
        space: of the rows.
        net: as trained.
        stages: the same along its training, the earliest first; for monitors that ask.
    """

    space: InputSpace
    net: Net
    stages: tuple[Net, ...] = ()
    known: dict[bytes, Array] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        x = np.ascontiguousarray(x)
        keys = [blake2b(row.data, digest_size=16).digest() for row in x]
        if len(self.known) + len(x) > MOST_ROWS:
            self.known.clear()
        fresh = {key: place for place, key in enumerate(keys) if key not in self.known}
        if fresh:
            made = self.net.outputs(self.space.encode(x[list(fresh.values())]))
            self.known.update(zip(fresh, made, strict=True))
        empty = np.empty((0, self.net.k))
        return from_outputs(np.stack([self.known[key] for key in keys]) if keys else empty)


def net(
    data: Dataset,
    rng: Generator,
    net: str | None,
    knobs: Mapping[str, Any],
    recipe: str,
    training: Mapping[str, Any],
    outlier_exposure: float,
    device: str | None,
    stages: int = 0,
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
        device: auto, cpu or cuda, to train on; None is the run's, on which it answers.
        stages: of the training, kept for monitors that ask (hoda): the first after one pass over
            the data, the others evenly spaced to the end; 0 for none.
    """
    if device is not None:
        check_device(device)
    check_number("victim.outlier_exposure", outlier_exposure, 0)
    check_whole("victim.stages", stages, 0)
    how = recipe_of(recipe, training, device)
    shares = data.shares(rng)
    image = shares.space.image or (shares.space.encode(shares.space.low[None]).shape[1],)
    net = net or ("cnn" if shares.space.image else "mlp")
    check(net, image, knobs)
    from moatbench.learners.deep.architectures import make
    from moatbench.learners.deep.training import Along, Exposure, train

    exposure = None
    if outlier_exposure:
        if shares.outliers is None:
            raise ValueError(
                "victim.outlier_exposure needs outliers; name some with data@outliers=photos, or "
                "set it to 0"
            )
        exposure = Exposure(shares.space.encode(shares.outliers), outlier_exposure)
    k, along = len(shares.classes), Along(stages_of(how, len(shares.x_train), stages))
    with computing(device), one_stream(int(rng.integers(2**31))):
        module = make(net, image, k, knobs)
        z, targets = shares.space.encode(shares.x_train), np.eye(k)[shares.y_train]
        state = kept(train(module, z, targets, how, rng, exposure, along))
    trained, *earlier = (
        Net(net, tuple(image), k, dict(knobs), weights) for weights in (state, *along.states)
    )
    model = Deep(shares.space, trained, tuple(earlier))
    return Victim(shares, model, NET, {"net": net, **knobs})


def stages_of(how: Recipe, n: int, stages: int) -> list[int]:
    """Return the steps of a training on n rows after which a stage of it is kept.

    Raises:
        ValueError: there are fewer steps than stages.
    """
    steps = how.steps_for(n)
    if stages > steps:
        raise ValueError(
            f"victim.stages must be at most the {steps} steps of its training, got {stages}"
        )
    first = min(max(1, n // how.batch_for(n)), steps - stages + 1)
    return np.linspace(first, steps, stages).astype(int).tolist() if stages else []


def recipe_of(name: str, training: Mapping[str, Any], device: str | None) -> Recipe:
    """Return the recipe of a victim, on its device.

    Raises:
        ValueError: the changes name a device too.
    """
    if "device" in training:
        raise ValueError("victim.training.device must be left out; say victim.device")
    return recipe(name, {**training, "device": device}, "victim")
