"""A way to steal a model, and what it yields."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any, ClassVar

from moatbench.api import PredictionAPI
from moatbench.client import Card, Surrogate
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
            return "needs real-valued columns, and the API takes raw categorical codes"
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

    def seen_through(self, api: PredictionAPI) -> "Target":
        """Return the same with another API before it."""
        return replace(self, api=api)


def _refuse_old_form(attack: type) -> None:
    """Raise a TypeError for an attack as they were written before there was a `Target`."""
    own, name = vars(attack), attack.__name__
    for old, new in (
        ("informed", "target.known in run"),
        ("aware", 'against = frozenset({"quantises"})'),
    ):
        if old in own:
            raise TypeError(f"{name}.{old} is how attacks were written before; use {new}")
    forms = {"run": ("api", "target, rng"), "unmet": ("card", "target")}
    for method, (first, new) in forms.items():
        if method in own and list(signature(own[method]).parameters)[1:2] == [first]:
            raise TypeError(
                f"{name}.{method}(self, {first}, ...) is how attacks were written before; write "
                f"{method}(self, {new}), with target.api, target.pool and target.known"
            )


class Attack(ABC):
    """A way to steal a model through a prediction API.

    `run` is a generator, suspended while the judge scores what it yielded. State lives in it, not
    in the object, so that one attack can be run many times. A defense some kind of which no attack
    of a run is `against` is reported as "naive only".

    Attributes:
        needs: what it cannot do without.
        against: the kinds of defenses (`traits.KINDS`) that it was made to withstand.
        oracle: whether it is shown the victim itself: what it reaches is then an upper bound on
            what an attacker can do, and is reported as one.
        labels_only: whether it uses nothing of an answer but the label. What uses more and reaches
            less was broken by the defense, which the leak was not: such a run is flagged.
        inner: the attack that it runs on an API seen in its own way; None for most.
    """

    needs: ClassVar[Needs] = Needs()
    against: ClassVar[frozenset[str]] = frozenset()
    oracle: ClassVar[bool] = False
    labels_only: ClassVar[bool] = False
    inner: ClassVar["Attack | None"] = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _refuse_old_form(cls)
        if not isinstance(against := vars(cls).get("against", frozenset()), property):
            check_kinds(f"{cls.__name__}.against", against)

    def unmet(self, target: Target) -> str:
        """Say why the attack does not apply to this target; '' where it does."""
        return self.needs.unmet(target.api.card, target.pool)

    @abstractmethod
    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield the best surrogate so far, when `queries` equals each of `checkpoints`.

        Both are those of `target.api`.
        """


class Wrapper(Attack):
    """An attack that runs another one, its field `attack`, on an API seen in its own way."""

    attack: Attack

    @property
    def inner(self) -> Attack:  # type: ignore[override]
        """The other attack."""
        return self.attack

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the other attack is shown the victim."""
        return self.inner.oracle

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether the other attack uses nothing else."""
        return self.inner.labels_only
