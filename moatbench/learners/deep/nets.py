"""Trained networks as plain data: a name, knobs, and arrays."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.knobs import check_choice, check_whole
from moatbench.learners.deep.device import one_thread, resolved
from moatbench.models.forward import ACTIVATIONS, BLOCK, softmax
from moatbench.types import Array, Labels

Weights = NDArray[Any]
ARCHITECTURES = (
    *("mlp", "cnn", "lenet", "conv3", "resnet8", "resnet18", "resnet34", "vgg16_bn"),
    *("wrn_16_4", "wrn_40_2"),
)
LEAST = {"cnn": 4, "lenet": 12, "conv3": 8, "vgg16_bn": 32}  # pixels of a side; others take 4
KNOBS: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": (128, 128), "activation": "relu"},
    "cnn": {"width": 12, "hidden": 64},
}
NARROW = {"cnn": {"width": 8}}  # units below which a thief's is hard to train (docs/nets.md)


@dataclass(frozen=True)
class Net:
    """A network of `architectures`, with its weights.

    It is asked in blocks of 64 rows, the last filled up with zeros: a row has the same bits
    whatever stands beside it.

    Args:
        name: of the architecture.
        image: (channels, height, width), or (columns,) of a table.
        k: scores.
        knobs: of the architecture.
        state: its weights, by the names that torch gives them.
        device: that it is asked on; auto is a GPU where there is one, None that of the run.
        anew: whether its first training came to no finite loss, and it is another's.
    """

    name: str
    image: tuple[int, ...]
    k: int
    knobs: Mapping[str, Any]
    state: Mapping[str, Weights] = field(repr=False)
    device: str | None = None
    anew: bool = False

    def fresh(self) -> Any:
        """Return a torch module of its own with these weights."""
        import torch

        from moatbench.learners.deep.architectures import make

        with torch.random.fork_rng(devices=[]):  # its fresh weights are not used
            made = make(self.name, self.image, self.k, self.knobs)
        made.load_state_dict({n: torch.from_numpy(np.array(w)) for n, w in self.state.items()})
        return made

    @cached_property
    def module(self) -> Any:
        """The torch module, in evaluation."""
        return self.fresh().eval()

    def scores(self, z: Array) -> Array:
        """(n, k) scores of rows (n, d), numbers from -1 to 1, in single precision."""
        import torch

        where = resolved(self.device)
        with one_thread():
            module = self.module.to(where)
            with torch.inference_mode():
                parts = [
                    module(torch.from_numpy(rows).to(where)).double().cpu().numpy()
                    for rows in _blocks(z, np.float32)
                ]
        return np.concatenate(parts)[: len(z)] if parts else np.empty((0, self.k))

    def slopes(self, z: Array, towards: Labels, away: Labels) -> Array:
        """(n, d) how the score of one class above another's (n,) grows with each column of z."""
        every = np.arange(BLOCK)
        return self._slopes(
            z, (towards, away), lambda scores, one, other: scores[every, one] - scores[every, other]
        )

    def log_slopes(self, z: Array, labels: Labels) -> Array:
        """(n, d) how the log-probability of a class (n,) grows with each column of z."""
        every = np.arange(BLOCK)
        return self._slopes(z, (labels,), lambda scores, one: scores.log_softmax(dim=1)[every, one])

    def _slopes(self, z: Array, labels: Sequence[Labels], part: Callable[..., Any]) -> Array:
        import torch

        where, found = resolved(self.device), []
        with one_thread():
            module = self.module.to(where)
            blocks = (_blocks(z, np.float32), *(_blocks(one, np.intp) for one in labels))
            for rows, *classes in zip(*blocks, strict=True):
                x = torch.from_numpy(rows).to(where).requires_grad_()
                (slopes,) = torch.autograd.grad(part(module(x), *classes).sum(), x)
                found.append(slopes.double().cpu().numpy())
        return np.concatenate(found)[: len(z)] if found else np.empty(z.shape)

    def outputs(self, z: Array) -> Array:
        """(n, k) probabilities, in double precision."""
        return softmax(self.scores(z))


def _blocks(values: NDArray[Any], kind: type) -> list[NDArray[Any]]:
    """Return blocks of 64 rows, the last filled up with zeros."""
    n = len(values)
    whole = np.zeros((n + -n % BLOCK, *values.shape[1:]), kind)
    whole[:n] = values
    return [whole[at : at + BLOCK] for at in range(0, n, BLOCK)]


def kept(module: Any) -> dict[str, Weights]:
    """Return the weights of a torch module as arrays."""
    return {n: w.detach().cpu().numpy().copy() for n, w in module.state_dict().items()}


def widened(name: str, knobs: Mapping[str, Any], times: int) -> dict[str, Any]:
    """Return the knobs of a network with so many times the units, where its width is a knob.

    One that is to be wider is never narrow.
    """
    least = NARROW.get(name, {}) if times > 1 else {}
    wide = {k: _times(value, times) for k, value in {**KNOBS.get(name, {}), **knobs}.items()}
    return {**wide, **{knob: max(wide[knob], units) for knob, units in least.items()}}


def _times(value: Any, times: int) -> Any:
    """Multiply a width, or each of several; the name of an activation stays."""
    if isinstance(value, str):
        return value
    return times * value if isinstance(value, int) else [times * one for one in value]


def check(name: str, image: Sequence[int], knobs: Mapping[str, Any]) -> None:
    """Raise a ValueError where `make` would."""
    if name not in ARCHITECTURES:
        raise ValueError(f"net must be one of {', '.join(ARCHITECTURES)}, got {name!r}")
    known = KNOBS.get(name, {})
    if unknown := sorted(set(knobs) - set(known)):
        raise ValueError(
            f"net {name} has the knobs {', '.join(known) or 'none'}, got {', '.join(unknown)}"
        )
    for knob in sorted(knobs.keys() - {"activation"}):
        units = knobs[knob]
        several = name == "mlp" and not isinstance(units, int | float | str)
        for one in units if several else [units]:
            check_whole(f"net {name}: {knob}", one, 1)
    if name == "mlp":
        check_choice("net mlp: activation", knobs.get("activation", "relu"), tuple(ACTIVATIONS))
        return
    if len(image) != 3:
        raise ValueError(
            f"net {name} takes pictures, and these data are a table of {prod(image)} columns; "
            "choose mlp"
        )
    least = LEAST.get(name, 4)
    if min(image[1:]) < least:
        fits = "cnn or resnet8" if min(image[1:]) >= LEAST["cnn"] else "mlp"
        raise ValueError(
            f"net {name} needs pictures of at least {least} x {least} pixels, got "
            f"{image[1]} x {image[2]}; choose {fits}"
        )
