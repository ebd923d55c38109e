"""Binning: in place of a confidence, its bin ("low", "medium", "high").

Source: coarse confidences are a defense in Fredrikson et al. 2015, "Model Inversion Attacks that
Exploit Confidence Information", sec. 6, and Tramèr et al. 2016, "Stealing Machine Learning Models
via Prediction APIs", sec. 7; equal bins are ours.
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

MOST = 10**6


@dataclass(frozen=True)
class Binning(Defense):
    """Answer a value for the bin that holds each output; the label, taken before, stays.

    y' = min(floor(bins y), bins - 1) / (bins - 1): the bins are of equal width, and their values go
    from 0 (low) to 1 (high), so that certainty stays certainty; with the middles of the bins, the
    many low ones of a ten-class answer would add up to more than one. No answer is off by more than
    1 / bins, and it need not sum to one.

    Args:
        bins: on [0, 1]; 2 to 10^6.
    """

    bins: int

    strengths: ClassVar[dict[str, Any]] = {"bins": (2, 3, 5, 10)}

    def __post_init__(self) -> None:
        check_whole("binning: bins", self.bins, 2, MOST)

    @property
    def traits(self) -> Traits:
        """The steps are public."""
        return Traits({"quantises"}, answer_grid=AnswerGrid("bins", self.bins))

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need probabilities: a regression value has no bounds."""
        victim.require_probabilities("binning")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer bins."""
        if reply.outputs is None:
            return reply
        bins = np.minimum(np.floor(reply.outputs * self.bins), self.bins - 1)
        return reply.with_outputs(bins / (self.bins - 1))
