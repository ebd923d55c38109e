"""Rounding: confidences with few decimals.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 7.
Read: text.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_choice, check_whole
from moatbench.reply import Reply
from moatbench.traits import AnswerGrid, Traits
from moatbench.types import Array, Generator
from moatbench.victim import NotApplicable, Victim

SCALES = ("probability", "log")
MOST = 15  # decimals that a float64 holds


@dataclass(frozen=True)
class Rounding(Defense):
    """Round every output; the label, taken before, stays.

    A rounded answer need not sum to one, nor need its largest entry be the label's.

    Args:
        decimals: kept after the point, 0 to 15.
        scale: `probability`; or `log`: it is natural logarithms that are rounded. On many classes
            the first leaves nothing but zeros.
    """

    decimals: int
    scale: str = SCALES[0]

    strengths: ClassVar[dict[str, Any]] = {"decimals": (0, 1, 2, 3, 4, 5)}

    def __post_init__(self) -> None:
        hint = "; for no confidences at all use label_only"
        check_whole("rounding: decimals", self.decimals, 0, MOST, hint=hint)
        check_choice("rounding: scale", self.scale, SCALES)

    @property
    def traits(self) -> Traits:
        """The steps are public."""
        unit = "decimals" if self.scale == SCALES[0] else "log_decimals"
        return Traits({"quantises"}, answer_grid=AnswerGrid(unit, self.decimals))

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need probabilities, where it is their logarithms that are rounded."""
        if self.scale == "log" and len(victim.classes) == 1:
            raise NotApplicable("rounding: scale=log needs classes, and the victim answers values")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer rounded outputs, in steps of 10^-decimals; halves go to the even digit."""
        if reply.outputs is None:
            return reply
        if self.scale == "log":
            with np.errstate(divide="ignore"):  # a zero stays one
                logs = np.log(reply.outputs)
            return reply.with_outputs(np.exp(np.round(logs, self.decimals)))
        return reply.with_outputs(np.round(reply.outputs, self.decimals))
