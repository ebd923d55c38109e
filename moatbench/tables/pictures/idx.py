"""IDX files, the form in which MNIST and its kin are handed on, packed by gzip or not."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.pictures.arrays import Read, joined, labelled, refuse_batches
from moatbench.tables.pictures.shape import as_pixels

TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}
STEMS = {"train": ("train",), "test": ("t10k", "test")}
GZIP = b"\x1f\x8b"


def read_idx(folder: Path) -> Read:
    """Read a folder of train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-..., .gz or not.

    Raises:
        ValueError: a file is missing, or is none of IDX.
    """
    if not folder.is_dir():
        raise ValueError(
            f"data.path must be a folder with *-images-idx3-ubyte(.gz) files, got {folder}"
        )
    refuse_batches(folder)
    parts = {}
    for part, stems in STEMS.items():
        images, labels = (_found(folder, stems, what) for what in ("images", "labels"))
        if images and labels:
            pixels = as_pixels(_array(images), "nhw", images.name)
            parts[part] = labelled(pixels, _array(labels), folder, part)
        elif alone := images or labels:
            missing = "labels" if images else "images"
            raise ValueError(
                f"{folder} must hold images and labels of a part, got {alone.name} without its "
                f"{missing}; lay them beside it, or move it away"
            )
    if not parts:
        raise ValueError(
            f"data.path must be a folder with train-images-idx3-ubyte(.gz) and "
            f"train-labels-idx1-ubyte(.gz), got {folder} with "
            f"{', '.join(sorted(f.name for f in folder.iterdir())[:8]) or 'nothing'}"
        )
    return joined(parts, folder)


def _found(folder: Path, stems: tuple[str, ...], what: str) -> Path | None:
    fits = [f for s in stems for f in sorted(folder.glob(f"{s}*{what}*")) if f.is_file()]
    return fits[0] if fits else None


def _array(path: Path) -> NDArray[Any]:
    raw = path.read_bytes()
    try:
        raw = gzip.decompress(raw) if raw.startswith(GZIP) else raw
        zeros, kind, axes = int.from_bytes(raw[:2], "big"), raw[2], raw[3]
        shape = np.frombuffer(raw, ">u4", axes, 4).astype(np.int64)
        if zeros or kind not in TYPES:
            raise ValueError(f"it begins with {raw[:4].hex()}")
        values = np.frombuffer(raw, TYPES[kind], offset=4 + 4 * axes)
        return values.reshape(shape).astype(TYPES[kind][1:])
    except (ValueError, IndexError, OSError, EOFError) as error:
        raise ValueError(
            f"{path} must be an IDX file, got another, or part of one: {error}"
        ) from error
