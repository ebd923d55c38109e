"""Train an ensemble of trees on purchased answers: for victims that are trees, and unknown ones."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from scipy.special import log_softmax

from moatbench.client import Surrogate
from moatbench.learners.boosting import (
    LOG_ODDS,
    SHARES,
    Boosted,
    Classified,
    rounds_for,
)
from moatbench.learners.coding import Coding, coding_for
from moatbench.learners.fit import held_out, surely_more
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Rows

if TYPE_CHECKING:
    from moatbench.learners.published import AnyFit

TREES = "trees"
FEWEST = 25  # answers, of which a fifth can judge
SCREENED = 2000  # answers that a choice is made by, at most
BRIEF = 100, 80  # rounds where the fit only serves to choose the next queries; of bare labels
BRIEF_EACH = 40, 25  # the same of each of many classes
REHEARSED = 2  # times fewer rounds show, on held-out answers, whether all are worth it
A_COLUMN = 10  # answers that say something of a column's place in the trees
# At least 1: labels of a deterministic model are surer than its confidences, and not to be met
TEMPERATURES: Array = 2.0 ** np.arange(0.0, 3.25, 0.25)
# The scales to choose from, the first where there is no doubt, by what a card may say
FAMILIES = {
    "gradient_boosting": (LOG_ODDS,),
    "hist_gradient_boosting": (LOG_ODDS,),
    "random_forest": (SHARES,),
    "tree": (SHARES,),
    TREES: (LOG_ODDS, SHARES),
}


class Grown(Protocol):
    """Grown trees."""

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences of coded rows."""


@dataclass(frozen=True)
class Plan:
    """How to grow: on which scale, and for how many rounds; 0 is the mean answer everywhere."""

    scale: str
    rounds: int


@dataclass(frozen=True)
class TreeLearner:
    """Boosted trees, on the scale on which the victim's own add up.

    Log-odds where the victim is boosted, class shares where it is a tree or a forest. Where it is
    not known which, or answers of 0 or 1 have no log-odds, held-out answers choose the scale, and
    when to stop: noisy answers are not to be learnt by heart. They choose the mean answer where the
    trees know no better on any scale. Bare labels are classified; held-out ones cool the
    confidences, and choose one answer for all rows where that is right more often, by more than
    chance.

    Args:
        space: what the API takes; of partial inputs, what is left out counts as a value of its own.
        k: classes.
        scales: to choose from, the first where there is no doubt.
        note: what a surrogate should say about its learner.
    """

    space: InputSpace
    k: int
    scales: tuple[str, ...] = (LOG_ODDS, SHARES)
    note: str = ""

    @property
    def family(self) -> str:
        """What it trains."""
        return TREES

    @property
    def unknowns(self) -> int:
        """Answers that determine the model, as a rough guess: nobody knows how many trees are."""
        width: int = self.space.encode(self.space.low[None]).shape[1]
        return A_COLUMN * (width + 1) * (self.k - 1)

    def for_labels(self) -> "TreeLearner":
        """Return one for bare labels: the same, which sees by itself that nothing else is told."""
        return self

    def fit(
        self,
        x: Array,
        targets: Array,
        rng: Generator,
        resume: "AnyFit | None" = None,
        brief: bool = False,
    ) -> "TreeFit":
        """Train.

        Args:
            x: (n, d) inputs, in the API's units, at least one.
            targets: (n, k) labels or soft labels, rows summing to one.
            rng: draws the columns that splits choose from.
            resume: an earlier fit, of which trees make no use: they begin anew each time.
            brief: whether the fit only serves to choose the next queries.
        """
        seed, quick = int(rng.integers(2**31)), coding_for(self.space, x)  # 32 bits are taken
        coding = quick if brief else Coding(self.space)
        a = coding(x)
        if targets.max(axis=1).min() == 1:
            grown = self._classified(a, targets.argmax(axis=1), coding.names, seed, brief)
            return TreeFit(self, coding, grown, None)
        if brief:
            plan = Plan(self.scales[0], self._brief[0])
        else:
            plan = self._plan(quick(x[:SCREENED]), targets[:SCREENED], quick.names)
        return TreeFit(self, coding, _grown(a, targets, plan, coding.names, brief), plan)

    @property
    def _brief(self) -> tuple[int, int]:
        """Rounds of a brief fit, on confidences and on labels."""
        return BRIEF if self.k == 2 else BRIEF_EACH

    def _plan(self, a: Array, targets: Array, names: list[int]) -> Plan:
        """Let held-out answers choose, where there is any doubt."""
        doubtful = len(self.scales) > 1 or not targets.all()
        scales = (LOG_ODDS, SHARES) if doubtful and LOG_ODDS in self.scales else self.scales
        most, shown = rounds_for(self.k), rounds_for(self.k) // REHEARSED
        best = Plan(self.scales[0], most)
        if len(a) < FEWEST:
            return best
        held = held_out(len(a))
        train, exam = targets[~held], targets[held]
        least = loss(np.broadcast_to(train.mean(axis=0), exam.shape), exam)
        best = replace(best, rounds=0)
        for scale in dict.fromkeys((*scales, SHARES)):
            if scale not in scales and best.rounds:
                break  # shares are the last resort: a lie that is sure of itself weighs less there
            if scale == LOG_ODDS and not (train > 0).all(axis=1).any():
                continue
            boosted = Boosted.of(a[~held], train, scale, shown, names)
            for rounds, outputs in boosted.staged(a[held]):
                if (gap := loss(outputs, exam)) < least:
                    best, least = Plan(scale, most if rounds == shown else rounds), gap
        return best

    def _classified(
        self, a: Array, labels: Labels, names: list[int], seed: int, brief: bool
    ) -> Grown:
        """Grow on labels; all but a brief fit learn from held-out ones how sure to be."""
        if (labels == labels[0]).all():
            return Constant(np.eye(self.k)[labels[0]])
        if brief:
            return Classified.of(a, labels, self.k, names, seed, self._brief[1])
        temperature, held = 1.0, held_out(len(a))
        if len(a) >= FEWEST and len(np.unique(labels[~held])) > 1:
            rehearsed = Classified.of(a[~held], labels[~held], self.k, names, seed)
            right = rehearsed.outputs(a[held]).argmax(axis=1) == labels[held]
            shares = np.bincount(labels, minlength=self.k) / len(labels)
            if surely_more(labels[held] == shares.argmax(), right):
                return Constant(shares)
            temperature = cooled(rehearsed, a[held], labels[held])
        grown = Classified.of(a, labels, self.k, names, seed, mixed=True)
        return replace(grown, temperature=temperature)


