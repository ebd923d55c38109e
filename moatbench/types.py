"""The array types that cross every boundary: NumPy float64 in, NumPy float64 out."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Generator = np.random.Generator

T = TypeVar("T", bound=np.generic)


def fixed(array: NDArray[T]) -> NDArray[T]:
    """Return an array that can only be read: who writes to what is everybody's fails at once."""
    array.setflags(write=False)
    return array
