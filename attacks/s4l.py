"""S4L: networks that learn besides by how much a picture was turned.

Source: Zhai et al. 2019, arXiv:1905.03670; as a thief's treatment in Jagielski et al. 2020, "High
Accuracy and High Fidelity Extraction" (USENIX Security), and Tang et al. 2024, "ModelGuard".
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.learners.deep.learner import NET, S4L
from moatbench.strategies.retraining import Trainer
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Generator


@dataclass(frozen=True)
class SelfSupervised(Wrapper):
    """Run another attack whose networks are trained on turned pictures as well, weight 1.

    Args:
        attack: the other one, which trains.
    """

    attack: Attack

    def __post_init__(self) -> None:
        if not isinstance(self.attack, Trainer):
            name = type(self.attack).__name__
            raise ValueError(f"s4l: attack must be one that trains, got {name}; choose active")

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """What the other attack withstands."""
        return self.attack.against

    def unmet(self, target: Target) -> str:
        """Say also where there are no pictures, or no network learns them."""
        card = target.api.card
        if not card.space.image:
            return "turns pictures, and the inputs are none"
        if card.family == NET and card.architecture.get("net") == "mlp":
            return "turns pictures, and the victim's network is for tables"
        return self._treated().unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Give the other attack this very generator, so that it asks what it would ask."""
        return self._treated().run(target, rng)

    def _treated(self) -> Attack:
        return cast(Attack, replace(cast(Any, self.attack), learner=S4L))
