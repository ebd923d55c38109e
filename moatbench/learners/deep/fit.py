"""What networks trained on purchases are: a surrogate, and where it doubts."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from moatbench.client import Surrogate
from moatbench.learners.deep.nets import Net
from moatbench.learners.fit import held_out
from moatbench.numerics.spread import k_center
from moatbench.reply import Reply, from_outputs
from moatbench.search.selection import margins
from moatbench.types import Array, Labels, Mask, Rows

if TYPE_CHECKING:
    from moatbench.learners.deep.learner import NetLearner

FEWEST = 25  # purchases, of which a fifth can judge
WIDE = 3  # times as many candidates in doubt as are wanted, of which the most spread are taken


@dataclass(frozen=True)
class NetFit:
    """Networks trained on purchases.

    Args:
        learner: what trained them.
        nets: their answers are averaged.
        loss: that they were trained by.
        chosen_at: how many purchases there were when it was chosen.
        taught: how many purchases they were trained on.
        rows: those, encoded, and their targets; None of a brief fit.
        polished: whether they went on by L-BFGS.
    """

    learner: "NetLearner"
    nets: tuple[Net, ...]
    loss: str
    chosen_at: int
    taught: int = 0
    rows: tuple[Array, Array] | None = None
    polished: bool = False
    in_steps = False  # its boundary is smooth
    plane = None

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities."""
        z = self.learner.space.encode(x)
        mean: Array = np.mean([net.outputs(z) for net in self.nets], axis=0)
        return mean

    def labels(self, x: Array) -> Labels:
        """(n,) the most probable class."""
        return from_outputs(self.outputs(x)).labels

    def uncertain(self, candidates: Array, n: int, known: Array) -> Rows:
        """Choose n of the candidates (m, d): of those in doubt, the most spread.

        Args:
            candidates: inputs.
            n: at most m.
            known: (rows, d) the inputs that it was trained on.
        """
        p = self.outputs(candidates)
        best = np.argsort(margins(p), kind="stable")[: WIDE * n]
        return best[k_center(p[best], self.outputs(known[-WIDE * n :]), n)]

    def slopes(self, x: Array, towards: Labels, away: Labels) -> Array:
        """(n, d) how the score of one class above another's grows with each encoded column."""
        z = self.learner.space.encode(x)
        return np.asarray(np.mean([net.slopes(z, towards, away) for net in self.nets], axis=0))

    def log_slopes(self, x: Array, labels: Labels) -> Array:
        """(n, m) how the log-probability of a class (n,) grows with each encoded column."""
        z = self.learner.space.encode(x)
        return np.asarray(np.mean([net.log_slopes(z, labels) for net in self.nets], axis=0))

    def surrogate(self) -> Surrogate:
        """Return the fit as an attack yields it."""

        def predict(x: Array) -> Reply:
            return from_outputs(self.outputs(x))

        learner = self.learner
        told = f"{learner.net} by {self.loss}" + (
            f", {len(self.nets)} averaged" if len(self.nets) > 1 else ""
        )
        told += ", polished" if self.polished else ""
        if anew := sum(net.anew for net in self.nets):
            told += f", {anew} of {len(self.nets)} trained anew by smaller steps after a divergence"
        note = f"{learner.note}; {told}" if learner.note else told
        doubled = self._doubled if self.rows and len(self.rows[0]) >= FEWEST else None
        return Surrogate(predict, converged=True, note=note, doubled=doubled)

    def _doubled(self) -> tuple[Mask, Mask]:
        """Train without the held-out rows, for as many steps and for twice as many."""
        assert self.rows is not None
        z, targets = self.rows
        held, learner = held_out(len(z)), self.learner
        n, hard = int((~held).sum()), bool(targets.max(axis=1).min() == 1)
        once = learner.afresh(len(z), self.loss, hard)
        twice = replace(once, steps=2 * once.steps_for(n), epochs=0)
        right = []
        for recipe in (once, twice):
            rng = np.random.default_rng(0)  # the same first weights
            nets = learner.trained(z[~held], targets[~held], recipe, rng, 1)
            found = nets[0].outputs(z[held]).argmax(axis=1)
            right.append(np.asarray(found == targets[held].argmax(axis=1)))
        return right[0], right[1]
