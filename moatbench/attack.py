"""A way to steal a model, and what it yields."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

from moatbench.api import PredictionAPI
from moatbench.client import Answers, Card, Surrogate
from moatbench.defense import Defense
from moatbench.traits import Traits, check_kinds
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
            pairs = zip(card.space.features, card.space.columns, strict=True)
            names = [feature.name for feature, c in pairs if c.start in card.space.coded]
            return f"needs numbers in all columns, and the API takes names ({', '.join(names[:3])})"
        if self.partial and not card.partial:
            return "needs partial inputs, and the API takes none"
        if self.pool and not len(pool):
            return "needs a pool of inputs, and the attacker has none (data.pool_share is 0)"
        return ""


@dataclass(frozen=True)
class Known:
    """What an attacker knows of what stands before the victim; nothing, unless it is told.

    Args:
        defense: a copy of it, with its knobs, without its secrets.
        victim: the model itself where the attack is an `oracle`, else None.
    """

    defense: Defense | None = None
    victim: Victim | None = None

    @property
    def traits(self) -> Traits | None:
        """What the defense says of itself; None where it is not known."""
        return None if self.defense is None else self.defense.traits

    @property
    def keeps_labels(self) -> bool:
        """Whether the labels told are known to be the victim's."""
        return self.traits is not None and self.traits.keeps_labels


@dataclass(frozen=True)
class Target:
    """What an attack is given.

    Args:
        api: all that it may ask.
        pool: (n, d) unlabelled inputs of the attacker's own.
        known: of the defense.
    """

    api: PredictionAPI
    pool: Array
    known: Known = Known()


class Attack(ABC):
    """A way to steal a model through a prediction API.

    `run` is a generator. What it yielded no longer changes, for it may be judged later. State lives
    in it, not in the object: one attack can be run many times. Where a defense is of a kind that no
    attack of a run is `against`, the run is marked "naive only".

    Attributes:
        needs: what it cannot do without.
        against: the kinds of defenses (`traits.KINDS`) that it was made to withstand.
        oracle: whether it is shown the victim itself: what it reaches is then an upper bound on
            what an attacker can do, and is reported as one.
        labels_only: whether it uses nothing of an answer but the label. An attack that uses more
            and reaches less shows that the defense broke it, not the leak: such a run is flagged.
        inner: the attack that it runs on an API seen in its own way; None for most.
        choices: the attacks of which it runs the first that applies; none for most.
    """

    needs: ClassVar[Needs] = Needs()
    against: ClassVar[frozenset[str]] = frozenset()
    oracle: ClassVar[bool] = False
    labels_only: ClassVar[bool] = False
    inner: ClassVar["Attack | None"] = None
    choices: ClassVar["tuple[Attack, ...]"] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not isinstance(against := vars(cls).get("against", frozenset()), property):
            check_kinds(f"{cls.__name__}.against", against)

    def unmet(self, target: Target) -> str:
        """Say why the attack does not apply to this target; '' where it does."""
        return self.needs.unmet(target.api.card, target.pool)

    def learn(self, target: Target, answers: Answers, rng: Generator) -> Surrogate | None:
        """Return what is made of answers that were bought before, and ask nothing.

        None, as by default, where what was asked goes with how the answers were: whoever wants to
        know runs it again on a record of them. A surrogate may tell how to go on (`again`).
        """
        return None

    @abstractmethod
    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield the best surrogate so far, as `target.api` reaches each of its checkpoints."""
