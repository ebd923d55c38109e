"""A folder of pictures: a folder for each class, perhaps below train/ and test/."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from moatbench.tables.pictures.arrays import Read, refuse_batches
from moatbench.tables.pictures.shape import Pixels

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif", ".tiff")
SPLITS = (("train", "test"), ("train", "val"), ("train", "valid"))
DEEP = ("I", "F")  # modes of 16 or 32 bits a channel, "I;16" too


def read_folder(path: Path, grey: bool | None, size: Sequence[int] | None) -> Read:
    """Read <class>/*.png and their kin, or train/<class>/* and test/<class>/*.

    Args:
        path: the folder.
        grey: whether colours are dropped; None drops them where no picture has any.
        size: (height, width) to which all are resized; None refuses pictures of several sizes.

    Raises:
        ValueError: there is no such folder, it has no picture, several sizes, or more than 8 bits
            a channel.
    """
    if not path.is_dir():
        raise ValueError(f"data.path must be a folder with a folder for each class, got {path}")
    refuse_batches(path)
    names = {f.name for f in path.iterdir() if f.is_dir()}
    split = next((pair for pair in SPLITS if set(pair) <= names), None)
    parts = [_files(path / part) for part in split] if split else [_files(path)]
    files = [pair for part in parts for pair in part]
    if not files:
        raise ValueError(
            f"data.path must be a folder with a folder of pictures ({', '.join(ENDINGS[:3])}, ...) "
            f"for each class, got {path} with {', '.join(sorted(names)[:8]) or 'no folder'}"
        )
    pixels = _pixels([file for file, _ in files], grey, size)
    labels = np.array([label for _, label in files])
    return Read(pixels, labels, len(parts[1]) if split else 0)


def _files(folder: Path) -> list[tuple[Path, str]]:
    classes = sorted(f for f in folder.iterdir() if f.is_dir() and not f.name.startswith("."))
    return [
        (file, c.name)
        for c in classes
        for file in sorted(c.rglob("*"))
        if file.suffix.lower() in ENDINGS
    ]


def _pixels(files: Sequence[Path], grey: bool | None, size: Sequence[int] | None) -> Pixels:
    from PIL import Image, UnidentifiedImageError

    found: list[Pixels] = []
    first: tuple[Path, tuple[int, int]] | None = None
    for file in files:
        try:
            with Image.open(file) as opened:
                mode, picture = opened.mode, opened.convert("RGB")
        except (UnidentifiedImageError, OSError, ValueError) as error:
            raise ValueError(
                f"{file} must be a picture, got one that cannot be read: {error}"
            ) from error
        if mode.startswith(DEEP):  # which conversion cuts off at 255: all would be white
            raise ValueError(
                f"pictures must have 8 bits a channel, got {file} of Pillow's mode {mode}; convert "
                "it: divide by what white is there, and take it times 255"
            )
        if size is not None:
            picture = picture.resize((int(size[1]), int(size[0])), Image.Resampling.BILINEAR)
        first = first or (file, picture.size)
        if picture.size != first[1]:
            raise ValueError(
                f"pictures must be of one size, got {first[1][1]} x {first[1][0]} in {first[0]} "
                f"and {picture.size[1]} x {picture.size[0]} in {file}; give all one with "
                f"'data.size=[{first[1][1]},{first[1][0]}]'"
            )
        found.append(np.asarray(picture, dtype=np.uint8))
    pixels = np.moveaxis(np.stack(found), -1, 1)
    colourless = bool((pixels[:, :1] == pixels).all())
    return pixels[:, :1] if grey or (grey is None and colourless) else pixels
