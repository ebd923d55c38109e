"""Confidence threshold: only confidences that are high are told.

Source: by entries, the postprocessor HighConfidence of the Adversarial Robustness Toolbox (cutoff);
by rows, what a service does that tells how sure it is only where it is sure.
Read: authors' code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_choice, check_number
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim

SCOPES = ("row", "entry")


@dataclass(frozen=True)
class ConfidenceThreshold(Defense):
    """Withhold confidences below a threshold; the label, taken before, stays.

    What is told is told exactly: the log-odds of every pair of entries that are left.

    Args:
        threshold: the least confidence told, 0 to 1; one that equals it is told.
        scope: row (a row whose largest confidence is lower gets its label only) or entry (each
            entry that is lower is answered as 0, and the others are not scaled).
    """

    threshold: float
    scope: str

    traits = Traits({"truncates"})
    harmless: ClassVar[dict[str, Any]] = {"threshold": 0.0}

    def __post_init__(self) -> None:
        check_number("confidence_threshold: threshold", self.threshold, 0, 1)
        check_choice("confidence_threshold: scope", self.scope, SCOPES)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need probabilities."""
        victim.require_probabilities("confidence_threshold")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer high confidences only."""
        outputs = reply.outputs
        if outputs is None:
            return reply
        if self.scope == "entry":
            return reply.with_outputs(np.where(outputs < self.threshold, 0.0, outputs))
        unsure = outputs.max(axis=1, keepdims=True) < self.threshold
        return reply.with_outputs(np.where(unsure, np.nan, outputs))
