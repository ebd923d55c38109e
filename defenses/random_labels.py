"""Random labels: the API that tells nothing, against which every row of a table is read.

Source: a control. What an attack scores here it owes to its own data and to luck.
Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.numerics.keyed import keyed_uniform
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator
from moatbench.victim import NotApplicable, Victim


@dataclass
class RandomLabels(Defense):
    """Answer each row with a label drawn uniformly from all classes, and nothing else.

    The label is a function of the row under a secret key, not of the victim's answer: a repeat
    learns nothing. No confidences are told, since any that are not the victim's would only say
    again what the label says, and no path.

    Args:
        grid: inputs are snapped to its multiples to draw the label, where each number spans
            [-1, 1], so that a repeat with less jitter than that is told the same.
    """

    grid: float

    traits = Traits(
        {"tells_nothing"}, keeps_labels=False, confidences=False, noise=NoiseModel("keyed")
    )

    def __post_init__(self) -> None:
        check_number("random_labels: grid", self.grid, 0, above=True, hint="; for example 1e-6")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key; need two classes to choose from."""
        self._classes = len(victim.classes)
        if self._classes < 2:
            raise NotApplicable(
                "random_labels draws one of the classes, and this victim has one; choose a "
                "classifier, or leave random_labels out"
            )
        self._key, self._space = rng.bytes(32), victim.space

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer random labels alone."""
        drawn = keyed_uniform(self._key, self._space.scaled(x), 1, self.grid)[:, 0]
        return Reply((drawn * self._classes).astype(np.int64), refused=reply.refused)
