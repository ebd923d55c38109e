"""Top-1: believe the label, and nothing else of the answer.

Whatever a label-preserving defense does to the confidences, the labels stay; so no such defense can
keep more than an API that answers labels only does.

Source: the label treatment of Orekondy et al. 2020, "Prediction Poisoning", arXiv:1906.10908, and
of Tang et al. 2024, "ModelGuard" (USENIX Security).
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, Card, Surrogate
from moatbench.strategies.view import View
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Array, Generator, Rows


@dataclass(frozen=True)
class Top1(Wrapper):
    """Run another attack on an API that, to it, answers labels only.

    Before a label-preserving defense it draws, bit for bit, the curve that the other attack draws
    before `label_only`. It applies only where a defense touches the confidences: where there are
    none, or where they are true, the other attack alone is as good or better.

    Args:
        attack: the other one.
    """

    attack: Attack

    against: ClassVar[frozenset[str]] = frozenset({"perturbs", "remembers"})
    labels_only: ClassVar[bool] = True

    def unmet(self, target: Target) -> str:
        """Say also where the other attack alone does the same, or better."""
        if not target.api.card.confidences:
            same = type(self.attack).__name__
            return f"the API answers labels only: {same} is the same attack"
        traits = target.known.traits
        if traits is not None and not traits.touches_confidences:
            return "nothing touches the confidences"
        return self.attack.unmet(replace(target, api=Labels(target.api)))

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Give the other attack this very generator, so that it asks what it would ask."""
        return self.attack.run(replace(target, api=Labels(target.api)), rng)


class Labels(View):
    """An API as one who ignores confidences sees it: the labels, and the path where it is told."""

    def __init__(self, api: PredictionAPI) -> None:
        super().__init__(api, card=labels_only(api.card))

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Ask each row once."""
        return self._api.query(x, account)._replace(outputs=None)


def labels_only(card: Card) -> Card:
    """Return the card of an API that answers labels only."""
    return replace(card, confidences=False)
