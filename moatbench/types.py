"""The array types that cross every boundary: NumPy float64 in, NumPy float64 out."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]
Generator = np.random.Generator
