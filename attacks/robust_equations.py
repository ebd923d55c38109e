"""Solve for the parameters with those equations that a perturbation left standing.

A perturbed answer is still an equation: a rule that moves some confidences leaves the odds of the
others exact, one that lies to some inputs tells the truth of the rest. Which stand is found out
without any knob of the defense: they are those that one model explains to the last digits.
"""

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.inverses.equations import FAMILIES, MOST, StandingEquations
from moatbench.inverses.few_rows import FewExact, few_exact
from moatbench.knobs import check_number
from moatbench.learners.published import PUBLISHED, UNPUBLISHED, linear_odds
from moatbench.search.novelty import undecided, unlike
from moatbench.strategies.believing import unless_labels_do
from moatbench.strategies.channel import unless_moved
from moatbench.strategies.refuting import Refuting
from moatbench.strategies.retraining import Retraining
from moatbench.types import Array, Generator

WAVE = 64  # inputs drawn at a time
CANDIDATES = 2000  # of which the most undecided are asked


@dataclass(frozen=True)
class RobustEquations(Attack):
    """Robust regression of the answers' logs, each row with an offset of its own.

    A share of the queries is about the pool and mixes of its rows, where the victim is sure and
    defenses move least; the others are uniform. Where the same answers recur for different inputs,
    the defense tells earlier ones again: an answer is then exact the first time. So inputs are
    asked about whose answers are far from all earlier ones, as far as the model goes, and beside
    them those it is undecided of, for their labels.

    Args:
        pool: share of the queries that is of the pool, from 0 to 1.

    Source: ours; redescending M-estimation (Geman and McClure 1987).
    """

    pool: float

    against: ClassVar[frozenset[str]] = frozenset(
        {"perturbs", "relabels", "off_data", "marks", "remembers"}
    )
    needs: ClassVar[Needs] = Needs(confidences=True, families=FAMILIES, numeric=True)

    def __post_init__(self) -> None:
        check_number("robust_equations: pool", self.pool, 0, 1, hint="; for example 0.5")

    def unmet(self, target: Target) -> str:
        """Say also where there is nothing to see through."""
        if reason := super().unmet(target):
            return reason
        if not target.api.card.full:
            return "needs whole distributions, and the victim tells of some classes only"
        traits = target.known.traits
        if traits is not None and "perturb" not in traits.stages:
            return "there is nothing to see through: no defense perturbs the confidences"
        if target.api.card.family == "linear_probe" and not linear_odds(target.api.card):
            return UNPUBLISHED
        if not StandingEquations(target.api.card, target.pool).applies:
            return f"needs three classes or more, and at most {MOST:,} unknowns, of one_vs_rest"
        return ""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Ask in waves."""
        attacker = Agreeing(target, self.pool, rng)
        while attacker.open:
            yield from attacker.buy(attacker.wave())


class Agreeing(Retraining):
    """An attacker that asks where equations stand; `share` is of the pool."""

    def __init__(self, target: Target, share: float, rng: Generator) -> None:
        super().__init__(target.api, "labels", PUBLISHED, "cube", rng)
        self._pool, self._share = target.pool, share if len(target.pool) else 0.0
        self._target, self._judging = target, rng.spawn(1)[0]
        self._order, self._asked = self.rng.permutation(len(self._pool)), 0

    def wave(self) -> Array:
        """(m, d) what to ask next."""
        few = self._few()
        if few is not None:
            half, told = WAVE // 2, self.bought.outputs
            new = unlike(WAVE - half, few.outputs, told, self.space, self.rng)
            others = np.vstack([self.space.sample_cube(CANDIDATES, self.rng), self._pool])
            return np.vstack([new, undecided(half, few.outputs, others)])
        of_pool = int(self._share * WAVE + self.rng.random())
        return np.vstack([self._from_pool(of_pool), self.uniform(WAVE - of_pool)])

    def surrogate(self) -> Surrogate:
        """Solve, where equations stand; else fit to the labels, and to the few answers that do.

        What no equations certify must explain the labels told, as they are or as a copy of the
        defense moves them.
        """
        judging, secrets = deepcopy(self._judging), deepcopy(self._judging)
        refuting = Refuting(self._target, self.bought, secrets.spawn(1)[0])
        kept = self._target.known.keeps_labels
        found = StandingEquations(self.api.card, self._pool)(self.bought, refuting, kept)
        if kept and found is not None:
            return unless_labels_do(found.surrogate, self.api.card, self.bought, False, judging)
        if found is not None and found.sure:  # nothing but what was asked may be left open
            return found.surrogate
        learnt = found.surrogate if found is not None else self._by_labels()
        return unless_moved(learnt, self._target, self.bought, judging)

    def _by_labels(self) -> Surrogate:
        plain, few = super().surrogate(), self._few()
        if few is not None and few.right >= self._right(few):
            return few.surrogate()
        return replace(plain, note="labels: hardly any equation stands")

    def _few(self) -> FewExact | None:
        """Return a fit to answers that are told again and again, and to labels."""
        traits = self._target.known.traits
        again = traits is None or "remembers" in traits.kinds
        return few_exact(self.api.card, self.bought) if self.bought and again else None

    def _right(self, few: FewExact) -> float:
        """Return how often a fit to the other labels predicts those that were held out."""
        x, hard, held = self.bought.x, self.bought.targets(use_confidences=False), few.held
        if hard[~held].max(axis=0).sum() < 2:
            return 0.0
        fit = self.learner.fit(x[~held], hard[~held], deepcopy(self._training))
        return float((fit.labels(x[held]) == self.bought.labels[held]).mean())

    def _from_pool(self, n: int) -> Array:
        """(n, d) the next rows of the pool; once all were asked about, mixes of two."""
        rows = self._pool[self._order[self._asked : self._asked + n]]
        self._asked += len(rows)
        if (left := n - len(rows)) and len(self._pool):
            one, other = self.rng.integers(len(self._pool), size=(2, left))
            at = self.rng.random(left)
            rows = np.vstack([rows, self.segments(self._pool[one], self._pool[other]).at(at)])
        return rows
