"""Reverse-engineer how a service turns raw features into those of its linear model.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 5.2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_number
from moatbench.learners.published import ignorant
from moatbench.learners.purchases import Purchases
from moatbench.models.linear import Linear, cross_entropy, design
from moatbench.reply import Reply, from_outputs, has_outputs
from moatbench.search.feature_bins import Effects, Search
from moatbench.solvers import readings
from moatbench.types import Array, Generator

JUDGED = 8  # answers after which it shows whether they are rounded
RIDGE = 1e-6  # of a fit to answers that are not exact


@dataclass(frozen=True)
class FeatureExtraction(Attack):
    """Find bins and categories by their steps in the log-odds, which are a sum over the features.

    Where the paper searches line by line and then solves, here the answers of the search are the
    solution, and one query moves an edge of several features. Once all is known, random queries
    check it; rounded or noisy answers are fitted in the feature space found.

    Args:
        eps: width of a bracket around an edge, as a share of the feature's range, at which the
            search ends; 0 is float64's own.
    """

    eps: float

    needs: ClassVar[Needs] = Needs(confidences=True, families=frozenset({"amazon_logistic"}))

    def __post_init__(self) -> None:
        check_number("feature_extraction: eps", self.eps, 0, 1, below=True)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield what is known so far; edges are refined the widest bracket first."""
        session = _Session(self.eps, target.api, rng)
        for checkpoint in target.api.checkpoints:
            session.spend(checkpoint)
            yield session.surrogate()


class _Session:
    """One run: a search, and the purse that pays its questions."""

    def __init__(self, eps: float, api: PredictionAPI, rng: Generator) -> None:
        self._api, self._rng, card = api, rng, api.card
        base = np.full(card.space.d, np.nan)
        if not card.partial:
            base = card.space.answered(((card.space.low + card.space.high) / 2)[None])[0]
            base[card.space.coded] = 0.0
        self._bought = Purchases(card)
        self._effects = Effects(base, card.space, len(card.classes))
        self._search = Search(self._effects, eps)
        self._steps = self._search.steps()
        self._next: Array | None = next(self._steps)
        self._checks: list[bool] = []

    def spend(self, checkpoint: int) -> None:
        """Ask what the search wants to know, one row at a time; after it, at random."""
        while self._next is not None and self._api.queries < checkpoint:
            answers = self._ask(self._next[None])
            if len(self._bought) == JUDGED:
                places = readings.decimals(self._bought.outputs)
                self._effects.half = 0.0 if places is None else 0.5 * 10.0**-places
            try:
                self._next = self._steps.send(self._scores(answers))
            except StopIteration:
                self._next = None
        if rest := checkpoint - self._api.queries:
            answers = self._ask(self._api.card.space.sample(rest, self._rng))
            if answers.outputs is not None and not self._effects.half:
                whole = has_outputs(answers.outputs)
                x, outputs = answers.x[whole], answers.outputs[whole]
                if len(x):
                    explained = readings.explained(
                        self._effects.scores(x), readings.completed(outputs)
                    )
                    self._checks.append(explained)

    def surrogate(self) -> Surrogate:
        """Return the exact sum, or, where answers are not exact, a fit in its feature space."""
        effects, search = self._effects.copy(), self._search
        if not len(self._bought):
            return ignorant(self._api.card)
        if effects.half or search.noisy or not all(self._checks) or not effects.origin.any():
            return self._fitted()
        edges = [len(effects.brackets(column)) for column in range(len(effects.base))]
        note = f"features extracted: {sum(edges)} edges" + ("" if search.finished else ", so far")

        def predict(x: Array) -> Reply:
            return from_outputs(np.asarray(softmax(effects.scores(x), axis=1)))

        return Surrogate(predict, effects.parameters(), search.finished, note)

    def _ask(self, x: Array) -> Answers:
        answers = self._api.query(x)
        self._bought.add(answers)
        return answers

    def _scores(self, answers: Answers) -> Array | None:
        """Return the log-probabilities of a row, centred; None where they are not told."""
        if not len(answers.rows) or answers.outputs is None:
            return None
        outputs = readings.completed(answers.outputs)[0]
        if np.isnan(outputs).any():
            return None
        least = self._effects.half / 4 or 1e-300  # a zero is less than what rounds to more
        logs = np.log(np.maximum(outputs, least))
        return np.asarray(logs - logs.mean())

    def _fitted(self) -> Surrogate:
        """Fit softmax regression to all answers, on the features as far as they are known."""
        effects, bought, k = self._effects.copy(), self._bought, len(self._api.card.classes)
        x, targets = effects.indicators(bought.x), bought.targets()
        coef, converged = cross_entropy(x, targets, RIDGE)

        def predict(x: Array) -> Reply:
            a = design(effects.indicators(x))
            return from_outputs(np.asarray(softmax(Linear(a, k).scores(coef.T.ravel()), axis=1)))

        note = "answers are not exact: a fit in the feature space found"
        return Surrogate(predict, converged=converged, note=note)
