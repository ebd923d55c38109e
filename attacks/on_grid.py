"""Ask only what the model is really asked, where a defense moves the inputs to a grid."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Worn
from moatbench.client import Answers, Card, Surrogate
from moatbench.defense import Defense
from moatbench.strategies.view import View
from moatbench.types import Array, Generator, Rows
from moatbench.victim import Victim


@dataclass(frozen=True)
class OnGrid(Worn):
    """Run another attack with its questions moved to the defense's grid before they are asked.

    A point of the grid is answered with the truth, so that the answer is an exact one to a question
    that the attacker knows. Only an attack that needs steps below the grid's loses anything.

    Args:
        attack: the other one.

    Source: ours.
    """

    attack: Attack
    _step: float = field(default=0.0, init=False, repr=False)  # of the defense's grid
    _needless: str = field(default="", init=False, repr=False)  # why, of this defense

    @property
    def aware(self) -> frozenset[str]:  # type: ignore[override]
        """The grid, and what the other attack withstands."""
        return self.attack.aware | {"grid"}

    def informed(self, defense: Defense, victim: Victim | None) -> Attack:
        """Inform the other attack; note the grid."""
        told = replace(self, attack=self.attack.informed(defense, victim))
        object.__setattr__(told, "_step", defense.snap)
        if not defense.snap:
            object.__setattr__(told, "_needless", "the defense moves no inputs to a grid")
        return told

    def unmet(self, card: Card, pool: Array) -> str:
        """Say also where there is no grid."""
        return self._needless or self.attack.unmet(card, pool)

    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
        """Give the other attack this very generator."""
        return self.attack.run(Snapped(api, self._step), pool, rng)


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
