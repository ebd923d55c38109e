"""Inputs as a model of the defender's takes them: every column on one scale, none left out."""

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array


def coordinates(x: Array, space: InputSpace) -> Array:
    """Put every feature on [-1, 1], category codes as one-hot columns; what is left out is 0.

    (n, d) inputs to (n, c) coordinates, and a row's are the same whatever rows stand beside it.
    """
    side = np.maximum(space.high - space.low, np.finfo(np.float64).tiny)
    scaled = np.nan_to_num(2 * (x - space.low) / side - 1)
    codes = [np.where(x[:, [c]] == np.arange(space.high[c] + 1), 1.0, -1.0) for c in space.coded]
    return np.concatenate([np.delete(scaled, space.coded, axis=1), *codes], axis=1)
