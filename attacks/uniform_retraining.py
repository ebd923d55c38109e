"""Train on uniform queries."""

from collections.abc import Iterator
from dataclasses import dataclass

from moatbench.attack import Target
from moatbench.client import Surrogate
from moatbench.strategies.retraining import Retraining, Trainer, check_knobs
from moatbench.types import Generator

WAVE = 256  # inputs drawn at a time


@dataclass(frozen=True)
class UniformRetraining(Trainer):
    """Spend the budget on uniform inputs and train a surrogate on the answers.

    Where trees are learnt, every second input is a row of the pool, for as long as there are any:
    of uniform inputs alone they may know less of real data than one constant answer does.

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        inputs: the raw `cube`, as in the paper's released code, or `valid` inputs only.

    Source: Tramèr et al. 2016, sec. 6.1, "retraining with uniform queries".
    """

    answers: str
    learner: str
    inputs: str

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, self.inputs)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Draw waves of one size, so that a larger budget begins with the same inputs."""
        retraining = Retraining(
            target.api, self.answers, self.learner, self.inputs, rng, target.pool
        )
        while retraining.open:
            yield from retraining.buy(retraining.among_ordinary(retraining.uniform(WAVE)))
