"""Pictures in a .npz file, as keras and many others ship them."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.pictures.shape import Pixels, as_pixels

SPLIT = ("x_train", "y_train", "x_test", "y_test")
WHOLE = ("x", "y")
SYNONYMS = {
    "images": "x", "data": "x", "labels": "y", "targets": "y",
    "train_images": "x_train", "train_labels": "y_train",
    "test_images": "x_test", "test_labels": "y_test",
}  # fmt: skip


class Read(NamedTuple):
    """Pictures as they were read.

    `pixels` (n, channels, height, width); `labels` (n,) as they stand there; `tests`, how many at
    the end are a test set of the file's own.
    """

    pixels: Pixels
    labels: NDArray[Any]
    tests: int = 0


def read_npz(path: Path, layout: str) -> Read:
    """Read arrays x and y, or x_train, y_train, x_test and y_test; nothing is unpickled.

    Raises:
        ValueError: there is no such file, or it holds other arrays or objects.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {SYNONYMS.get(name, name): file[name] for name in file.files}
    except FileNotFoundError:
        raise ValueError(f"data.path must be a file, got {path}, where there is none") from None
    except Exception as error:  # a zip that is none, an array of objects
        raise ValueError(
            f"data.path must be a .npz of plain arrays, got {path} ({_why(error)}), and objects "
            "and pickles are not read; write it anew with numpy.savez('new.npz', x=images, "
            "y=labels), where you trust it"
        ) from error
    if set(SPLIT) <= set(found):
        parts = [as_pixels(found[f"x_{part}"], layout, f"x_{part}") for part in ("train", "test")]
        if parts[0].shape[1:] != parts[1].shape[1:]:
            shapes = " and ".join(str(part.shape[1:]) for part in parts)
            raise ValueError(f"{path.name}: x_train and x_test must be of one shape, got {shapes}")
        labels = np.concatenate([found["y_train"].ravel(), found["y_test"].ravel()])
        pixels = np.concatenate(parts)
        return _checked(Read(pixels, labels, len(parts[1])), path)
    if set(WHOLE) <= set(found):
        return _checked(Read(as_pixels(found["x"], layout, "x"), found["y"].ravel()), path)
    raise ValueError(
        f"{path.name} must hold x and y, or {', '.join(SPLIT)}, got {', '.join(found) or 'nothing'}"
    )


def _why(error: Exception) -> str:
    """Say why numpy reads no arrays; its own words tell how to run what the file says."""
    said = str(error)
    return "it is a pickle, or nothing known" if "pickle.load" in said else said


def _checked(read: Read, path: Path) -> Read:
    if len(read.pixels) != len(read.labels):
        raise ValueError(
            f"{path.name} must hold a label for each picture, got {len(read.labels)} for "
            f"{len(read.pixels)}; labels are numbers or names, not one-hot rows"
        )
    return read
