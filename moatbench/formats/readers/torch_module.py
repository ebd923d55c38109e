"""Networks of torch: a class of the owner's, and a file of weights that runs nothing."""

import importlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from moatbench.formats.model import Model
from moatbench.formats.sizes import check_size
from moatbench.models.forward import ACTIVATIONS

ROWS = 3  # that show whether a width is a module's
SAME = 1e-5  # how near a network must be to the one of its weights


def open_module(
    name: str | torch.nn.Module,
    weights: Path,
    arguments: Mapping[str, Any],
    pixels: "Pixels | None" = None,
    knob: str = "victim.weights",
) -> Model:
    """Make a module, and load its weights.

    Args:
        name: of its class, `my_net:Net` or `my_net.Net`; or a module that was made.
        weights: a file of safetensors, or one that torch.save wrote of a state_dict.
        arguments: of the class.
        pixels: how pictures are handed to it; None where it takes rows.
        knob: which names the file, for messages.

    Raises:
        ValueError: there is no such class, or the weights are of another kind or module.
    """
    module = _made(name, arguments) if isinstance(name, str) else name
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"victim.module must be a torch.nn.Module, got {name}, which is none")
    state = _weights(weights, knob)
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        called = name if isinstance(name, str) else type(module).__name__
        raise ValueError(
            f"{knob} must fit {called}, got {weights}: {_misfit(module, state, error)}; "
            "give victim.arguments as it was made with"
        ) from error
    return describe(module, pixels)


@dataclass(frozen=True)
class Network:
    """Where a network comes from; its arguments are those of `open_module`."""

    name: str | torch.nn.Module
    weights: Path
    arguments: Mapping[str, Any]
    pixels: "Pixels | None"
    knob: str

    def open(self) -> Model:
        """Make the network."""
        return open_module(self.name, self.weights, self.arguments, self.pixels, self.knob)


def describe(module: torch.nn.Module, pixels: "Pixels | None" = None) -> Model:
    """Describe a module, in evaluation: dropout is off, batch normalisation learns nothing."""
    module.eval()
    if pixels is not None:
        return _of_pictures(module, pixels)
    kind = next((p.dtype for p in module.parameters()), torch.float32)

    def ask(asked: Any) -> Any:
        with torch.no_grad():
            rows = np.ascontiguousarray(asked, dtype=np.float64)  # torch takes none in reverse
            told = module(torch.tensor(rows, dtype=kind))
        return _told(told)

    layers = [m for m in module.modules() if isinstance(m, torch.nn.Linear)]
    width = _width(ask, layers)
    family, architecture = _family(module, layers) if width else (None, {})
    return Model(
        ask,
        f"{type(module).__name__}, {sum(p.numel() for p in module.parameters()):,} weights",
        width=width,
        family=family,
        architecture=architecture,
    )


@dataclass(frozen=True)
class Pixels:
    """How a network takes pictures.

    Args:
        image: (channels, height, width).
        low: what the darkest pixel becomes.
        high: what the brightest becomes.
        mean: taken off each channel then; () takes nothing off.
        std: by which each channel is divided then.
    """

    image: tuple[int, ...]
    low: float = 0.0
    high: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (0, 1, self.image[0]):
                raise ValueError(
                    f"victim.{name} must have a number for each of {self.image[0]} channels, got "
                    f"{list(values)}"
                )
        if not self.low < self.high or any(s <= 0 for s in self.std):
            raise ValueError(
                f"victim.range must be [darkest, brightest] and victim.std above 0, got "
                f"[{self.low}, {self.high}] and {list(self.std)}"
            )

    def __call__(self, rows: Any) -> Any:
        """(n, channels, height, width) of rows (n, d) of pixels from 0 to 255."""
        lit = np.asarray(rows, dtype=np.float64).reshape(-1, *self.image) / 255
        made = self.low + lit * (self.high - self.low)
        if self.mean:
            made = made - np.reshape(self.mean, (-1, 1, 1))
        return made / np.reshape(self.std, (-1, 1, 1)) if self.std else made


def _of_pictures(module: torch.nn.Module, pixels: Pixels) -> Model:
    kind = next((p.dtype for p in module.parameters()), torch.float32)

    def ask(asked: Any) -> Any:
        with torch.inference_mode():
            told = module(torch.tensor(pixels(asked), dtype=kind))
        return _told(told)

    shown = np.zeros((1, int(np.prod(pixels.image))))
    try:
        ask(shown)
    except UnreadableError:
        raise
    except Exception as error:  # of whatever kind somebody's network raises
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{type(module).__name__} must take pictures of {' x '.join(map(str, pixels.image))}, "
            f"and says: {said}"
        ) from error
    count = sum(p.numel() for p in module.parameters())
    return Model(ask, f"{type(module).__name__}, {count:,} weights", width=shown.shape[1])


class UnreadableError(ValueError):
    """A network answers no tensor."""


def _told(told: Any) -> Any:
    """Return answers in their own type, which says how exact they are; numpy has no bfloat16.

    Raises:
        UnreadableError: they are no tensor.
    """
    if not isinstance(told, torch.Tensor):
        kind = f"a {type(told).__name__}"
        kind += f" of {', '.join(map(str, told))}" if isinstance(told, Mapping) else ""
        raise UnreadableError(
            f"the model must answer a tensor, a row of scores for each input, got {kind}; give a "
            "class whose forward returns the scores alone"
        )
    return told if told.dtype == torch.bfloat16 else told.numpy()


