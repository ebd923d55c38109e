"""Try the families that fit the answers, and keep the one that predicts held-out answers best."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_choice
from moatbench.learners.published import ignorant, too_many
from moatbench.learners.purchases import Purchases
from moatbench.solvers.candidates import CANDIDATES, Candidates
from moatbench.types import Generator

INPUTS = ("cube", "valid")


@dataclass(frozen=True)
class ExtractAndTest(Attack):
    """Spend the budget on uniform inputs; let the answers tell the family, and extract it.

    Each family is tried on four fifths of the answers and judged by the others; the best is fitted
    to all of them, by equation solving where confidences are told. Where the card publishes a
    family that can be fitted, it alone is; where that is an ensemble of trees, every second query
    is a row of the pool, for as long as there are any.

    Args:
        families: to try where none is published, some of `candidates.CANDIDATES`; rbf stands for
            kernel machines of any kind.
        inputs: the raw `cube`, or `valid` inputs only.

    Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 6.2,
    there on the width of a kernel.
    """

    families: Sequence[str]
    inputs: str

    def __post_init__(self) -> None:
        if isinstance(self.families, str) or not self.families:
            raise ValueError(
                "extract_and_test: families must be a list, got "
                f"{self.families!r}; name some of {', '.join(CANDIDATES)}"
            )
        for family in self.families:
            check_choice("extract_and_test: each of families", family, CANDIDATES)
        check_choice("extract_and_test: inputs", self.inputs, INPUTS)

    def unmet(self, target: Target) -> str:
        """Say also where even a linear model has too many unknowns."""
        return super().unmet(target) or too_many("softmax", target.api.card)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Choose anew at each checkpoint, until a family explains all answers exactly."""
        api = target.api
        asking, fitting = rng.spawn(2)
        space, bought = api.card.space, Purchases(api.card)
        draw = space.sample if self.inputs == "valid" else space.sample_cube
        candidates = Candidates(api.card, self.families, fitting)
        # Trees know nothing of where they were not asked, and all cubes' corners are elsewhere
        ordinary = asking.permutation(target.pool) if candidates.trees else target.pool[:0]
        for checkpoint in api.checkpoints:
            x = draw(checkpoint - api.queries, asking)
            places = np.flatnonzero((api.queries + np.arange(len(x))) % 2)[: len(ordinary)]
            x[places], ordinary = ordinary[: len(places)], ordinary[len(places) :]
            answers = api.query(x)
            bought.add(answers)
            if answers.path is not None:
                candidates.narrow("tree")  # only a tree tests features on the way
            yield candidates(bought) if len(bought) else ignorant(api.card)
