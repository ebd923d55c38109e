"""Whether adversarial examples that are made on a surrogate fool the victim too.

The second goal of a thief (Papernot et al. 2017, "Practical Black-Box Attacks against Machine
Learning", sec. 6; Juuti et al. 2019, "PRADA", sec. 4.4).
"""

from copy import deepcopy
from dataclasses import dataclass
from math import nan

import numpy as np

from moatbench.client import Surrogate
from moatbench.judge.checked import answers
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import Victim

ROWS, STEPS = 100, 10  # test rows at most, and iterations
WHERE = "adversarial examples"


@dataclass(frozen=True)
class Transfer:
    """Makes adversarial examples by the iterated fast gradient sign method; tries them.

    Numbers move by `budget` at most, each in shares of its own range (an L-infinity ball), names
    not at all. The surrogate is asked for its confidences alone: its gradient is taken by central
    differences, a step of the method wide, so that trees and ensembles have one as well; where it
    is flat, a sign is drawn. Starts are test rows, to which both models give one label.

    Source: Kurakin et al. 2017, arXiv:1607.02533, sec. 2.2 and 2.3, with the classes of targets
    drawn at random as in PRADA.

    Args:
        victim: to be fooled.
        budget: share of the range, in (0, 1].
        rng: draws targets, and signs.
    """

    victim: Victim
    budget: float
    rng: Generator

    def scores(self, surrogate: Surrogate, agreed: Mask) -> dict[str, float]:
        """Share of the examples that fool the victim, of each kind; NaN where none can be made.

        Args:
            surrogate: that they are made on.
            agreed: (n,) the test rows on which it gives the victim's label.
        """
        space, k = self.victim.space, len(self.victim.classes)
        rows = np.flatnonzero(agreed)[:ROWS]
        if k < 2 or not len(rows) or not space.numeric.any():
            return {"transfer_untargeted": nan, "transfer_targeted": nan}
        rng = deepcopy(self.rng)  # each surrogate has the same targets
        x = self.victim.shares.x_test[rows]
        labels = self.victim.predict(x).labels
        targets = (labels + rng.integers(1, k, len(rows))) % k
        away = self._made(surrogate, x, labels, -1.0, rng)
        towards = self._made(surrogate, x, targets, 1.0, rng)
        return {
            "transfer_untargeted": float((self.victim.predict(away).labels != labels).mean()),
            "transfer_targeted": float((self.victim.predict(towards).labels == targets).mean()),
        }

    def _made(
        self, surrogate: Surrogate, x: Array, classes: Labels, sign: float, rng: Generator
    ) -> Array:
        """(n, d) valid inputs near x, where the surrogate gives the classes more (or less)."""
        space, moves = self.victim.space, np.flatnonzero(self.victim.space.numeric)
        step = 2 * self.budget / STEPS  # of the method; it may go there and back again
        unit = (space.high - space.low)[moves]
        at = x.copy()
        for _ in range(STEPS):
            slope = sign * self._slope(surrogate, at, classes, moves, step * unit)
            flat = slope == 0
            slope[flat] = rng.choice([-1.0, 1.0], flat.sum())
            at[:, moves] += step * unit * np.sign(slope)
            within = x[:, moves] + self.budget * unit * np.array([[[-1.0]], [[1.0]]])
            at[:, moves] = at[:, moves].clip(*within)
            at[:, moves] = at[:, moves].clip(space.low[moves], space.high[moves])
        return space.answered(at)

    def _slope(
        self, surrogate: Surrogate, x: Array, classes: Labels, moves: Rows, width: Array
    ) -> Array:
        """(n, m) differences of the log-confidence of each row's class, along each column."""
        low, high = self.victim.space.low, self.victim.space.high
        n, m = len(x), len(moves)
        ends = []
        for side in (-0.5, 0.5):
            moved = np.repeat(x, m, axis=0).reshape(n, m, -1)
            moved[:, np.arange(m), moves] += side * width
            ends.append(moved.reshape(n * m, -1).clip(low, high))
        reply = answers(surrogate, np.concatenate(ends), WHERE, self.victim)
        k = len(self.victim.classes)
        told = np.eye(k)[reply.labels] if reply.outputs is None else reply.outputs
        known = np.log(told.clip(1e-12))[np.arange(2 * n * m), np.tile(np.repeat(classes, m), 2)]
        before, after = known.reshape(2, n, m)
        slope: Array = after - before
        return slope
