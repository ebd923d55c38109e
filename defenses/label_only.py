"""Label-only: the floor that every defense which tells the true label must beat.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 6.
Read: text.
"""

from dataclasses import dataclass

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array


@dataclass(frozen=True)
class LabelOnly(Defense):
    """Withhold all confidences."""

    traits = Traits({"withholds"}, confidences=False)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer the labels alone."""
        return reply.with_outputs(None)
