"""Significant digits: confidences with few digits from the first that is not zero.

Unlike decimals, they tell a small confidence as precisely, in proportion, as a large one: the log
of an answer moves by at most about 5 * 10^-digits.

Source: a variant of the rounding in Tramèr et al. 2016, "Stealing Machine Learning Models via
Prediction APIs", sec. 7.
Read: text.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_whole
from moatbench.reply import Reply
from moatbench.traits import AnswerGrid, Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim

MOST = 15  # digits that a float64 holds
SMALLEST = 1e-285  # below, 10^MOST times its inverse would overflow: answered as 0


@dataclass(frozen=True)
class SignificantDigits(Defense):
    """Round every output to its first few digits; the label, taken before, stays.

    y' = 10^-p rint(10^p y), with p = digits - 1 - floor(log10 |y|); zero stays zero. A rounded
    answer need not sum to one. The value of a regression victim is rounded likewise. Verified
    against Python's decimal formatting; from 12 digits on, the last may differ by one.

    Args:
        digits: kept, 1 to 15.
    """

    digits: int

    strengths: ClassVar[dict[str, Any]] = {"digits": (1, 2, 3, 4, 5)}

    def __post_init__(self) -> None:
        check_whole(
            "significant_digits: digits",
            self.digits,
            1,
            MOST,
            hint="; for no confidences at all use label_only",
        )

    @property
    def traits(self) -> Traits:
        """The steps are public."""
        return Traits({"quantises"}, answer_grid=AnswerGrid("digits", self.digits))

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need outputs."""
        victim.require_outputs("significant_digits")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer rounded outputs; halves go to the even digit."""
        if reply.outputs is None:
            return reply
        return reply.with_outputs(rounded(reply.outputs, self.digits))


def rounded(values: Array, digits: int) -> Array:
    """Round each value to its own number of decimals; NaN stays."""
    told = np.abs(values) >= SMALLEST
    size = np.log10(np.abs(values), where=told, out=np.zeros_like(values))
    places = digits - 1 - np.floor(size)
    # Powers of ten are exact up to 10^22, their inverses never: divide where decimals are wanted.
    up, down = 10.0 ** np.maximum(places, 0), 10.0 ** np.maximum(-places, 0)
    result: Array = np.where(told | np.isnan(values), np.rint(values * up / down) * down / up, 0.0)
    return result
