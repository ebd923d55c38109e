"""Pictures in a .npz file, as keras and many others ship them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.pictures.shape import Pixels, as_pixels

SPLIT = ("x_train", "y_train", "x_test", "y_test")
WHOLE = ("x", "y")
PICKLED = ("data_batch_1", "batches.meta")  # CIFAR as its authors pickled it
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
    refuse_batches(path)
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
        parts = {
            part: labelled(
                as_pixels(found[f"x_{part}"], layout, f"x_{part}"), found[f"y_{part}"], path, part
            )
            for part in ("train", "test")
        }
        return joined(parts, path)
    if set(WHOLE) <= set(found):
        return labelled(as_pixels(found["x"], layout, "x"), found["y"], path, "it")
    raise ValueError(
        f"{path.name} must hold x and y, or {', '.join(SPLIT)}, got {', '.join(found) or 'nothing'}"
    )


def refuse_batches(folder: Path) -> None:
    """Raise where a folder holds CIFAR as its authors pickled it, and say how it is converted."""
    if any((folder / name).exists() for name in PICKLED):
        raise ValueError(
            f"{folder} holds CIFAR's python batches, which are pickles and are not read; convert "
            "them once where you trust them: numpy.savez('cifar.npz', x=images, y=labels), then "
            "data=npz data.path=cifar.npz"
        )


def _why(error: Exception) -> str:
    """Say why numpy reads no arrays; its own words tell how to run what the file says."""
    said = str(error)
    return "it is a pickle, or nothing known" if "pickle.load" in said else said


def labelled(pixels: Pixels, labels: NDArray[Any], path: Path, part: str) -> Read:
    """Return a part with its labels, one each.

    Raises:
        ValueError: they are more or fewer, so that labels of another part would count.
    """
    labels = labels.ravel()
    if len(pixels) != len(labels):
        raise ValueError(
            f"{path.name}: {part} must have a label for each picture, got {len(labels)} for "
            f"{len(pixels)}; labels are numbers or names, not one-hot rows"
        )
    return Read(pixels, labels)


def joined(parts: Mapping[str, Read], path: Path) -> Read:
    """Return training and test set as one; a part alone is all there is.

    Raises:
        ValueError: their pictures are of two shapes.
    """
    shapes = {part: read.pixels.shape[1:] for part, read in parts.items()}
    if len(set(shapes.values())) > 1:
        told = " and ".join(
            f"{' x '.join(map(str, shape))} in {part}" for part, shape in shapes.items()
        )
        raise ValueError(f"{path.name}: pictures must be of one shape, got {told}")
    tests = len(parts["test"].labels) if len(parts) > 1 else 0
    pixels = np.concatenate([read.pixels for read in parts.values()])
    return Read(pixels, np.concatenate([read.labels for read in parts.values()]), tests)
