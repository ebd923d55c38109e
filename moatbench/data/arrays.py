"""From an API's rows back to arrays of numbers as an owner's model takes them."""

from dataclasses import dataclass

import numpy as np

from moatbench.data.table import Column
from moatbench.space import Categorical, InputSpace
from moatbench.types import Array


@dataclass(frozen=True)
class Arrays:
    """Rows of an API in the data's own units, as arrays that hold one-hot groups of 0 and 1.

    Args:
        columns: of the owner's data; one that never varies stands in the array all the same.
        space: that the rows lie in.
    """

    columns: tuple[Column, ...]
    space: InputSpace

    def __call__(self, x: Array) -> Array:
        """Return (n, columns) numbers, snapped to their step, and codes or groups of 0 and 1."""
        x = self.space.answered(x).copy()
        for group in self.space.groups:
            x[:, group] = (x[:, group] + 1) / 2
        where = dict(zip([f.name for f in self.space.features], self.space.columns, strict=True))
        parts = [
            x[:, where[c.name]] if c.name in where else np.full((len(x), 1), c.range[0])
            for c in self.columns
        ]
        return np.hstack(parts)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the array's columns, as `pandas.get_dummies` gives them."""
        features = {f.name: f for f in self.space.features}
        found: list[str] = []
        for column in self.columns:
            feature = features.get(column.name)
            if isinstance(feature, Categorical) and feature.one_hot:
                found += [f"{column.name}_{value}" for value in feature.values]
            else:
                found.append(column.name)
        return tuple(found)
