"""Networks by name, as the field's papers use them, for pictures of any size.

Torch modules that take rows (n, d) of numbers from -1 to 1 and answer scores (n, k). ReLU stands
after pooling: both ways have the same answers and slopes, bit for bit, and this one has a fourth of
the pixels to go through.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from moatbench.learners.deep.nets import KNOBS, check

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "logistic": nn.Sigmoid,
}
VGG16 = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512, 0)


class Pixels(nn.Module):
    """Rows to pictures (n, channels, height, width)."""

    def __init__(self, image: Sequence[int]) -> None:
        super().__init__()
        self.image = tuple(image)

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(-1, *self.image)


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *_normed(given, made, stride),
            nn.ReLU(),
            *_normed(made, made, 1),
        )
        same = given == made and stride == 1
        self.short = nn.Identity() if same else nn.Sequential(*_normed(given, made, stride, 1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.short(x))


class Wide(nn.Module):
    """A block of a wide residual network (Zagoruyko & Komodakis 2016, arXiv:1605.07146)."""

    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.before = nn.Sequential(nn.BatchNorm2d(given), nn.ReLU())
        self.body = nn.Sequential(
            nn.Conv2d(given, made, 3, stride, 1, bias=False),
            nn.BatchNorm2d(made),
            nn.ReLU(),
            nn.Conv2d(made, made, 3, 1, 1, bias=False),
        )
        self.short: nn.Module | None = None
        if given != made or stride != 1:
            self.short = nn.Conv2d(given, made, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.before(x)
        return self.body(z) + (x if self.short is None else self.short(z))  # type: ignore[no-any-return]


def make(name: str, image: Sequence[int], k: int, knobs: Mapping[str, Any]) -> nn.Module:
    """Make a network with fresh weights, drawn from torch's stream.

    Args:
        name: of `ARCHITECTURES`.
        image: (channels, height, width); of a table (columns,), which `mlp` alone takes.
        k: scores.
        knobs: those of `KNOBS`, where the network has any.

    Raises:
        ValueError: there is no such network or knob, or it does not fit the pictures.
    """
    check(name, image, knobs)
    return ARCHITECTURES[name](tuple(image), k, **{**KNOBS.get(name, {}), **knobs})


def _mlp(image: tuple[int, ...], k: int, hidden: int | Sequence[int], activation: str) -> nn.Module:
    widths = [prod(image), *([hidden] if isinstance(hidden, int) else hidden)]
    layers: list[nn.Module] = []
    for given, made in pairwise(widths):
        layers += [nn.Linear(given, made), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], k))


def _cnn(image: tuple[int, ...], k: int, width: int, hidden: int) -> nn.Module:
    c, h, w = image
    size = 2 * width * (h // 4) * (w // 4)
    return nn.Sequential(
        Pixels(image),
        *(nn.Conv2d(c, width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(width, 2 * width, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, k)),
    )


def _lenet(image: tuple[int, ...], k: int) -> nn.Module:
    c, h, w = image
    size = 16 * ((h // 2 - 4) // 2) * ((w // 2 - 4) // 2)
    return nn.Sequential(
        Pixels(image),
        *(nn.Conv2d(c, 6, 5, padding=2), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten()),
        *(nn.Linear(size, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, k)),
    )


def _conv3(image: tuple[int, ...], k: int) -> nn.Module:
    widths = [image[0], 32, 64, 128]
    layers: list[nn.Module] = [Pixels(image)]
    for given, made in pairwise(widths):
        layers += [nn.Conv2d(given, made, 3, padding=1), nn.MaxPool2d(2), nn.ReLU()]
    size = 128 * (image[1] // 8) * (image[2] // 8)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, k))


def _resnet(*widths: int, blocks: Sequence[int]) -> Callable[..., nn.Module]:
    """Return the maker of a residual network for small pictures: a stem of 3 x 3, no pooling."""

    def built(image: tuple[int, ...], k: int) -> nn.Module:
        layers: list[nn.Module] = [Pixels(image), *_normed(image[0], widths[0], 1), nn.ReLU()]
        given = widths[0]
        for stage, (made, n) in enumerate(zip(widths, blocks, strict=True)):
            for block in range(n):
                layers.append(Residual(given, made, 2 if stage and not block else 1))
                given = made
        return nn.Sequential(*layers, *_head(given, k))

    return built


def _wide(depth: int, factor: int) -> Callable[..., nn.Module]:
    def built(image: tuple[int, ...], k: int) -> nn.Module:
        widths, n = [16 * factor, 32 * factor, 64 * factor], (depth - 4) // 6
        layers: list[nn.Module] = [Pixels(image), nn.Conv2d(image[0], 16, 3, 1, 1, bias=False)]
        given = 16
        for stage, made in enumerate(widths):
            for block in range(n):
                layers.append(Wide(given, made, 2 if stage and not block else 1))
                given = made
        return nn.Sequential(*layers, nn.BatchNorm2d(given), nn.ReLU(), *_head(given, k))

    return built


def _vgg16(image: tuple[int, ...], k: int) -> nn.Module:
    layers: list[nn.Module] = [Pixels(image)]
    given = image[0]
    for made in VGG16:
        layers += [*_normed(given, made, 1), nn.ReLU()] if made else [nn.MaxPool2d(2)]
        given = made or given
    return nn.Sequential(*layers, *_head(given, k))


def _normed(given: int, made: int, stride: int, size: int = 3) -> list[nn.Module]:
    convolution = nn.Conv2d(given, made, size, stride, size // 2, bias=False)
    return [convolution, nn.BatchNorm2d(made)]


def _head(width: int, k: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, k)]


ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    "mlp": _mlp,
    "cnn": _cnn,
    "lenet": _lenet,
    "conv3": _conv3,
    "resnet8": _resnet(16, 32, 64, blocks=(1, 1, 1)),
    "resnet18": _resnet(64, 128, 256, 512, blocks=(2, 2, 2, 2)),
    "resnet34": _resnet(64, 128, 256, 512, blocks=(3, 4, 6, 3)),
    "vgg16_bn": _vgg16,
    "wrn_16_4": _wide(16, 4),
    "wrn_40_2": _wide(40, 2),
}
