"""What the retraining attacks of Tramèr et al. 2016, sec. 6.1, have in common."""

from collections.abc import Generator as Coroutine
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from math import ceil

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_choice
from moatbench.learners.committee import bootstrapped
from moatbench.learners.deep.fit import NetFit
from moatbench.learners.deep.learner import LOSSES, NET
from moatbench.learners.fit import Fit
from moatbench.learners.learner import STALE, Learner
from moatbench.learners.published import (
    LEARNERS,
    PUBLISHED,
    AnyFit,
    AnyLearner,
    fitted_to,
    ignorant,
    learner_for,
    too_many,
)
from moatbench.learners.purchases import Purchases
from moatbench.learners.trees import TREES
from moatbench.learners.untold import Untold
from moatbench.search.boundary import Segments, bisect, on_plane, opposites
from moatbench.types import Array, Generator, Labels, Rows

ANSWERS = ("confidences", "labels")
INPUTS = ("cube", "valid")
ENDS = 4  # candidates for the ends of a segment, for each crossing wanted
CHOICE = 8  # candidates for each query on the boundary
MOST = 2000  # candidates at most, unless more queries are asked for
REFUSED = -1  # in place of a label
UNMET = 0.5  # at least this share of a round is uniform while a class has not been met

Buying = Coroutine[Surrogate, None, Labels]


