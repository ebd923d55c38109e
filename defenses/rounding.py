"""Rounding: confidences with few decimals.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 7.
Read: text.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_whole
from moatbench.reply import Reply
from moatbench.traits import AnswerGrid, Traits
from moatbench.types import Array

MOST = 15  # decimals that a float64 holds


@dataclass(frozen=True)
class Rounding(Defense):
    """Round every output; the label, taken before, stays.

    A rounded answer need not sum to one, nor need its largest entry be the label's.

    Args:
        decimals: kept after the point, 0 to 15.
    """

    decimals: int

    strengths: ClassVar[dict[str, Any]] = {"decimals": (0, 1, 2, 3, 4, 5)}

    def __post_init__(self) -> None:
        hint = "; for no confidences at all use label_only"
        check_whole("rounding: decimals", self.decimals, 0, MOST, hint=hint)

    @property
    def traits(self) -> Traits:
        """The steps are public."""
        return Traits({"quantises"}, answer_grid=AnswerGrid("decimals", self.decimals))

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer rounded outputs, in steps of 10^-decimals; halves go to the even digit."""
        if reply.outputs is None:
            return reply
        return reply.with_outputs(np.round(reply.outputs, self.decimals))
