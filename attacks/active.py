"""Choose what of a pool is worth a query, and train on the answers: the pool-based family."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

import numpy as np

from moatbench.attack import Needs, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_choice, check_flag, check_number, check_whole
from moatbench.learners.published import deepened, shallow
from moatbench.search.bandit import Bandit
from moatbench.search.boundary import bisect, opposites
from moatbench.search.selection import SELECTIONS, Guide, by_spread
from moatbench.strategies.retraining import Retraining, Trainer, check_knobs
from moatbench.types import Array, Generator, Rows

SELECT = ("random", *SELECTIONS, "disagreement", "bandit", "boundary")
FEWEST, PLENTY = 1000, 4  # candidates at least, and for each query
MEMBERS = 3  # that disagree
ENDS = 2  # segments for each crossing that is kept


@dataclass(frozen=True)
class Active(Trainer):
    """Buy in rounds: of the pool, and then of mixes of its rows, what the last surrogate chooses.

    Candidates are what is left of the pool. Where that is less than a thousand, or four for each
    query, mixes of any two of its rows join them. A round is `growth` times the queries before it,
    so what is asked does not depend on the budget.

    Args:
        select: `random`; `entropy` and `margin`, the least sure; `kcenter`, the most spread
            answers; `dfal`, the nearest to a boundary; `dfal_kcenter`, the most spread of those;
            `disagreement`, where models of bootstraps differ; `bandit`, from the groups of the pool
            that have paid; `boundary`, spread points on the surrogate's boundary between far rows.
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: as for `pool_retraining`; `net` is a deep network.
        first: queries before the first choice, as a multiple of the classes.
        growth: size of a round, as a share of the queries before it.
        uniform_share: of a round's queries, those that are uniform.
        mixed: whether mixes may be asked about; without, it ends with the pool and asks uniform
            inputs.
        polish: whether networks go on by L-BFGS, on exact confidences: a minute for 2,600 answers.
        warm: whether they go on from the last checkpoint's, or begin anew at each.
        wider: times as many units as the victim's, where the width of its network is a knob; of
            a cnn 8 in its first layer at least, unless this is 1.

    Source: the selections of Orekondy et al. 2019, "Knockoff Nets" (CVPR: random, bandit), and Pal
    et al. 2020, "ActiveThief" (AAAI: entropy, kcenter, dfal, dfal_kcenter). The mixes, uniform
    shares and `boundary` are ours.
    """

    select: str
    answers: str
    learner: str
    first: float
    growth: float
    uniform_share: float
    mixed: bool
    polish: bool = False
    warm: bool = True
    wider: int = 2

    needs: ClassVar[Needs] = Needs(pool=True)
    against: ClassVar[frozenset[str]] = frozenset({"costs", "off_data", "refuses"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, "valid")
        check_choice("active: select", self.select, SELECT)
        for name in ("polish", "warm"):
            check_flag(f"active: {name}", getattr(self, name))
        check_whole("active: wider", self.wider, 1)
        check_number("active: first", self.first, 0, above=True)
        check_number("active: growth", self.growth, 0, above=True)
        check_number("active: uniform_share", self.uniform_share, 0, 1)

    def unmet(self, target: Target) -> str:
        """Say why it does not apply: unless told otherwise, it is for networks and pictures."""
        return shallow(target.api.card, self.learner) or super().unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Choose each round by the surrogate of all rounds before it."""
        thief = self._thief(target, rng)
        pool = Pool(target.pool, thief, self.mixed)
        bandit = Bandit(target.pool, thief.rng) if self.select == "bandit" else None
        guide: Guide | None = None
        n = max(1, round(self.first * thief.learner.k))
        while thief.open:
            uniform = int(self.uniform_share * n + thief.rng.random())
            x = self._chosen(guide, n - uniform, pool, thief, bandit)
            x = np.vstack([x, thief.uniform(n - len(x))])
            order = thief.rng.permutation(len(x))
            before = len(thief.bought)
            yield from thief.buy(x[order])
            if not thief.open:
                return
            if bandit is not None:
                new, told = thief.bought.x[before:], thief.bought.targets()
                foreseen = None if guide is None else guide.outputs(new)
                bandit.learn(new, told[before:], told.mean(axis=0), foreseen)
            guide = None if self.select == "random" else thief.guide()
            n = ceil(self.growth * thief.api.queries)

    def learn(self, target: Target, answers: Answers, rng: Generator) -> Surrogate | None:
        """Train the surrogate alone, with the draws that a run gives it: the same, bit for bit.

        None for the one family whose surrogate goes on from what chose the queries.
        """
        thief = self._thief(target, rng)
        return None if thief.guided else thief.learn(answers)

    def _thief(self, target: Target, rng: Generator) -> Retraining:
        thief = Retraining(target.api, self.answers, self.learner, "valid", rng)
        knobs = {"polish": self.polish, "warm": self.warm, "wider": self.wider}
        thief.learner = deepened(thief.learner, **knobs)
        return thief

    def _chosen(
        self, guide: Guide | None, n: int, pool: "Pool", thief: Retraining, bandit: Bandit | None
    ) -> Array:
        """(at most n, d) what to ask about."""
        if bandit is not None:
            own = bandit.draw(n)
            return np.vstack([own, pool.mixes(n - len(own))]) if self.mixed else own
        if guide is None:
            return pool.take_random(n)
        if self.select == "boundary":
            return pool.crossings(guide, n)
        candidates, places = pool.candidates(max(FEWEST, PLENTY * n))
        if self.select == "disagreement":
            chosen = _disagreed(thief, candidates, n)
        else:
            chosen = SELECTIONS[self.select](guide, candidates, thief.bought.x, n)
        pool.drop(places[chosen])
        return candidates[chosen]


