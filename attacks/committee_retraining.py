"""Train several models on the same answers, and ask where they differ."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from moatbench.attack import Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_number, check_whole
from moatbench.strategies.committee import Committee
from moatbench.strategies.retraining import Trainer, check_knobs
from moatbench.types import Generator


@dataclass(frozen=True)
class CommitteeRetraining(Trainer):
    """Ask the pool, mixes and uniform rows, and of these what divides a committee.

    All questions are valid rows. A mix takes each feature, or whole one-hot group, from one of two
    rows of the pool. The committee's members are trained on bootstraps of the answers; what they
    are asked about are mixes and uniform rows, and bought is where their confidences differ most.

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        first: queries before the first committee, as a share of the answers that would determine
            the surrogate.
        growth: queries of a round, as a share of those made before.
        chosen_share: of a round's queries, those that the committee chooses.
        members: of the committee.
        candidates: for each query that it chooses; None: 6 of confidences and 12 of labels alone,
            which tell nothing but the side of a boundary.

    Source: Seung et al. 1992, "Query by Committee" (COLT); the questions and their shares are ours.
    """

    answers: str
    learner: str
    first: float
    growth: float
    chosen_share: float
    members: int
    candidates: int | None

    against: ClassVar[frozenset[str]] = frozenset({"withholds"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, "valid")
        name = "committee_retraining"
        check_number(f"{name}: first", self.first, 0)
        check_number(f"{name}: growth", self.growth, 0, above=True)
        check_number(f"{name}: chosen_share", self.chosen_share, 0, 1)
        check_whole(f"{name}: members", self.members, 2)
        if self.candidates is not None:
            check_whole(f"{name}: candidates", self.candidates, 1, other="null")

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Choose each round by a committee of all answers before it."""
        attacker = Committee(target, self.answers, self.learner, rng, self.members, self.candidates)
        yield from attacker.adapt_by_committee(self.first, self.growth, self.chosen_share)

    def learn(self, target: Target, answers: Answers, rng: Generator) -> Surrogate:
        """Train the surrogate alone: what was asked is not chosen again."""
        attacker = Committee(target, self.answers, self.learner, rng, self.members, self.candidates)
        attacker.bought.add(answers)
        return attacker.surrogate()
