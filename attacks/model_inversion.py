"""Reconstruct an input for each class, through an extracted model or straight through the API."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Card, Surrogate
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.learners.published import PUBLISHED, ignorant, learner_for
from moatbench.learners.purchases import Purchases
from moatbench.search.ascent import Inversion
from moatbench.solvers.kernel_reconstruction import KernelReconstruction, kernel_unmet
from moatbench.solvers.reconstruction import Reconstruction
from moatbench.types import Generator

MODES = ("extraction", "black_box")
SOLVED = ("logistic", "softmax", "one_vs_rest", "linear_probe", "mlp")  # by equations
Extractor = Callable[[Purchases], Surrogate]


@dataclass(frozen=True)
class ModelInversion(Attack):
    """Climb to an input of which the model is sure, for each class, by gradients of its log.

    Gradients are finite differences in both modes: `extraction` takes them of a surrogate, where
    they cost nothing; `black_box` of the API, which meters each. Prototypes are (k, d) in
    `Surrogate.parameters`.

    Args:
        mode: `extraction` or `black_box`.
        step: of a difference, as a share of half a column's range.
        length: of the first ascent, as a share of half the range, root mean square over columns.
        goal: a class is done when its confidence reaches this.
        rounds: ascents at most.

    Source: Tramèr et al. 2016, sec. 4.1.3 and 5, after Fredrikson et al. 2015, algorithm 1.
    """

    mode: str
    step: float
    length: float
    goal: float
    rounds: int

    needs: ClassVar[Needs] = Needs(confidences=True, numeric=True)

    def __post_init__(self) -> None:
        check_choice("model_inversion: mode", self.mode, MODES)
        for knob, value in (("step", self.step), ("length", self.length), ("goal", self.goal)):
            check_number(f"model_inversion: {knob}", value, 0, 1, above=True, below=True)
        check_whole("model_inversion: rounds", self.rounds, 1)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield the prototypes so far, with the model that all answers so far make."""
        return (self._extraction if self.mode == "extraction" else self._black_box)(target.api, rng)

    def _extraction(self, api: PredictionAPI, rng: Generator) -> Iterator[Surrogate]:
        """Extract with uniform queries, then climb on the surrogate."""
        asking, fitting = rng.spawn(2)
        bought, extract = Purchases(api.card), extractor(api.card, fitting)
        for checkpoint in api.checkpoints:
            cube = api.card.space.sample_cube(checkpoint - api.queries, asking)
            bought.add(api.query(cube))
            surrogate = extract(bought) if len(bought) else ignorant(api.card)
            inversion = self._begin(api.card)
            while not inversion.done:
                outputs = surrogate.predict(inversion.questions()).outputs
                assert outputs is not None  # surrogates of confidences answer confidences
                inversion.learn(outputs)
            yield _with(surrogate, inversion)

    def _black_box(self, api: PredictionAPI, rng: Generator) -> Iterator[Surrogate]:
        """Climb on the API; what is left of the budget buys uniform queries."""
        asking, fitting = rng.spawn(2)
        bought, inversion, space = Purchases(api.card), self._begin(api.card), api.card.space
        questions, outputs, asked = inversion.questions(), np.empty((0, inversion.k)), 0
        for checkpoint in api.checkpoints:
            while (room := checkpoint - api.queries) > 0:
                if inversion.done:
                    bought.add(api.query(space.sample_cube(room, asking)))
                    continue
                if not asked:
                    outputs = np.full((len(questions), inversion.k), np.nan)
                answers = api.query(questions[asked : asked + room])
                bought.add(answers)
                if answers.outputs is not None:
                    outputs[asked + answers.rows] = answers.outputs
                asked = min(asked + room, len(questions))
                if asked == len(questions):
                    inversion.learn(outputs)
                    questions, asked = inversion.questions(), 0
            yield _with(_fitted(api.card, bought, fitting), inversion)

    def _begin(self, card: Card) -> Inversion:
        k = len(card.classes)
        return Inversion(card.space, k, self.step, self.length, self.goal, self.rounds)

    def unmet(self, target: Target) -> str:
        """Say why the attack does not apply: as its needs say, or an unknown architecture."""
        reason, card = super().unmet(target), target.api.card
        if reason or self.mode != "extraction" or card.family != "kernel_logistic":
            return reason
        return kernel_unmet(card)


def extractor(card: Card, rng: Generator) -> Extractor:
    """Return what turns answers into a surrogate: equations of the family, or plain training."""
    if card.family == "kernel_logistic":
        return KernelReconstruction(card, True, rng)
    if card.family in SOLVED:
        return Reconstruction(card, True, rng)
    return lambda bought: _fitted(card, bought, rng, PUBLISHED)


def _fitted(card: Card, bought: Purchases, rng: Generator, learner: str = "softmax") -> Surrogate:
    """Train on all answers."""
    targets = bought.targets()
    if not len(bought) or (targets == targets[0]).all():
        return ignorant(card, bought.labels)
    return learner_for(learner, card).fit(bought.x, targets, rng).surrogate()


def _with(surrogate: Surrogate, inversion: Inversion) -> Surrogate:
    parameters = {**surrogate.parameters, "prototypes": inversion.prototypes.copy()}
    return replace(surrogate, parameters=parameters)
