"""Train, ask where the surrogate is in doubt, and train again."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from moatbench.attack import Target
from moatbench.client import Surrogate
from moatbench.knobs import check_number
from moatbench.strategies.retraining import Retraining, Trainer, check_knobs
from moatbench.types import Generator


@dataclass(frozen=True)
class AdaptiveRetraining(Trainer):
    """Ask on the boundary of a surrogate that is trained anew each round.

    Departs from the paper, which has five equal rounds: rounds grow with what is bought, so that
    early ones are cheap and none of a larger budget is spent on a poor surrogate.

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        inputs: the raw `cube`, as in the paper's released code, or `valid` inputs only.
        first: uniform queries before the first round, as a share of the answers that would
            determine the surrogate.
        growth: queries of a round, as a share of those made before.
        uniform_share: of a round's queries, those that are uniform.

    Source: Tramèr et al. 2016, sec. 6.1, "adaptive retraining" (uniform_share: 0.25 in its code).
    """

    answers: str
    learner: str
    inputs: str
    first: float
    growth: float
    uniform_share: float

    against: ClassVar[frozenset[str]] = frozenset({"withholds"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, self.inputs)
        check_number("adaptive_retraining: first", self.first, 0)
        check_number("adaptive_retraining: growth", self.growth, 0, above=True)
        check_number("adaptive_retraining: uniform_share", self.uniform_share, 0, 1)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Go on between rounds from the last fit."""
        retraining = Retraining(
            target.api, self.answers, self.learner, self.inputs, rng, target.pool
        )
        yield from retraining.adapt(self.first, self.growth, self.uniform_share)