def _made(name: str, arguments: Mapping[str, Any]) -> Any:
    """Make an object of somebody's class."""
    kind = _class_of(name)
    try:
        return kind(**arguments)
    except Exception as error:  # of whatever kind it raises
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"victim.arguments must be what {name} takes, got {dict(arguments)}, and it says {said}"
        ) from error


def _class_of(name: str) -> Any:
    module, colon, attribute = name.partition(":")
    if not colon:
        module, _, attribute = name.rpartition(".")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"victim.module must be a class that Python finds, as my_net:Net, got {name} "
            f"({error}); start where my_net.py lies with PYTHONPATH=."
        ) from error


def _weights(path: Path, knob: str) -> dict[str, Any]:
    """Read weights; of a file that torch.save wrote, nothing but tensors and containers."""
    if not path.is_file():
        raise ValueError(f"{knob} must be a file, got {path}, where there is none")
    with path.open("rb") as file:
        head = file.read(16)
    if head[8:10] == b'{"':
        from safetensors.torch import load_file

        return dict(load_file(path))
    if head[:2] == b"PK":
        check_size(path, knob)
    try:
        with warnings.catch_warnings(action="ignore"):  # what it says of TorchScript is told below
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of whatever kind a damaged file makes it raise
        raise ValueError(
            f"{knob} must be safetensors or a state_dict that torch.save wrote, got {path}"
            f" ({_why(error)}); save torch.save(net.state_dict(), file)"
        ) from error
    state = state.get("state_dict", state) if isinstance(state, dict) else state
    if not isinstance(state, dict):
        raise ValueError(f"{knob} must hold a state_dict, got a {type(state).__name__}")
    return state


def _misfit(module: torch.nn.Module, state: dict[str, Any], error: Exception) -> str:
    """Tell the first weights that do not fit, and how many more there are."""
    wanted, found = module.state_dict(), []
    for name in wanted.keys() & state.keys():
        given, taken = (tuple(getattr(one[name], "shape", ())) for one in (state, wanted))
        if given != taken:
            found.append(f"{name} is {given} and not {taken}")
    found += [f"{name} is not there" for name in wanted.keys() - state.keys()]
    found += [f"{name} is unknown" for name in state.keys() - wanted.keys()]
    if not found:
        return " ".join(str(error).split())[:200]
    more = f", and {len(found) - 1} more" if len(found) > 1 else ""
    return f"{min(found)}{more}"


def _why(error: Exception) -> str:
    """Say why torch reads no weights; its own words tell how to run what the file says."""
    said = str(error)
    if "TorchScript" in said:
        return "it is TorchScript"
    if "Unsupported global" in said or "Unsupported class" in said:
        return "it is a pickle of more than weights, which would run code"
    if isinstance(error, KeyError):  # of a byte that begins no pickle
        return "it is neither"
    return said.splitlines()[0][:200] if said else type(error).__name__


def _width(ask: Callable[[Any], Any], layers: list[torch.nn.Linear]) -> int | None:
    """Tell how many columns a module takes: its first layer's, where it answers rows of so many.

    Layers come in the order in which they were made, and the first may be a head, or lie behind
    convolutions.
    """
    if not layers:
        return None
    rows = np.zeros((ROWS, layers[0].in_features))
    try:
        return rows.shape[1] if len(ask(rows)) == ROWS else None
    except Exception:  # whatever somebody's code raises at rows that it does not take
        return None


def _family(
    module: torch.nn.Module, layers: list[torch.nn.Linear]
) -> tuple[str | None, dict[str, Any]]:
    """Recognise a linear model and a network of one hidden layer, by what they answer.

    Their code is free, so that their layers prove nothing; equal answers to random rows do.
    """
    if not 1 <= len(layers) <= 2:
        return None, {}
    rows = torch.tensor(np.random.default_rng(0).normal(size=(64, layers[0].in_features)))
    kind = layers[0].weight.dtype
    try:
        with torch.no_grad():
            told = module(rows.to(kind)).double()
            for name in ACTIVATIONS if len(layers) == 2 else ("",):
                scores = layers[0](rows.to(kind)).double()
                if name:
                    bent = torch.tensor(ACTIVATIONS[name](scores.numpy()))
                    scores = layers[1](bent.to(kind)).double()
                if any(_equal(told, link(scores)) for link in (_same, _softmax, torch.sigmoid)):
                    hidden = {"hidden": layers[0].out_features, "activation": name}
                    return ("mlp", hidden) if name else ("softmax", {})
    except (RuntimeError, AttributeError, TypeError):  # layers that do not follow on each other
        pass
    return None, {}


def _same(scores: torch.Tensor) -> torch.Tensor:
    return scores


def _softmax(scores: torch.Tensor) -> torch.Tensor:
    return torch.softmax(scores, 1)


def _equal(told: torch.Tensor, scores: torch.Tensor) -> bool:
    return told.shape == scores.shape and bool((told - scores).abs().max() < SAME)
