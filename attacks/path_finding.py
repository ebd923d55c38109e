"""Path finding: the leaves of a decision tree, one box after another.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 4.2,
Algorithm 1; how the boxes are found is in `moatbench.search.box_search`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Needs, Target
from moatbench.client import Answers, Card, Surrogate
from moatbench.knobs import check_number, check_whole
from moatbench.learners.grown_tree import HELD_OUT, clueless, predictor, tree_surrogate
from moatbench.learners.purchases import Purchases
from moatbench.models.tree import Tree
from moatbench.reply import has_outputs
from moatbench.search.borders import Steps, as_rows
from moatbench.search.box_search import BoxSearch
from moatbench.search.boxes import Leaf, Point, as_tree, moved, pieces
from moatbench.solvers.screening import subset
from moatbench.types import Array, Generator, Labels
from moatbench.victim import SIMPLEX_TOLERANCE

JUDGED = 40  # answers after which it shows whether they identify leaves
SUSPECT = 12  # or so few, if nearly all differ
REPEATS = 3  # questions asked again where noise is suspected
ANCHORS = 4  # places where neighbours are asked then; twice as many, if one of them varies
VARYING = 3  # of these places where all neighbours differ: a tree has no such thresholds
NEARBY = 1e-3  # share of a feature's range between the outer two of three neighbours
COARSE = 0.05  # share of a feature's range: neighbours with steps are not further from each other
PATIENCE = 4  # factor by which the answers grow before a suspicion that was cleared comes back
BATCH = 256  # random questions at once, where the answers are noisy
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
        check_number("path_finding: eps", self.eps, 0, 1, above=True, below=True)
        check_whole("path_finding: probes", self.probes, 0)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Spend up to each checkpoint, in the middle of a batch where need be."""
        api = target.api
        session = _Session(self, api, target.pool, rng)
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
        self._unsure: list[tuple[Point, Leaf]] = []
        self._distinct: set[tuple[float, ...]] = set()
        self._cleared = 0  # answers at which noise was last suspected, wrongly
        self._search = BoxSearch(
            api.card.space,
            partial=attack.partial and api.card.partial,
            eps=attack.eps,
            probes=attack.probes,
            pool=pool,
            rng=rng,
        )
        self._steps = self._questions()
        self._asked: list[Point] = next(self._steps)
        self._told: list[Leaf | None] = []

    def spend(self, queries: int) -> None:
        """Ask what is to be known next, exactly so often."""
        while queries:
            batch = self._asked[len(self._told) :][:queries]
            queries -= len(batch)
            self._told += self._buy(batch)
            if len(self._told) == len(self._asked):
                self._asked = self._steps.send(self._told)
                self._told = []

    def _questions(self) -> Steps[None]:
        """Search; once the answers have proved noisy, ask at random."""
        search = self._search.steps()
        asked = next(search)
        while not self._noisy:
            told = yield asked
            self._note(asked, told)
            if self._suspicious():
                self._noisy = (yield from self._unrepeatable()) or (yield from self._restless())
                self._cleared = len(self._unsure)
            asked = search.send(told)
        while True:
            yield self._sample(BATCH)

    def _sample(self, n: int) -> list[Point]:
        return [tuple(row) for row in self._api.card.space.sample(n, self._rng).tolist()]

    def _buy(self, points: list[Point]) -> list[Leaf | None]:
        answers = self._api.query(as_rows(points))
        self._bought.add(answers)
        told: list[Leaf | None] = [None] * len(points)
        for at, row in enumerate(answers.rows):
            told[row] = self._answer(answers, at)
        return told

    def _answer(self, answers: Answers, at: int) -> Leaf:
        outputs, path = answers.outputs, answers.path
        silent = outputs is None or np.isnan(outputs[at]).any()
        untold = path is None or np.isnan(path[at]).any() or not self._attack.fields
        return Leaf(
            int(answers.labels[at]),
            None if silent else tuple(outputs[at].tolist()),  # type: ignore[index]
            None if untold else frozenset(np.flatnonzero(path[at]).tolist()),  # type: ignore[index]
        )

    def _note(self, asked: list[Point], told: list[Leaf | None]) -> None:
        """Count the answers and what is distinct; what is sure of a class has its noise clipped."""
        for x, answer in zip(asked, told, strict=True):
            if answer is None or answer.outputs is None:
                continue
            if self._api.card.regression or max(answer.outputs) < 1:
                self._unsure.append((x, answer))
                self._distinct.add(answer.outputs)

    def _suspicious(self) -> bool:
        """Whether most answers are unlike any other; a large tree may have that many nodes."""
        answers, distinct = len(self._unsure), len(self._distinct)
        if answers < max(SUSPECT, PATIENCE * self._cleared):
            return False
        return distinct > (0.8 if answers < JUDGED // 2 else 0.5) * answers

    def _unrepeatable(self) -> Steps[bool]:
        """Whether a question asked again is answered otherwise, as under fresh noise."""
        before = self._unsure[-REPEATS:]
        again = yield [x for x, _ in before]
        pairs = zip(before, again, strict=True)
        return any(answer is not None and answer != old for (_, old), answer in pairs)

    def _restless(self) -> Steps[bool]:
        """Whether answers change with every small step, as under noise keyed to the input.

        The places are drawn anew: those that the search asked about lie next to thresholds. That a
        random place lies next to two thresholds of a tree is rare, and here it must recur.
        """
        varying = 0
        for place in range(2 * ANCHORS):
            if place == ANCHORS and not varying:
                break
            answers = yield self._neighbours()
            told = {answer.outputs for answer in answers if answer is not None}
            varying += len(told) == len(answers) > 1
        return varying >= VARYING

    def _neighbours(self) -> list[Point]:
        """Three inputs close together on one numeric feature; one input where there is none."""
        space, (x,) = self._api.card.space, self._sample(1)
        near = np.maximum(NEARBY / 2 * (space.high - space.low), space.steps)
        fine = np.flatnonzero(near <= COARSE * (space.high - space.low))
        numeric = np.setdiff1d(fine, space.coded)
        if not len(numeric):
            return [x]
        i = int(self._rng.choice(numeric))
        value, low, high = x[i], float(space.low[i]), float(space.high[i])
        assert value is not None
        step = float(near[i]) * (1 if value < (low + high) / 2 else -1)
        return [moved(x, i, value + turn * step) for turn in range(3)]

    def surrogate(self) -> Surrogate:
        """Build the tree of the boxes found so far."""
        card, search = self._api.card, self._search
        if not len(self._bought):
            return clueless(card)
        if self._noisy:
            return self._grown("answers are noisy and identify no leaf")
        tree, left = self._tree(), search.pending
        if self._contradicted(tree):
            return self._grown("boxes fit worse than a grown tree so far")
        note = f"path finding: {len(tree.leaves)} boxes, {left} open"
        parameters = {
            "feature": tree.feature.astype(np.float64),
            "threshold": tree.threshold,
            "left": tree.left.astype(np.float64),
            "right": tree.right.astype(np.float64),
        }
        return Surrogate(predictor(tree, card), parameters, search.settled, note)

    def _grown(self, reason: str) -> Surrogate:
        """Grow a tree on the answers to whole inputs, which nobody chose for it."""
        grown = tree_surrogate(self._api.card, self._bought, self._growing)
        return replace(grown, converged=False, note=f"{reason}: {grown.note}")

    def _contradicted(self, tree: Tree) -> bool:
        """Whether the boxes reproduce fewer labels than a grown tree predicts of held-out ones."""
        bought, card = self._bought, self._api.card
        whole = np.flatnonzero(~np.isnan(bought.x).any(axis=1))
        if len(whole) < max(JUDGED, HELD_OUT) or card.regression:  # some must be held out
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


def _told(answers: list[Leaf | None], bought: Purchases, card: Card) -> tuple[Labels, Array]:
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
    if regression:
        return labels, outputs
    # Rounded and truncated answers need not sum to one, and a model's probabilities must.
    total = outputs.sum(axis=1, keepdims=True)
    wrong = (np.abs(total - 1) if card.full else total - 1) > SIMPLEX_TOLERANCE
    np.divide(outputs, total, out=hard, where=total > 0)
    return labels, np.where(wrong, hard, outputs)


def _mean(targets: Array) -> Array:
    told = targets[has_outputs(targets)]
    return told.mean(axis=0) if len(told) else np.zeros(targets.shape[1])
