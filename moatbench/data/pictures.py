"""Tables whose columns are the 8-bit pixels of pictures."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.data.table import Column, Table
from moatbench.types import Labels

DARK, BRIGHT = 0.0, 255.0


def picture_table(
    name: str,
    pixels: NDArray[np.uint8],
    y: Labels,
    classes: Sequence[str],
    notes: Mapping[str, Any],
) -> Table:
    """Make a table of pictures; their pixels are kept as bytes.

    Args:
        name: for people.
        pixels: (n, channels, height, width).
        y: (n,) the class of each.
        classes: their names.
        notes: where they came from.

    Raises:
        ValueError: there are no pictures, or no two classes.
    """
    n, *shape = pixels.shape
    if not pixels.size or len(shape) != 3:
        raise ValueError(
            f"data {name}: pictures must be (n, channels, height, width), got {pixels.shape}"
        )
    flat = np.ascontiguousarray(pixels).reshape(n, -1)
    flat.setflags(write=False)
    columns = tuple(
        Column(f"pixel{i}", flat[:, i], None, (DARK, BRIGHT), np.uint8, grid=1.0)  # type: ignore[arg-type]
        for i in range(flat.shape[1])
    )
    return Table(name, columns, y, tuple(classes), tuple(shape), notes, flat)