class Retraining:
    """An attacker that buys answers and trains on them.

    What it asks depends on what it was answered, never on the checkpoints: at each it trains a
    surrogate apart, with draws that nothing else uses, and goes on as if it had not.

    Args:
        api: where to buy.
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: what to train, one of `learner.LEARNERS`.
        inputs: what to ask about: the raw `cube`, or `valid` inputs only.
        rng: spawns the streams of queries and of training.
        pool: (n, d) inputs of the attacker's own, where it may ask about them.
    """

    def __init__(
        self,
        api: PredictionAPI,
        answers: str,
        learner: str,
        inputs: str,
        rng: Generator,
        pool: Array | None = None,
    ) -> None:
        self.api, self.space = api, api.card.space
        self.bought = Purchases(api.card)
        self._told = answers == "confidences" and api.card.confidences
        chosen = learner_for(learner, api.card)
        apart = isinstance(chosen, Learner) and chosen.family == "one_vs_rest"
        if learner == PUBLISHED and apart and not self._told:
            # Softmax regression has the same boundaries, and a unique minimum.
            chosen = learner_for("softmax", api.card)
        self.learner: AnyLearner = chosen if self._told else chosen.for_labels()
        self.rng, self._guiding, self._training = rng.spawn(3)
        self._due = list(api.checkpoints)
        self._guide: AnyFit | None = None
        self._guided_by = 0  # answers
        self._earlier: AnyFit | None = None  # of a deep network
        self._soft, self._valid = answers == "confidences", inputs == "valid"
        self._ordinary = np.empty((0, self.space.d))
        trees = self.learner.family == TREES or isinstance(self.learner, Untold)
        if trees and pool is not None:
            self._ordinary = pool[self.rng.permutation(len(pool))]

    @property
    def rows_needed(self) -> int:
        """Answers that determine the surrogate, if each tells all that it can."""
        told = self.learner.k - 1 if self._told else 1
        return -(-self.learner.unknowns // told)

    @property
    def one_sided(self) -> bool:
        """Whether all answers so far bear one label."""
        return bool((self.bought.labels == self.bought.labels[:1]).all())

    @property
    def unmet(self) -> bool:
        """Whether some class has not been answered yet."""
        return len(np.unique(self.bought.labels)) < self.learner.k

    def uniform(self, n: int) -> Array:
        """Draw (n, d) inputs."""
        space = self.space
        return space.sample(n, self.rng) if self._valid else space.sample_cube(n, self.rng)

    def scattered(self, n: int) -> Array:
        """Draw (n, d) uniform inputs; while only one class is known, every second at a corner.

        A linear score varies sqrt(3) times as much over the corners of a cube as within it, so a
        class whose region uniform inputs all but miss is found there first.
        """
        x = self.uniform(n)
        if len(self.bought) and self.one_sided:
            free = np.setdiff1d(np.arange(self.space.d), self._categories)
            high = self.rng.random((n, len(free))) < 0.5
            x[::2, free] = np.where(high, self.space.high[free], self.space.low[free])[::2]
        return self.among_ordinary(x)

    def among_ordinary(self, x: Array) -> Array:
        """(n, d) inputs of which, where trees may be learnt, every second one is now the pool's.

        What trees learn in one place tells them nothing of another, and random inputs are seldom
        where data lie. Each row of the pool is taken once.
        """
        taken = min(len(x[1::2]), len(self._ordinary))
        ordinary, self._ordinary = np.split(self._ordinary, [taken])
        x[1 : 2 * taken : 2] = ordinary
        return x

    @property
    def teaching(self) -> bool:
        """Whether there is something to learn: more than one label, or confidences."""
        targets = self.bought.targets(self._soft)
        return bool(len(targets)) and targets.min(axis=0).max() < 1

    @property
    def guided(self) -> bool:
        """Whether the surrogate goes on from the guide, and so depends on the rounds before it."""
        return self.learner.family == "mlp"

    @property
    def open(self) -> bool:
        """Whether there is a budget left, or a checkpoint to answer for."""
        return bool(self._due)

    def buy(self, x: Array) -> Buying:
        """Buy answers and keep them, yielding a surrogate at each checkpoint on the way.

        Returns:
            (n,) labels; `REFUSED` where there was no answer, or no budget.
        """
        labels, done = np.full(len(x), REFUSED, dtype=np.int64), 0
        while self._due and done < len(x):
            part = x[done : done + self._due[0] - self.api.queries]
            answers = self.api.query(part)
            self.bought.add(answers)
            labels[done + answers.rows] = answers.labels
            done += len(part)
            if self.api.queries == self._due[0]:
                self._due.pop(0)
                yield self.surrogate()
        return labels

    def guide(self) -> AnyFit | None:
        """Go on training, to choose what to ask next; None while there is nothing to learn.

        Trees begin anew each time: for that there must be a fifth more answers.
        """
        fresh = len(self.bought) < STALE * self._guided_by
        if self._guide is not None and self._guide.in_steps and fresh:
            return self._guide
        self._guided_by = len(self.bought)
        self._guide = self._fit(self._guiding, self._guide, brief=True)
        return self._guide

    def bootstraps(self, members: int) -> list[AnyFit]:
        """Train models on random draws, with repetition, of the purchases: they differ in doubt."""
        targets, x, rng = self.bought.targets(self._soft), self.bought.x, self._guiding
        draws = [rng.integers(len(x), size=len(x)) for _ in range(members)]
        learner = fitted_to(self.learner, targets)
        return bootstrapped(learner, (x, targets), draws, rng, self._guide)

    def surrogate(self) -> Surrogate:
        """Train on all purchases, from scratch; a network goes on from the guide.

        The other families have one minimum, or nearly. A network has many, and a good one is what
        the guide has found in all its rounds. Deep networks go on from the last checkpoint's, where
        they are warm.
        """
        start = self._guide if self.guided else self._earlier
        fit = self._fit(deepcopy(self._training), start)
        if fit is not None:
            self._earlier = fit if self.learner.family == NET else None
            return fit.surrogate()
        blank = ignorant(self.api.card, self.bought.labels)
        return replace(blank, note="all answers alike") if len(self.bought) else blank

    def learn(self, answers: Answers, last: NetFit | None = None) -> Surrogate:
        """Train on these answers alone, or go on from an earlier fit; a warm network may again.

        Cross-entropy was chosen for answers that came as coarse or noisy: of others it is tried
        whether they still are.
        """
        self.bought, self._earlier = Purchases(self.api.card), last
        self.bought.add(answers)
        learnt, fit = self.surrogate(), self._earlier
        if not (isinstance(fit, NetFit) and fit.learner.warm):
            return learnt

        def again(others: Answers, anew: bool) -> Surrogate:
            earlier = fit if fit.loss == LOSSES[0] else replace(fit, chosen_at=0)
            return self.learn(others, replace(earlier, nets=()) if anew else earlier)

        return replace(learnt, again=again)

    def _fit(
        self, rng: Generator, resume: AnyFit | None = None, brief: bool = False
    ) -> AnyFit | None:
        if not self.teaching:
            return None
        targets = self.bought.targets(self._soft)
        learner = fitted_to(self.learner, targets)
        if isinstance(resume, Fit) and resume.learner.level != getattr(learner, "level", None):
            resume = None  # answers were whole until now
        return learner.fit(self.bought.x, targets, rng, resume, brief)

    def questions(self, guide: AnyFit | None, n: int, uniform_share: float) -> Array:
        """(n, d) inputs on the guide's boundary, and this share of them uniform."""
        uncertain = self.uniform(0)
        if guide is not None:
            share = max(uniform_share, UNMET if self.unmet else 0.0)
            # At random, so that small rounds too have their share in the long run.
            scattered = int(share * n + self.rng.random())
            uncertain = self.boundary(guide, n - scattered)
        return np.vstack([uncertain, self.scattered(n - len(uncertain))])

    def adapt(self, first: float, growth: float, uniform_share: float) -> Iterator[Surrogate]:
        """Buy in rounds, each on the boundary of the last round's fit, until the budget is spent.

        Args:
            first: size of the first round, as a share of the answers that determine a surrogate.
            growth: size of a round, as a share of the queries before it.
            uniform_share: of a round's queries, those that are uniform.
        """
        guide: AnyFit | None = None
        n = max(1, ceil(first * self.rows_needed))
        while self.open:
            yield from self.buy(self.questions(guide, n, uniform_share))
            if self.open:
                guide, n = self.guide(), ceil(growth * self.api.queries)

    def segments(self, start: Array, end: Array) -> Segments:
        """Lay paths between inputs."""
        return Segments.between(start, end, self.space, self._valid, self.rng)

    def boundary(self, fit: AnyFit, n: int) -> Array:
        """Find up to n inputs on a fit's boundary: of many, those that would tell it most.

        A boundary made of steps has no place that tells more than its surroundings: there the
        uniform inputs do that are most in doubt.
        """
        m = max(n, min(CHOICE * n, MOST))
        candidates = self.uniform(m) if fit.in_steps else self._crossings(fit, m)
        if len(candidates) <= n:
            return candidates
        return candidates[fit.uncertain(candidates, n, self.bought.x)]

    def _crossings(self, fit: AnyFit, m: int) -> Array:
        """Find up to m inputs on a fit's boundary, one on the way between two of its classes."""
        plane = None if self._categories.size else fit.plane
        if plane is not None:
            low, high = self.space.low, self.space.high
            z = 2 * (self.uniform(m) - low) / (high - low) - 1
            return on_plane(z, self.space, *plane)
        # Purchases are candidates too: a rare class may not be met among uniform inputs.
        ends = np.vstack([self.uniform(ENDS * m), self.bought.x])
        start, end = opposites(fit.labels(ends), np.arange(m), self.rng)
        return bisect(self.segments(ends[start], ends[end]), fit.labels)

    @property
    def _categories(self) -> Rows:
        """Columns that cannot move on their own."""
        groups = self.space.groups if self._valid else ()
        return np.concatenate([self.space.coded, *(np.arange(g.start, g.stop) for g in groups)])


class Trainer(Attack):
    """An attack that trains on what its knob `answers` says."""

    answers: str
    learner: str

    def unmet(self, target: Target) -> str:
        """Say also where what it trains has too many unknowns to be trained."""
        return super().unmet(target) or too_many(self.learner, target.api.card)

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether it leaves the confidences unused."""
        return self.answers == "labels"


def check_knobs(answers: str, learner: str, inputs: str) -> None:
    """Raise a ValueError that names the first knob with a value that is not allowed."""
    check_choice("answers", answers, ANSWERS)
    check_choice("learner", learner, LEARNERS)
    check_choice("inputs", inputs, INPUTS)