def _grown(a: Array, targets: Array, plan: Plan, names: list[int], brief: bool) -> Grown:
    if not plan.rounds:
        return Constant(targets.mean(axis=0))
    return Boosted.of(a, targets, plan.scale, plan.rounds, names, mixed=not brief)


def cooled(model: Classified, a: Array, labels: Labels) -> float:
    """Return the temperature at which a classifier's held-out labels are likeliest.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599.
    """
    place = np.searchsorted(model.classes, labels)
    place = np.minimum(place, len(model.classes) - 1)
    met = model.classes[place] == labels
    if not met.any():
        return 1.0
    scores, rows = model.scores(a)[met], np.arange(int(met.sum()))

    def surprise(temperature: float) -> float:
        return float(-log_softmax(scores / temperature, axis=1)[rows, place[met]].mean())

    return float(min(TEMPERATURES, key=surprise))


def loss(outputs: Array, targets: Array) -> float:
    """Return the mean squared gap over classes: the truth makes it least."""
    return float(((outputs - targets) ** 2).sum(axis=1).mean())


@dataclass(frozen=True)
class Constant:
    """The same answer (k,) everywhere."""

    answer: Array

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences."""
        return np.tile(self.answer, (len(a), 1))


@dataclass(frozen=True)
class TreeFit:
    """Trees grown on purchases.

    Args:
        learner: what grew them.
        coding: rows as the trees take them.
        grown: the trees.
        plan: how they were grown; None on bare labels.
    """

    learner: TreeLearner
    coding: Coding
    grown: Grown
    plan: Plan | None

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities."""
        if not len(x):
            return np.empty((0, self.learner.k))
        return self.grown.outputs(self.coding(x))

    def labels(self, x: Array) -> Labels:
        """(n,) the most probable class."""
        return from_outputs(self.outputs(x)).labels

    @property
    def plane(self) -> None:
        """Return nothing: the boundary is made of steps."""
        return None

    @property
    def in_steps(self) -> bool:
        """Whether the outputs are constant but for steps."""
        return True

    def uncertain(self, candidates: Array, n: int, known: Array) -> Rows:
        """Choose n of the candidates (m, d) whose two likeliest classes are nearest to each other.

        Source: Lewis and Gale 1994, "A Sequential Algorithm for Training Text Classifiers".
        """
        ordered = np.sort(self.outputs(candidates), axis=1)
        return np.argsort(ordered[:, -1] - ordered[:, -2], kind="stable")[:n]

    def surrogate(self) -> Surrogate:
        """Return the fit as an attack yields it."""

        def predict(x: Array) -> Reply:
            return from_outputs(self.outputs(x))

        return Surrogate(predict, note=self.learner.note)
