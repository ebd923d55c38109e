"""Grid: the model is asked the nearest point of a grid, not the point that came.

An attacker who bisects finds the boundary to half a step at best, and jitter below it tells
nothing.

Source: rounding of inputs, as feature squeezing does it (Xu et al. 2018, arXiv:1704.01155), turned
against the line searches of Tramèr et al. 2016, sec. 4.
Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass
class Grid(Defense):
    """Snap the numeric features of a query; answer what the victim says of the snapped row.

    x' = low + step (high - low) rint((x - low) / (step (high - low))), at most high. Categories,
    and features left out, stay as they are. It asks the victim again. In a stack it comes first,
    since its answer replaces what the layers before it made of theirs; a monitor after it sees the
    rows as they came.

    Args:
        step: of the grid, as a share of each feature's range, 0 to 1; 0 is no grid.
    """

    step: float

    harmless: ClassVar[dict[str, Any]] = {"step": 0.0}

    def __post_init__(self) -> None:
        check_number("grid: step", self.step, 0, 1, hint="; a share of each feature's range")

    @property
    def traits(self) -> Traits:
        """The step is public; across a boundary it moves the label."""
        return Traits({"moves_inputs"}, keeps_labels=False, input_grid=self.step)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Keep the victim, to ask it."""
        self._victim = victim

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Replace the answers to rows that lie off the grid."""
        if self.step == 0:
            return reply
        at = self._victim.space.snap(x, self.step)
        moved = ((at != x) & ~np.isnan(x)).any(axis=1)
        if not moved.any():
            return reply
        answer = self._victim.predict(at[moved])
        return reply.put(moved, answer if reply.outputs is not None else answer.with_outputs(None))
