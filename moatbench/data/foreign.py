"""Rows of another data set as an API of this one takes them: foreign pools, and outliers."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from moatbench.data.table import Column, Table
from moatbench.types import Array


def as_ours(other: Table, ours: Table, resize: bool, key: str) -> Table:
    """Return the other table in the columns, the ranges and the names of ours.

    Pictures are taken by their share of the range from dark to bright; of a table, rows with a
    number beyond our range, or a name that we do not have, are left out.

    Args:
        other: whose rows they are.
        ours: whose API is asked.
        resize: whether pictures of another shape are resized, or refused.
        key: of the config that names the other, for messages.

    Raises:
        ValueError: pictures are of another shape, a column is missing, or no row is left.
    """
    if ours.image is not None:
        return _pictures(other, ours, resize, key)
    columns = {column.name: column for column in other.columns}
    missing = [column.name for column in ours.columns if column.name not in columns]
    if missing:
        raise ValueError(
            f"{key} must have the columns of data {ours.name}, got {other.name} without "
            f"{', '.join(missing[:5])}; choose data with the same columns"
        )
    values = [_values(columns[column.name], column) for column in ours.columns]
    keep = np.flatnonzero(~np.isnan(np.column_stack(values)).any(axis=1))
    if not keep.size:
        raise ValueError(
            f"{key} must have rows within the ranges and names of data {ours.name}, got "
            f"{other.name}, where none of {len(values[0])} is"
        )
    return _with(ours, [v[keep] for v in values], other)


def _pictures(other: Table, ours: Table, resize: bool, key: str) -> Table:
    assert ours.image is not None
    if other.image is None:
        raise ValueError(
            f"{key} must be pictures, as data {ours.name} are, got {other.name}, which are none"
        )
    if other.image != ours.image and not resize:
        raise ValueError(
            f"{key} must be pictures of {_shape(ours.image)}, got {other.name} of "
            f"{_shape(other.image)}; say {key}.resize=true, or choose others"
        )
    lit = np.column_stack([_lit(column) for column in other.columns])
    if other.image != ours.image:
        lit = _resized(lit, other.image, ours.image)
    if ours.pixels is not None:
        pixels = np.rint(255 * lit).astype(np.uint8)
        return replace(_with(ours, list(pixels.T), other), pixels=pixels)
    ranges = [column.range for column in ours.columns]
    return _with(
        ours,
        [low + part * (high - low) for part, (low, high) in zip(lit.T, ranges, strict=True)],
        other,
    )


def _with(ours: Table, values: list[Array], other: Table) -> Table:
    columns = tuple(
        replace(column, values=v, bounds=column.range, grid=column.step)
        if column.categories is None
        else replace(column, values=v)
        for column, v in zip(ours.columns, values, strict=True)
    )
    y = np.zeros(len(values[0]), np.int64)
    return replace(ours, name=other.name, columns=columns, y=y, notes=other.notes, pixels=None)


def _values(theirs: Column, ours: Column) -> Array:
    """(n,) numbers, or codes of our names; nan where our API takes no such value."""
    if ours.categories is None:
        low, high = ours.range
        values = np.asarray(theirs.values, dtype=np.float64)
        return np.where((values >= low) & (values <= high), values, np.nan)
    place = {name: float(i) for i, name in enumerate(ours.categories)}
    if theirs.categories is None:
        return np.array([place.get(f"{v:.12g}", np.nan) for v in theirs.values])
    codes = np.array([place.get(name, np.nan) for name in theirs.categories])
    return np.asarray(codes[theirs.values.astype(np.intp)])


def _lit(column: Column) -> NDArray[np.float32]:
    """(n,) how bright a pixel is: 0 the darkest of its range, 1 the brightest."""
    low, high = column.range
    lit = (np.asarray(column.values, dtype=np.float32) - low) / max(high - low, 1e-9)
    return np.asarray(lit, dtype=np.float32)


def _resized(
    lit: NDArray[np.float32], of: tuple[int, ...], to: tuple[int, ...]
) -> NDArray[np.float32]:
    """(n, d) pictures of another size, and grey where ours are, or in our number of channels."""
    from PIL import Image

    pictures = lit.reshape(-1, *of)
    if of[0] != to[0]:
        grey = pictures.mean(axis=1, keepdims=True)
        pictures = np.repeat(grey, to[0], axis=1)
    size = (to[2], to[1])
    made = [
        np.asarray(Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR))
        for picture in pictures
        for channel in picture
    ]
    lit = np.stack(made).reshape(len(pictures), -1)
    return np.asarray(np.clip(lit, 0, 1), dtype=np.float32)


def _shape(image: tuple[int, ...]) -> str:
    return " x ".join(map(str, image))
