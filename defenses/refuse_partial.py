"""Refuse partial inputs: no answer to rows that leave features out.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 7: answers
to partial inputs are what the top-down tree attack of sec. 4.2 lives on.
Read: text.
"""

from dataclasses import dataclass

import numpy as np

from moatbench.defense import Defense
from moatbench.traits import Traits
from moatbench.types import Array, Mask


@dataclass(frozen=True)
class RefusePartial(Defense):
    """Admit rows only in which every feature is there.

    Before a victim that takes no partial inputs it has nothing to do: there the API itself rejects
    them.
    """

    traits = Traits({"refuses"}, partial=False)

    def admit(self, x: Array, account: str) -> Mask:
        """Admit rows without NaN."""
        return np.asarray(~np.isnan(x).any(axis=1))
