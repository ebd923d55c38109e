"""Path finding: the leaves of a decision tree, one box after another.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 4.2,
Algorithm 1; how the boxes are found is in `moatbench.numerics.box_search`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf
from typing import ClassVar

import numpy as np

from moatbench.api import Answers, Card, PredictionAPI
from moatbench.attack import Attack, Needs, Purchases, Surrogate
from moatbench.numerics.borders import as_rows
from moatbench.numerics.box_search import BoxSearch
from moatbench.numerics.boxes import Answer, Point, as_tree, pieces
from moatbench.numerics.screening import subset
from moatbench.numerics.tree import Tree
from moatbench.numerics.tree_learner import HELD_OUT, clueless, predictor, tree_surrogate
from moatbench.types import Array, Generator, Labels

JUDGED = 40  # answers after which it shows whether they identify leaves
SUSPECT = 12  # or so few, if nearly all differ
AGREED = 0.99  # share of the answers that boxes must reproduce to be beyond doubt


@dataclass(frozen=True)
class PathFinding(Attack):
    """Search the tree's leaves, told apart by their answers; then probe and refine.

    Where the search has not been yet, the surrogate answers as a point across the border did, or as
    the node at which a missing feature stopped the walk.

    Args:
        eps: precision of a threshold as a share of the feature's range, until the search is over;
            what is left of the budget then buys a bit for each threshold, in turns with probes.
        probes: random inputs asked in each box found, as two leaves may answer alike; after the
            search, random inputs are asked in any case.
        partial: leave features out, where the API allows it.
        fields: use the features on the path, where the API tells them.
    """

    eps: float
    probes: int
    partial: bool
    fields: bool

    needs: ClassVar[Needs] = Needs(
        confidences=True, families=frozenset({"tree", "regression_tree"}), classes=False
    )

    def __post_init__(self) -> None:
        if not 0 < self.eps < 1:
            raise ValueError(f"path_finding: eps must lie between 0 and 1, got {self.eps!r}")
        if not isinstance(self.probes, int) or not 0 <= self.probes < inf:
            raise ValueError(
                f"path_finding: probes must be a whole number of at least 0, got {self.probes!r}"
            )

    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
        """Spend up to each checkpoint, in the middle of a batch where need be."""
        session = _Session(self, api, pool, rng)
        for checkpoint in api.checkpoints:
            session.spend(checkpoint - api.queries)
            yield session.surrogate()


class _Session:
    """One run: a search, and the purse that pays its questions."""

    def __init__(self, attack: PathFinding, api: PredictionAPI, pool: Array, rng: Generator):
        self._attack, self._api, self._rng = attack, api, rng
        (self._growing,) = rng.spawn(1)  # apart, so that the search does not depend on it
        self._bought = Purchases(api.card)
        self._noisy = False
        self._search = BoxSearch(
            api.card.space,
            partial=attack.partial and api.card.partial,
            eps=attack.eps,
            probes=attack.probes,
            pool=pool,
            rng=rng,
        )
        self._steps = self._search.steps()
        self._asked: list[Point] = next(self._steps)
        self._told: list[Answer | None] = []

    def spend(self, queries: int) -> None:
        """Ask what the search wants to know, exactly so often; once it is noisy, at random."""
        while queries and not self._noisy:
            batch = self._asked[len(self._told) :][:queries]
            queries -= len(batch)
            self._told += self._buy(batch)
            self._noisy = self._useless()
            if len(self._told) == len(self._asked):
                self._asked = self._steps.send(self._told)
                self._told = []
        if queries:
            self._bought.add(self._api.query(self._api.card.space.sample(queries, self._rng)))

    def _buy(self, points: list[Point]) -> list[Answer | None]:
        answers = self._api.query(as_rows(points))
        self._bought.add(answers)
        told: list[Answer | None] = [None] * len(points)
        for at, row in enumerate(answers.rows):
            told[row] = self._answer(answers, at)
        return told

    def _answer(self, answers: Answers, at: int) -> Answer:
        outputs, path = answers.outputs, answers.path
        silent = outputs is None or np.isnan(outputs[at]).any()
        untold = path is None or np.isnan(path[at]).any() or not self._attack.fields
        return Answer(
            int(answers.labels[at]),
            None if silent else tuple(outputs[at].tolist()),  # type: ignore[index]
            None if untold else frozenset(np.flatnonzero(path[at]).tolist()),  # type: ignore[index]
        )

    def _useless(self) -> bool:
        """Whether most answers are unlike any other; without noise, a search meets few leaves.

        Answers that are sure of a class are left out: noise on them is clipped.
        """
        outputs = self._bought.outputs
        told = ~np.isnan(outputs).any(axis=1)
        if not self._api.card.regression:
            told &= (outputs < 1).all(axis=1)
        answers, distinct = int(told.sum()), len(np.unique(outputs[told], axis=0))
        if answers < JUDGED // 2:
            return answers >= SUSPECT and distinct > 0.8 * answers
        return distinct > answers / 2

    def surrogate(self) -> Surrogate:
        """Build the tree of the boxes found so far."""
        card, search = self._api.card, self._search
        if not len(self._bought):
            return clueless(card)
        if self._noisy:
            return self._grown("answers are noisy and identify no leaf")
        tree, left = self._tree(), search.pending
        if self._contradicted(tree):
            return self._grown("answers contradict each other")
        settled = not left and not search.surprises
        note = f"path finding: {len(tree.leaves)} boxes, {left} open"
        parameters = {
            "feature": tree.feature.astype(np.float64),
            "threshold": tree.threshold,
            "left": tree.left.astype(np.float64),
            "right": tree.right.astype(np.float64),
        }
        return Surrogate(predictor(tree, card), parameters, settled, note)

    def _grown(self, reason: str) -> Surrogate:
        """Grow a tree on the answers to whole inputs, which nobody chose for it."""
        grown = tree_surrogate(self._api.card, self._bought, self._growing)
        return replace(grown, converged=False, note=f"{reason}: {grown.note}")

    def _contradicted(self, tree: Tree) -> bool:
        """Whether the boxes reproduce fewer labels than a grown tree foretells of held-out ones."""
        bought, card = self._bought, self._api.card
        whole = np.flatnonzero(~np.isnan(bought.x).any(axis=1))
        if len(whole) < JUDGED or card.regression:
            return False
        agreed = np.mean(tree.labels[tree.walk(bought.x[whole])] == bought.labels[whole])
        if agreed >= AGREED:
            return False
        held = np.isin(np.arange(len(bought)), whole[HELD_OUT - 1 :: HELD_OUT])
        exam = subset(bought, held, card)
        grown = tree_surrogate(card, subset(bought, ~held, card), self._growing)
        return bool(np.mean(grown.predict(exam.x).labels == exam.labels) > agreed)

    def _tree(self) -> Tree:
        card, root = self._api.card, self._search.root
        nodes = pieces(root)
        known = {id(piece): piece.answer for piece in nodes}
        for piece in nodes:
            for part in piece.parts or ():
                known[id(part)] = known[id(part)] or known[id(piece)]
        labels, outputs = _told([known[id(piece)] for piece in nodes], self._bought, card)
        coded = card.space.high[card.space.coded]
        return as_tree(root, int(coded.max(initial=0.0)) + 1, labels, outputs)


def _told(answers: list[Answer | None], bought: Purchases, card: Card) -> tuple[Labels, Array]:
    """(m,) labels and (m, k) outputs of answers; where nothing is known, the average answer."""
    regression = card.regression
    mean = _mean(bought.outputs if regression else bought.targets())
    labels = np.array([mean.argmax() if a is None else a.label for a in answers], dtype=np.int64)
    hard: Array = np.tile(mean, (len(answers), 1)) if regression else np.eye(len(mean))[labels]
    outputs = hard.copy()
    for row, answer in zip(outputs, answers, strict=True):
        if answer is None:
            row[:] = mean
        elif answer.outputs is not None:
            row[:] = answer.outputs
    return labels, outputs


def _mean(targets: Array) -> Array:
    told = targets[~np.isnan(targets).any(axis=1)]
    return told.mean(axis=0) if len(told) else np.zeros(targets.shape[1])
