"""Jacobian-based dataset augmentation: from real inputs, go along the surrogate's slopes.

Sources: JBDA, Papernot et al. 2017, "Practical Black-Box Attacks against Machine Learning", sec. 4;
JBDA-TR, Juuti et al. 2019, "PRADA" (EuroS&P), with the reach and the steps of Tang et al. 2024,
"ModelGuard", who begin with 1,000 rows; conf/ has 150, for small pools.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.attack import Needs, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_flag, check_number, check_whole
from moatbench.learners.published import deepened, shallow
from moatbench.search.jacobian import stepped
from moatbench.strategies.retraining import Retraining, Trainer, check_knobs
from moatbench.types import Array, Generator, Labels

OVERLAP = 1.85  # times the reach is what all steps together go: ModelGuard's and PRADA's
TURN = 3  # rounds, after which JBDA's sign turns


@dataclass(frozen=True)
class JBDA(Trainer):
    """Buy some rows of the pool; then, round by round, what becomes of inputs asked before.

    Each is moved along the surrogate's slopes: towards the class that it was answered with, and
    away from it after every third round (JBDA: one step), or towards classes drawn at random
    (JBDA-TR).

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: as for `pool_retraining`; `net` is a deep network.
        seeds: rows of the pool that are bought first, at most.
        most: of the inputs asked before, drawn, that are moved in a round (a reservoir).
        targeted: whether a move goes towards a class that is drawn.
        reach: by how much a number moves, as a share of its range.
        steps: of a move.
        copies: moves of an input in a round.
        redraw: whether the class is drawn anew at each step, as in ModelGuard's code.
        polish: as for `active`.
        warm: as for `active`.
    """

    answers: str
    learner: str
    seeds: int
    most: int
    targeted: bool
    reach: float
    steps: int
    copies: int
    redraw: bool
    polish: bool = False
    warm: bool = True

    needs: ClassVar[Needs] = Needs(pool=True)
    against: ClassVar[frozenset[str]] = frozenset({"costs"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, "valid")
        for name in ("seeds", "most", "steps", "copies"):
            check_whole(f"jbda: {name}", getattr(self, name), 1)
        for name in ("targeted", "redraw", "polish", "warm"):
            check_flag(f"jbda: {name}", getattr(self, name))
        check_number("jbda: reach", self.reach, 0, 1, above=True)

    def unmet(self, target: Target) -> str:
        """Say why it does not apply: unless told otherwise, it is for networks and pictures."""
        space = target.api.card.space
        if not space.numeric.any():
            return "needs a numeric column, along which to move"
        return shallow(target.api.card, self.learner) or super().unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Rounds grow with what was bought, never with the budget."""
        thief = Retraining(target.api, self.answers, self.learner, "valid", rng)
        thief.learner = deepened(thief.learner, polish=self.polish, warm=self.warm)
        order = thief.rng.permutation(len(target.pool))[: self.seeds]
        yield from thief.buy(target.pool[order])
        done = 0
        while thief.open:
            done += 1
            yield from thief.buy(self._moved(thief, -1.0 if done // TURN % 2 else 1.0))

    def _moved(self, thief: Retraining, sign: float) -> Array:
        """(n, d) what to ask about in the next round."""
        guide, rng, k = thief.guide(), thief.rng, thief.learner.k
        if guide is None:
            return thief.uniform(self.most)
        known, told = thief.bought.x, thief.bought.labels
        rows = np.tile(rng.permutation(len(known))[: self.most], self.copies)
        start = x = known[rows]
        towards: Labels = rng.integers(k, size=len(x)) if self.targeted else told[rows]
        step = self.reach * (OVERLAP / self.steps if self.steps > 1 else 1)
        reach = self.reach * (thief.space.high - thief.space.low)
        for _ in range(self.steps):
            if self.redraw:
                towards = rng.integers(k, size=len(x))
            way = 1.0 if self.targeted else sign
            x = stepped(guide, thief.space, x, towards, way * step, rng)
            x = np.clip(x, start - reach, start + reach)
        x = _fresh(x, known)  # a turn may lead back, and two copies to one place
        return x[rng.permutation(len(x))] if len(x) else thief.uniform(self.most)


def _fresh(x: Array, known: Array) -> Array:
    """(m, d) the rows that are not among those known, each once."""
    asked = {row.tobytes() for row in known}
    rows = {row.tobytes(): place for place, row in reversed(list(enumerate(x)))}
    return x[sorted(place for row, place in rows.items() if row not in asked)]
