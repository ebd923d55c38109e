"""Pictures that no file holds: drawn shapes, and crops of bundled photographs."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from moatbench.types import Generator, Labels

FORMS = ("disc", "square", "triangle", "cross", "ring")
SHAPES = tuple(f"{texture} {form}" for form in FORMS for texture in ("striped", "blotched"))
SIDE, TILE = 32, 4  # pixels of a picture, and of a blotch
AT_ONCE = 2048  # pictures drawn at once
GRAIN, NOISE = 0.12, 0.08  # of the background, and of all: of a range of 2
SCALES = 5.0  # of crops: 1 to 2^5 photograph's pixels a pixel

Pixels = NDArray[np.uint8]


def drawn(n: int, rng: Generator) -> tuple[Pixels, Labels]:
    """Draw n pictures (n, 3, 32, 32) and their classes, of `SHAPES`.

    Place, size, angle, colours and background are random; only form and texture tell the class.
    """
    parts = [_drawn(size, rng) for size in _sizes(n)]
    pixels, labels = zip(*parts, strict=True)
    return np.concatenate(pixels), np.concatenate(labels)


def _drawn(n: int, rng: Generator) -> tuple[Pixels, Labels]:
    y = rng.integers(len(SHAPES), size=n)
    across, down = (axis.astype(np.float64) for axis in np.mgrid[0:SIDE, 0:SIDE][::-1])
    x0, y0 = rng.uniform(10, 22, (2, n, 1, 1))
    radius, angle = rng.uniform(6, 11, (n, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))
    u = ((across - x0) * np.cos(angle) + (down - y0) * np.sin(angle)) / radius
    v = (-(across - x0) * np.sin(angle) + (down - y0) * np.cos(angle)) / radius
    inside = np.choose((y // 2)[:, None, None], _forms(u, v)).astype(np.float64)[:, None]
    texture = np.where((y % 2)[:, None, None] == 0, _stripes(u, v, radius, rng), _blotches(n, rng))
    front, left, right = rng.uniform(-1, 1, (3, n, 3, 1, 1))
    slope = across / (SIDE - 1)
    grain = GRAIN * rng.standard_normal((n, 3, SIDE, SIDE))
    back = right * slope + left * (1 - slope) + grain
    picture = back * (1 - inside) + front * (0.35 + 0.65 * texture[:, None]) * inside
    picture += NOISE * rng.standard_normal(picture.shape)
    return np.rint((np.clip(picture, -1, 1) + 1) * 127.5).astype(np.uint8), y


def _forms(u: NDArray[np.float64], v: NDArray[np.float64]) -> list[NDArray[np.bool_]]:
    """Tell which points lie inside each form, in coordinates along its axes."""
    far, wide, thin = np.hypot(u, v), np.maximum(abs(u), abs(v)), np.minimum(abs(u), abs(v))
    return [
        far < 0.8,
        wide < 0.7,
        (v > -0.5) & (v < 1.1 - 2 * abs(u)),
        (thin < 0.25) & (wide < 0.9),
        (far < 0.9) & (far > 0.5),
    ]


def _stripes(
    u: NDArray[np.float64], v: NDArray[np.float64], radius: NDArray[np.float64], rng: Generator
) -> NDArray[np.float64]:
    """Draw stripes two to three pixels wide, in a direction of their own."""
    n = len(u)
    width, phase = rng.uniform(1.2, 2.2, (n, 1, 1)), rng.uniform(0, 2 * np.pi, (n, 1, 1))
    turn = rng.uniform(0, 2 * np.pi, (n, 1, 1))
    wave = np.sin(width * radius * (u * np.cos(turn) + v * np.sin(turn)) + phase)
    return 0.5 + 0.5 * np.sign(wave)


def _blotches(n: int, rng: Generator) -> NDArray[np.float64]:
    """Draw random greys in tiles."""
    tiles = rng.random((n, SIDE // TILE, SIDE // TILE))
    return tiles.repeat(TILE, axis=1).repeat(TILE, axis=2)


def crops(n: int, shape: tuple[int, int, int], rng: Generator) -> tuple[Pixels, Labels]:
    """Crop n pictures of a shape (channels, height, width), and tell from which photograph.

    Each is a mean over blocks, stretched to the whole range; half of them are negatives.
    """
    from sklearn.datasets import load_sample_images

    photographs = [np.asarray(image, dtype=np.float64) for image in load_sample_images().images]
    channels, height, width = shape
    found, y = np.empty((n, *shape), np.uint8), rng.integers(len(photographs), size=n)
    for i in range(n):
        photograph = photographs[y[i]]
        most = min(photograph.shape[0] // height, photograph.shape[1] // width)
        scale = max(1, min(most, int(2 ** rng.uniform(0, SCALES))))
        top = rng.integers(photograph.shape[0] - height * scale + 1)
        left = rng.integers(photograph.shape[1] - width * scale + 1)
        part = photograph[top : top + height * scale, left : left + width * scale]
        part = part.reshape(height, scale, width, scale, 3).mean(axis=(1, 3))
        part = part.mean(axis=2, keepdims=True) if channels == 1 else part
        low, high = part.min(), part.max()
        part = (part - low) / max(high - low, 1e-9)
        part = 1 - part if rng.random() < 0.5 else part
        found[i] = np.rint(np.moveaxis(part, -1, 0) * 255)
    return found, y


def _sizes(n: int) -> Iterator[int]:
    for start in range(0, n, AT_ONCE):
        yield min(AT_ONCE, n - start)
