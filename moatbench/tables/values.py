"""A column that is understood: numbers, yes and no, or names."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.tables.look import Look, Mask

NUMBER, TRUTH, NAME = "number", "yes/no", "name"


@dataclass(frozen=True)
class Values:
    """A column that is understood.

    Args:
        kind: number, yes/no or name.
        values: (n,) numbers or truths, with anything where one is missing; texts, where that is
            None.
        missing: (n,) which are.
        rows: (n,) the number of each row, in a table without lines.
    """

    kind: str
    values: NDArray[Any]
    missing: Mask
    rows: NDArray[Any] | None = None

    def at(self, kept: Mask) -> "Values":
        """Return the rows that are kept."""
        rows = None if self.rows is None else self.rows[kept]
        return Values(self.kind, self.values[kept], self.missing[kept], rows)

    def as_look(self, name: str) -> Look:
        """Write the values as cells."""
        texts = np.array([str(v) for v in self.values.tolist()], dtype=object)
        rows = np.arange(1, len(texts) + 1) if self.rows is None else self.rows
        return Look(name, np.where(self.missing, "", texts), rows, "row")
