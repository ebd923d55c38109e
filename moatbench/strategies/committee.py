"""Query by committee: ask where models of the same answers differ most."""

from collections.abc import Iterator
from math import ceil

import numpy as np

from moatbench.attack import Target
from moatbench.client import Surrogate
from moatbench.learners.committee import bootstrapped, most_divisive
from moatbench.learners.published import AnyFit
from moatbench.learners.trees import TREES
from moatbench.strategies.mixes import group_mixes
from moatbench.strategies.retraining import Retraining
from moatbench.types import Array, Generator

KINDS = 2  # mixes and uniform rows: as many questions of the one as of the other
TOLD, LABELS = 6, 12  # candidates for each chosen question, of confidences and of labels alone


class Committee(Retraining):
    """An attacker that asks ordinary and uniform rows, and those that divide its models.

    Every second question that is not chosen is a row of the pool, in random order, for as long as
    there are any; of the others half are mixes of two such rows, half uniform valid ones. Mixes
    need a pool of two rows.

    Args:
        target: the API and the pool.
        answers: what to train on, as for `Retraining`.
        learner: the same.
        rng: the same.
        members: of the committee, at least 2.
        candidates: of which a chosen question is the most divisive, at least 1; None: twice as many
            of labels alone as of confidences. A label tells nothing but a side of the boundary,
            so it pays to ask near it; a confidence tells something everywhere.
    """

    def __init__(
        self,
        target: Target,
        answers: str,
        learner: str,
        rng: Generator,
        members: int,
        candidates: int | None,
    ) -> None:
        super().__init__(target.api, answers, learner, "valid", rng)
        self._members = members
        self._candidates = candidates or (TOLD if self._told else LABELS)
        self._pool = target.pool
        self._unasked = target.pool[self.rng.permutation(len(target.pool))]
        (self._sampling,) = rng.spawn(1)

    def adapt_by_committee(
        self, first: float, growth: float, chosen_share: float
    ) -> Iterator[Surrogate]:
        """Buy in rounds until the budget is spent.

        Args:
            first: size of the first round, as a share of the answers that determine a surrogate.
            growth: size of a round, as a share of the queries before it.
            chosen_share: of a round's questions, those that the committee chooses.
        """
        n, committee = max(1, ceil(first * self.rows_needed)), list[AnyFit]()
        while self.open:
            chosen = int(chosen_share * n) if committee else 0
            x = np.vstack([self.divisive(committee, chosen), self.ordinary(n - chosen)])
            yield from self.buy(x[self.rng.permutation(len(x))])
            if self.open:
                committee, n = self.committee(), ceil(growth * self.api.queries)

    def ordinary(self, n: int) -> Array:
        """(n, d) rows of the pool, mixes and uniform rows, in random order."""
        own, self._unasked = np.split(self._unasked, [min(n // 2, len(self._unasked))])
        rest = n - len(own)
        mixed = rest // KINDS if len(self._pool) > 1 else 0
        x = np.vstack([own, self.mixes(mixed), self.uniform(rest - mixed)])
        return x[self.rng.permutation(n)]

    def mixes(self, n: int) -> Array:
        """(n, d) rows of which each feature is that of one of two rows of the pool."""
        return group_mixes(self._pool, n, self.space, self.rng)

    def committee(self) -> list[AnyFit]:
        """Train each member on a bootstrap of the purchases; none while there is nothing to say."""
        if not self.teaching:
            return []
        targets, x = self.bought.targets(self._soft), self.bought.x
        # Trees begin anew each time: there is nothing to go on from
        guide = None if self.learner.family == TREES else self.guide()
        draws = (self._sampling.integers(len(x), size=len(x)) for _ in range(self._members))
        return bootstrapped(self.learner, (x, targets), draws, self._guiding, guide)

    def divisive(self, committee: list[AnyFit], n: int) -> Array:
        """(n, d) valid inputs on which the members' confidences differ most; half of each kind."""
        parts = [self.uniform(0)]
        counts = [n // KINDS, n - n // KINDS] if len(self._pool) > 1 else [0, n]
        for count, draw in zip(counts, (self.mixes, self.uniform), strict=True):
            if count:
                parts.append(most_divisive(committee, draw(self._candidates * count), count))
        return np.vstack(parts)
