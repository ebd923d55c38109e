"""Train deep networks on purchased answers: for victims that are such, and for pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.client import Surrogate
from moatbench.learners.deep.device import one_stream
from moatbench.learners.deep.nets import Net, check, kept
from moatbench.learners.deep.recipes import Recipe
from moatbench.learners.fit import held_out
from moatbench.numerics.spread import k_center
from moatbench.reply import Reply, from_outputs
from moatbench.search.selection import margins
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask, Rows

if TYPE_CHECKING:
    from moatbench.learners.published import AnyFit

NET = "net"
FEWEST = 25  # purchases, of which a fifth can judge
STALE = 4  # times as many purchases, and the loss is chosen anew
MEMBERS = 3  # networks that are averaged, on bare labels
BRIEF = 300  # steps where the fit only serves to choose the next queries
DECAY = 1e-3  # of the weights, on bare labels
WIDE = 3  # times as many candidates in doubt as are wanted, of which the most spread are taken
LOSSES = ("l1_log", "cross_entropy")


@dataclass(frozen=True)
class NetLearner:
    """Networks of one architecture, trained by a recipe.

    The distance of log-probabilities is learnt where answers are exact: it tells several points
    more than the cross-entropy that the field trains with, from the same purchases (docs/nets.md).
    Held-out purchases choose between both, for rounded and noisy answers want the other. On bare
    labels three networks are averaged.

    Args:
        space: what the API takes.
        k: classes.
        net: a name of `architectures`.
        knobs: of the network.
        recipe: how each is trained; its loss is what held-out purchases choose.
        warm: whether a fit goes on from the last one, with steps by the share of new purchases.
        note: what a surrogate should say about its learner.
    """

    space: InputSpace
    k: int
    net: str = "cnn"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = field(default_factory=Recipe)
    warm: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        check(self.net, self.image, self.knobs)

    @property
    def family(self) -> str:
        """What it trains."""
        return NET

    @property
    def image(self) -> tuple[int, ...]:
        """The shape of an input."""
        width = self.space.encode(self.space.low[None]).shape[1]
        return self.space.image or (int(width),)

    @property
    def unknowns(self) -> int:
        """Answers from which a network begins to tell something: none of a network's own count."""
        return 10 * self.k

    def for_labels(self) -> "NetLearner":
        """Return one for bare labels: the same, which sees by itself that nothing else is told."""
        return self

    def fit(
        self,
        x: Array,
        targets: Array,
        rng: Generator,
        resume: "AnyFit | None" = None,
        brief: bool = False,
    ) -> "NetFit":
        """Train.

        Args:
            x: (n, d) inputs, in the API's units, at least one.
            targets: (n, k) labels or soft labels, rows summing to one.
            rng: draws first weights and the order of training.
            resume: an earlier fit, whose loss is kept for a while, and from which a brief or warm
                one goes on.
            brief: whether the fit only serves to choose the next queries.
        """
        z, last = self.space.encode(x), resume if isinstance(resume, NetFit) else None
        hard = bool(targets.max(axis=1).min() == 1)
        if brief:
            loss = "cross_entropy" if hard else (last.loss if last else LOSSES[0])
            recipe = replace(self.recipe, steps=BRIEF, epochs=0, loss=loss)
            start = last.nets[:1] if last else ()
            nets = self.trained(z, targets, recipe, rng, 1, start)
            return NetFit(self, nets, loss, len(x))
        loss, chosen_at = self._loss(z, targets, hard, rng, last)
        recipe = replace(self.recipe, loss=loss, decay=DECAY if hard else self.recipe.decay)
        members = MEMBERS if hard else 1
        start = last.nets if last and self.warm else ()
        if start:
            share = max(0.1, 1 - last.taught / len(x)) if last else 1.0
            recipe = replace(recipe, steps=int(share * recipe.steps_for(len(x))), epochs=0)
        nets = self.trained(z, targets, recipe, rng, members, start)
        return NetFit(self, nets, loss, chosen_at, len(x), (z, targets))

    def _loss(
        self, z: Array, targets: Array, hard: bool, rng: Generator, last: "NetFit | None"
    ) -> tuple[str, int]:
        """Let held-out purchases choose the loss; say how many purchases there were then."""
        n = len(z)
        if hard:
            return "cross_entropy", n
        if last and last.loss in LOSSES and n < STALE * last.chosen_at:
            return last.loss, last.chosen_at
        if n < FEWEST:
            return LOSSES[0], 0
        held = held_out(n)
        gaps = {}
        for loss in LOSSES:
            nets = self.trained(z[~held], targets[~held], replace(self.recipe, loss=loss), rng, 1)
            gaps[loss] = float(np.abs(nets[0].outputs(z[held]) - targets[held]).sum())
        return min(LOSSES, key=gaps.__getitem__), n

    def trained(
        self,
        z: Array,
        targets: Array,
        recipe: Recipe,
        rng: Generator,
        members: int,
        start: tuple[Net, ...] = (),
    ) -> tuple[Net, ...]:
        """Train networks, each with a stream of its own; go on from others where they are given."""
        from moatbench.learners.deep.architectures import make
        from moatbench.learners.deep.training import train

        found = []
        for member in range(members):
            with one_stream(int(rng.integers(2**31))):
                if member < len(start):
                    module = start[member].fresh()
                else:
                    module = make(self.net, self.image, self.k, self.knobs)
                state = kept(train(module, z, targets, recipe, rng))
            found.append(Net(self.net, self.image, self.k, self.knobs, state))
        return tuple(found)


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
    """

    learner: NetLearner
    nets: tuple[Net, ...]
    loss: str
    chosen_at: int
    taught: int = 0
    rows: tuple[Array, Array] | None = None
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

    def surrogate(self) -> Surrogate:
        """Return the fit as an attack yields it."""

        def predict(x: Array) -> Reply:
            return from_outputs(self.outputs(x))

        learner = self.learner
        told = f"{learner.net} by {self.loss}" + (
            f", {len(self.nets)} averaged" if len(self.nets) > 1 else ""
        )
        note = f"{learner.note}; {told}" if learner.note else told
        doubled = self._doubled if self.rows and len(self.rows[0]) >= FEWEST else None
        return Surrogate(predict, converged=True, note=note, doubled=doubled)

    def _doubled(self) -> tuple[Mask, Mask]:
        """Train without the held-out rows, for as many steps and for twice as many."""
        assert self.rows is not None
        z, targets = self.rows
        held, learner = held_out(len(z)), self.learner
        once = replace(learner.recipe, loss=self.loss)
        twice = replace(once, steps=2 * once.steps_for(int((~held).sum())), epochs=0)
        right = []
        for recipe in (once, twice):
            rng = np.random.default_rng(0)  # the same first weights
            nets = learner.trained(z[~held], targets[~held], recipe, rng, 1)
            found = nets[0].outputs(z[held]).argmax(axis=1)
            right.append(np.asarray(found == targets[held].argmax(axis=1)))
        return right[0], right[1]