class Pool:
    """What is left of the attacker's rows, and mixes of them."""

    def __init__(self, rows: Array, thief: Retraining, mixed: bool) -> None:
        self._rows, self._thief, self._mixed = rows, thief, mixed
        self._left = thief.rng.permutation(len(rows))

    def take_random(self, n: int) -> Array:
        """(at most n, d) rows in random order, then mixes."""
        own, self._left = self._rows[self._left[:n]], self._left[n:]
        return np.vstack([own, self.mixes(n - len(own))]) if self._mixed else own

    def candidates(self, m: int) -> tuple[Array, Rows]:
        """Return up to m rows and mixes, and the places of the rows; -1 for mixes."""
        own = self._left[:m]
        mixes = self.mixes(m - len(own)) if self._mixed else self._rows[:0]
        places = np.concatenate([own, np.full(len(mixes), -1, np.intp)])
        return np.vstack([self._rows[own], mixes]), places

    def drop(self, places: Rows) -> None:
        """Take rows out of what is left."""
        self._left = self._left[~np.isin(self._left, places)]

    def mixes(self, n: int) -> Array:
        """(n, d) inputs at random places of the lines between rows, any two."""
        rng = self._thief.rng
        one, other = rng.integers(len(self._rows), size=(2, n))
        return self._thief.segments(self._rows[one], self._rows[other]).at(rng.random(n))

    def crossings(self, guide: Guide, n: int) -> Array:
        """(at most n, d) half rows, half points where far rows' segments cross the boundary."""
        wanted = n - n // 2
        one = np.vstack([self.mixes(ENDS * wanted), self._thief.bought.x])

        def labels(x: Array) -> Rows:
            return np.asarray(guide.outputs(x).argmax(axis=1))

        start, end = opposites(labels(one), np.arange(ENDS * wanted), self._thief.rng)
        points = bisect(self._thief.segments(one[start], one[end]), labels)
        if len(points) > wanted:
            points = points[by_spread(guide, points, self._thief.bought.x[-wanted:], wanted)]
        return np.vstack([points, self.take_random(n - len(points))])


def _disagreed(thief: Retraining, candidates: Array, n: int) -> Rows:
    """Take those on which models of bootstraps of the purchases differ most."""
    p = np.stack([model.outputs(candidates) for model in thief.bootstraps(MEMBERS)])
    return np.argsort(-p.std(axis=0).sum(axis=1), kind="stable")[:n]
