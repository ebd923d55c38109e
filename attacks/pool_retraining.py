"""Train on answers to inputs like those of honest customers.

A defense that lies to strange inputs only tells whoever asks ordinary ones the truth.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from sklearn.neighbors import NearestNeighbors

from moatbench.attack import Needs, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_whole
from moatbench.learners.trees import TREES
from moatbench.space import InputSpace
from moatbench.strategies.mixes import group_mixes
from moatbench.strategies.retraining import Retraining, Trainer, check_knobs
from moatbench.types import Array, Generator, Rows

WORN_OUT = 0.5  # of mixes, that were asked before: the pool holds the same few rows
WAVE = 256  # mixed inputs drawn at a time


@dataclass(frozen=True)
class PoolRetraining(Trainer):
    """Ask about the pool in random order, then about mixes of its rows, and train on the answers.

    A mix lies at a random place of the line between a row and one of its nearest; a category, or a
    one-hot group, is that of the one or of the other. Where trees are learnt, each feature is that
    of the one or the other of any two rows: they test one feature at a time. Uniform inputs take
    the place of mixes of which most were asked before, as where the pool is the same few rows.

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        neighbours: how many of the nearest rows a row is mixed with.

    Source: Orekondy et al. 2019, "Knockoff Nets" (CVPR), random strategy, with a pool of the
    victim's own domain; it ends with its pool. The mixes are those of SMOTE (Chawla et al. 2002).
    """

    answers: str
    learner: str
    neighbours: int

    needs: ClassVar[Needs] = Needs(pool=True)
    against: ClassVar[frozenset[str]] = frozenset({"costs", "off_data", "refuses"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, "valid")
        check_whole("pool_retraining: neighbours", self.neighbours, 1)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Begin a larger budget with the inputs of a smaller one."""
        pool = target.pool
        retraining = Retraining(target.api, self.answers, self.learner, "valid", rng)
        yield from retraining.buy(pool[retraining.rng.permutation(len(pool))])
        if retraining.open:
            nearest = self._nearest(pool, retraining.space)
        while retraining.open:
            mixes = self._mixes(pool, nearest, retraining)
            if self._known(mixes, retraining) > WORN_OUT:
                mixes = retraining.uniform(WAVE)
            yield from retraining.buy(mixes)

    @staticmethod
    def _known(x: Array, retraining: Retraining) -> float:
        """Return the share of rows that were asked before, or stand in x before."""
        asked = {row.tobytes() for row in retraining.bought.x}
        new = {row.tobytes() for row in x} - asked
        return 1 - len(new) / len(x)

    def _nearest(self, pool: Array, space: InputSpace) -> Rows:
        """(n, m) places of each row's nearest, on columns of one length; m is 0 for a lone row."""
        scaled = pool / np.maximum(space.high - space.low, np.finfo(np.float64).tiny)
        m = min(self.neighbours, len(pool) - 1)
        if not m:
            return np.empty((len(pool), 0), np.intp)
        places: Rows = NearestNeighbors(n_neighbors=m).fit(scaled).kneighbors(return_distance=False)
        return places

    @staticmethod
    def _mixes(pool: Array, nearest: Rows, retraining: Retraining) -> Array:
        """(WAVE, d) inputs between rows; uniform ones where the pool is a single row."""
        if not nearest.size:
            return retraining.uniform(WAVE)
        if retraining.learner.family == TREES:
            return group_mixes(pool, WAVE, retraining.space, retraining.rng)
        rng = retraining.rng
        one = rng.integers(len(pool), size=WAVE)
        other = nearest[one, rng.integers(nearest.shape[1], size=WAVE)]
        mixes = retraining.segments(pool[one], pool[other]).at(rng.random(WAVE))
        return retraining.space.answered(mixes)
