"""A way to steal a model, and what it yields."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from moatbench.api import PredictionAPI
from moatbench.client import Card, Surrogate
from moatbench.defense import Defense
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass(frozen=True)
class Needs:
    """What an attack cannot do without.

    Args:
        confidences: class probabilities in the answers.
        families: the published families that it can solve; empty is any, published or not.
        numeric: a space without raw categorical codes.
        partial: an API that takes partial inputs.
        pool: unlabelled inputs of its own.
        classes: answers that are classes; False where it can steal a regression model too.
    """

    confidences: bool = False
    families: frozenset[str] = frozenset()
    numeric: bool = False
    partial: bool = False
    pool: bool = False
    classes: bool = True

    def unmet(self, card: Card, pool: Array) -> str:
        """Say in one line what is missing; '' where nothing is."""
        if self.classes and card.regression:
            return "needs classes, and the API answers values (regression)"
        if self.confidences and not card.confidences:
            return "needs confidences, and the API answers labels only"
        if self.families and card.family not in self.families:
            known = f"is {card.family}" if card.family else "is not published"
            return f"needs a model of {', '.join(sorted(self.families))}; the victim's {known}"
        if self.numeric and card.space.coded.size:
            return "needs real-valued columns, and the API takes raw categorical codes"
        if self.partial and not card.partial:
            return "needs partial inputs, and the API takes none"
        if self.pool and not len(pool):
            return "needs a pool of inputs, and the attacker has none (data.pool_share is 0)"
        return ""


class Attack(ABC):
    """A way to steal a model through a prediction API.

    `run` is a generator, suspended while the judge scores what it yielded. State lives in it, not
    in the object, so that one attack can be run many times. A defense that no attack of a run is
    `aware` of is reported as "naive only".

    Attributes:
        needs: what it cannot do without.
        aware: names of the defenses in conf/ that it was made to withstand.
        oracle: whether it is shown the victim itself: what it reaches is then an upper bound on
            what an attacker can do, and is reported as one.
        labels_only: whether it uses nothing of an answer but the label. What uses more and reaches
            less was broken by the defense, which the leak was not: such a run is flagged.
    """

    needs: ClassVar[Needs] = Needs()
    aware: ClassVar[frozenset[str]] = frozenset()
    oracle: ClassVar[bool] = False
    labels_only: ClassVar[bool] = False

    def informed(self, defense: Defense, victim: Victim | None) -> "Attack":
        """Return the attack as it is made for this defense; one that need not know it, itself.

        Args:
            defense: a copy of what stands before the victim, with its knobs, without its secrets.
            victim: the model itself where the attack is an `oracle`, else None.
        """
        return self

    def unmet(self, card: Card, pool: Array) -> str:
        """Say why the attack does not apply to this API; '' where it does."""
        return self.needs.unmet(card, pool)

    @abstractmethod
    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
        """Yield the best surrogate so far, when `api.queries` equals each of `api.checkpoints`."""


class Worn(Attack):
    """An attack that runs another one, its field `attack`, on an API seen in its own way."""

    attack: Attack

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the other attack is shown the victim."""
        return self.attack.oracle

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether the other attack uses nothing else."""
        return self.attack.labels_only
