"""A table as it was read: numbers and names in the owner's own units and types."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.types import Array, Labels

DECIMALS = 6  # at most, that a column of numbers is taken to be written with
EXACT = 2**50  # steps from 0, up to which a number is told from the next by its last decimal


@dataclass(frozen=True)
class Column:
    """A feature of a table.

    Args:
        name: of the feature.
        values: (n,) numbers, or the codes of `categories`.
        categories: the names of the values, for a categorical feature.
        bounds: the declared range of a numeric feature; None takes the table's own.
        dtype: of the column in the owner's data frame; None is float64, or object for names.
        originals: what stands in the owner's data frame for each category; None is its name.
        grid: the declared step of a numeric feature; None finds the last decimal seen.
    """

    name: str
    values: Array
    categories: tuple[str, ...] | None = None
    bounds: tuple[float, float] | None = None
    dtype: Any = None
    originals: tuple[Any, ...] | None = None
    grid: float | None = None

    @property
    def range(self) -> tuple[float, float]:
        """The least and the greatest number."""
        return self.bounds or (float(self.values.min()), float(self.values.max()))

    @property
    def constant(self) -> bool:
        """Whether it is a number that never varies."""
        return self.categories is None and self.range[0] == self.range[1]

    @property
    def boolean(self) -> bool:
        """Whether it is True or False in the owner's data frame."""
        return str(self.dtype) in ("bool", "boolean")

    @property
    def step(self) -> float:
        """The last decimal that the numbers are written with: 1 for whole ones, 0 for any."""
        if self.grid is not None:
            return self.grid
        seen = np.unique(np.concatenate([self.values, self.range]))
        for decimals in range(DECIMALS + 1):
            scale = 10.0**decimals
            if np.abs(seen).max() * scale > EXACT:
                return 0.0
            if (np.rint(seen * scale) / scale == seen).all():
                return 1 / scale
        return 0.0


@dataclass(frozen=True)
class Table:
    """A data set as it was read: complete rows, coded classes.

    Args:
        name: for people.
        columns: the features, in order.
        y: (n,) the class of each row.
        classes: the names of the classes.
        image: (channels, height, width) where the columns are pixels.
        notes: how it was read: source, rows dropped, missing values.
        pixels: (n, d) all columns as one array of bytes, where they are 8-bit pixels.
    """

    name: str
    columns: tuple[Column, ...]
    y: Labels
    classes: tuple[str, ...]
    image: tuple[int, ...] | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    pixels: NDArray[np.uint8] | None = None

    def __post_init__(self) -> None:
        if not self.columns:
            raise ValueError(f"data {self.name}: there is no feature beside the target")
        if (k := len(self.classes)) < 2:
            told = f"1 class ({self.classes[0]})" if k else "no class"
            raise ValueError(
                f"data {self.name}: the target has {told}, and must have two or more; choose "
                "another target, or give data of every class"
            )

    def sha256(self) -> str:
        """Hash the content: what was read, whatever file it came from."""
        digest = hashlib.sha256()
        names = [(c.name, c.categories, c.bounds) for c in self.columns]
        digest.update(json.dumps([names, self.classes]).encode())
        if self.pixels is not None:
            digest.update(np.ascontiguousarray(self.pixels).data)
            digest.update(self.y.astype(np.float64).tobytes())
            return digest.hexdigest()
        for values in (*(c.values for c in self.columns), self.y.astype(np.float64)):
            digest.update(np.ascontiguousarray(values, dtype=np.float64).tobytes())
        return digest.hexdigest()
