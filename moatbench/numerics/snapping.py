"""Numeric features on a grid; categories, and features left out, stay as they are."""

import numpy as np

from moatbench.space import InputSpace, Numeric
from moatbench.types import Array, Mask


def snapped(x: Array, space: InputSpace, step: float) -> Array:
    """(n, d) the nearest points of the grid, within the bounds.

    Args:
        x: (n, d) inputs.
        space: of the inputs.
        step: of the grid, as a share of each numeric feature's range; the grid starts at its low
            end, and its high end belongs to it as well.
    """
    columns = numeric_columns(space)
    low, high = space.low[columns], space.high[columns]
    cell = step * (high - low)
    at = x.copy()
    at[:, columns] = np.clip(low + cell * np.rint((x[:, columns] - low) / cell), low, high)
    return at


def numeric_columns(space: InputSpace) -> Mask:
    """(d,) which columns hold numeric features."""
    numeric = [isinstance(feature, Numeric) for feature in space.features]
    return np.repeat(numeric, [feature.width for feature in space.features])
