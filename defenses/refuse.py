"""Refuse: no answer at all, the plainest response to an alarm.

Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass

import numpy as np

from moatbench.defense import Defense
from moatbench.traits import Traits
from moatbench.types import Array, Mask


@dataclass(frozen=True)
class Refuse(Defense):
    """Admit no row."""

    traits = Traits({"refuses"})

    def admit(self, x: Array, account: str) -> Mask:
        """Admit none."""
        return np.zeros(len(x), dtype=bool)
