"""Ask only what the model is really asked, where a defense moves the inputs to a grid."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, Surrogate
from moatbench.strategies.view import View
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Array, Generator, Rows


@dataclass(frozen=True)
class OnGrid(Wrapper):
    """Run another attack with its questions moved to the defense's grid before they are asked.

    A point of the grid is answered with the truth, so that the answer is an exact one to a question
    that the attacker knows. Only an attack that needs steps below the grid's loses anything.

    Args:
        attack: the other one.

    Source: ours.
    """

    attack: Attack

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """What moves inputs, and what the other attack withstands."""
        return self.attack.against | {"moves_inputs"}

    def unmet(self, target: Target) -> str:
        """Say also where there is no grid."""
        traits = target.known.traits
        if traits is not None and not traits.input_grid:
            return "the defense moves no inputs to a grid"
        return self.attack.unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Give the other attack this very generator."""
        traits = target.known.traits
        step = traits.input_grid if traits is not None else 0.0
        return self.attack.run(replace(target, api=Snapped(target.api, step)), rng)


class Snapped(View):
    """An API that is asked the nearest points of a grid, and says what it was asked.

    Args:
        api: what is asked.
        step: of the grid, as a share of each numeric feature's range; 0 is no grid.
    """

    def __init__(self, api: PredictionAPI, step: float) -> None:
        super().__init__(api)
        self._step = step

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask each row once."""
        at = self.card.space.snap(x, self._step) if self._step else x
        return self._api.query(at, account)
