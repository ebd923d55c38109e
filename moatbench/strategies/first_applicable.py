"""The first of several attacks that applies, where which one does depends on the model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from moatbench.attack import Attack, Target
from moatbench.client import Answers, Surrogate
from moatbench.types import Generator


@dataclass(frozen=True)
class FirstApplicable(Attack):
    """Run the first of several attacks that applies to the target.

    It is meant for wrappers: what they do to questions or answers serves an attack that solves for
    parameters, one that takes a sum of trees apart, and one that trains alike.

    Args:
        attacks: by name, the strongest first; at least one.
    """

    attacks: Mapping[str, Attack]

    def __post_init__(self) -> None:
        if not self.attacks:
            raise ValueError("first_applicable: attacks must name at least one, got none")

    @property
    def choices(self) -> tuple[Attack, ...]:  # type: ignore[override]
        """All of them, the strongest first."""
        return tuple(self.attacks.values())

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """What each of them was made for: which one runs is known with the model alone."""
        return frozenset.intersection(*(attack.against for attack in self.choices))

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether one of them is shown the victim."""
        return any(attack.oracle for attack in self.choices)

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether none uses anything but labels."""
        return all(attack.labels_only for attack in self.choices)

    def unmet(self, target: Target) -> str:
        """Say why the last one does not apply, where none does; it is the one that asks least."""
        reasons = [attack.unmet(target) for attack in self.choices]
        return reasons[-1] if all(reasons) else ""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Give the first that applies this very generator, so that it does what it would alone."""
        return self._chosen(target).run(target, rng)

    def learn(self, target: Target, answers: Answers, rng: Generator) -> Surrogate | None:
        """Let the first that applies learn."""
        return self._chosen(target).learn(target, answers, rng)

    def _chosen(self, target: Target) -> Attack:
        return next(attack for attack in self.choices if not attack.unmet(target))
