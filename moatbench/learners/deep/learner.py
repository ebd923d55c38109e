"""Train deep networks on purchased answers: for victims that are such, and for pictures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.learners.deep.device import one_stream
from moatbench.learners.deep.fit import FEWEST, NetFit
from moatbench.learners.deep.nets import Net, check, kept, widened
from moatbench.learners.deep.recipes import Recipe
from moatbench.learners.fit import held_out, surely_less
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Mask

if TYPE_CHECKING:
    from moatbench.learners.published import AnyFit

NET, S4L = "net", "s4l"
STALE, ENOUGH = 4, 500  # times as many purchases, and the loss is chosen anew, until so many chose
MEMBERS = 3  # networks that are averaged, on bare labels
FEW, PAIR = 200, 2  # purchases, below which two are averaged on confidences: most is in doubt then
BRIEF, BRIEFLY_ON = 300, 150  # steps where the fit only chooses the next queries; from the last one
CHOOSING = 0.4  # of the steps, after which held-out purchases choose the loss, if no zero is told
LEAST_SHARE = 0.2  # of the steps, of a warm fit
LONG = 0.5  # of the steps, of a warm fit to more purchases: in fewer Muon does not come back
SHORTER = 0.85  # of those fewer steps, which Adam takes in Muon's place
STAYS = 0.8  # of the weights that it goes on from; with 1.0 it knows less off the first rows
ON_LABELS = 0.6  # of the steps, for three networks: more tell no more
WARM_ON_LABELS = 5 / 6  # of those, of a warm fit
STAYS_ON_LABELS = 0.9
SLOWER = 0.1  # times the rate, where a loss was no number
WIDER = 2  # times as many units as the victim has: a wide network learns it in fewer steps
CLEARLY = 0.9  # of the distance that is left without, at most, where another way pays
DECAY = 1e-3  # of the weights, on bare labels
MUON_DECAY, MUON_SHARE = 5.0, 0.7  # on confidences: of matrices, and of the steps, each longer
LOSSES = ("l1_log", "cross_entropy")
THIEF = Recipe(steps=1000, epochs=15, rate=6e-3, quick=True)


@dataclass(frozen=True)
class NetLearner:
    """Networks of one architecture, trained by a recipe.

    The distance of log-probabilities is learnt where answers are exact: it tells several points
    more than the cross-entropy that the field trains with, from the same purchases (docs/nets.md).
    Held-out purchases say where the other is better, by more than their standard error: for rounded
    and noisy answers it is. On labels, and of few purchases, Adam trains, else `Muon`. On bare
    labels three networks are averaged. A network twice as wide as the victim learns it better from
    the same purchases, and in fewer steps. Where it polishes, such a one goes on by L-BFGS from
    where these end, and stays if it knows held-out purchases better: a network as wide as the
    victim ends in a minimum of its own.

    Args:
        space: what the API takes.
        k: classes.
        net: a name of `architectures`.
        knobs: of the network.
        recipe: how each is trained; its loss is what held-out purchases choose.
        warm: whether a fit goes on from the last one, with some of its weights drawn anew,
            and steps by the share of new purchases.
        polish: whether to go on by L-BFGS, on exact answers.
        wider: times as many units as `knobs` say, where the network's width is one of them.
        note: what a surrogate should say about its learner.
    """

    space: InputSpace
    k: int
    net: str = "cnn"
    knobs: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe = THIEF
    warm: bool = True
    polish: bool = False
    wider: int = WIDER
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
    ) -> NetFit:
        """Train.

        Args:
            x: (n, d) inputs, in the API's units, at least one.
            targets: (n, k) labels or soft labels, rows summing to one.
            rng: draws first weights and the order of training.
            resume: an earlier fit, whose loss is kept for a while, and from whose networks a brief
                or warm one goes on, if it has any.
            brief: whether the fit only serves to choose the next queries.
        """
        z, last = self.space.encode(x), resume if isinstance(resume, NetFit) else None
        hard = bool(targets.max(axis=1).min() == 1)
        if brief:
            loss = "cross_entropy" if hard else (last.loss if last else LOSSES[0])
            steps, guided = (BRIEFLY_ON, last.nets[:1]) if last else (BRIEF, ())
            recipe = replace(self.recipe, steps=steps, epochs=0, loss=loss)
            nets = self.trained(z, targets, recipe, rng, 1, guided)
            return NetFit(self, nets, loss, len(x))
        last = last if self.warm else None
        loss, chosen_at = self._loss(z, targets, hard, rng, last)
        if self.polish and not hard and len(x) >= FEWEST:
            fit = self._polished(z, targets, loss, rng)
            if fit is not None:
                return replace(fit, chosen_at=chosen_at)
        members = MEMBERS if hard else PAIR if len(x) < FEW else 1
        share = 1.0
        if last is not None and last.nets:
            share = max(LEAST_SHARE, 1 - last.taught / len(x)) * (WARM_ON_LABELS if hard else 1)
        recipe = self.afresh(len(x), loss, hard, share)
        muon = recipe.optimiser != self.recipe.optimiser
        if muon and share < LONG and last is not None and len(x) > last.taught:
            recipe = _shorter(replace(self.recipe, loss=loss), len(x), SHORTER * share)
        start, stays = last.nets if last else (), STAYS_ON_LABELS if hard else STAYS
        nets = self.trained(z, targets, recipe, rng, members, start, stays)
        return NetFit(self, nets, loss, chosen_at, len(x), (z, targets))

    def afresh(self, n: int, loss: str, hard: bool, share: float = 1.0) -> Recipe:
        """Return how a network is trained on n purchases, or n bare labels.

        Confidences by `Muon`, whose networks come nearer to them and between them; of labels, and
        of few answers, Adam's tell as much or more (docs/nets.md).

        Args:
            n: purchases.
            loss: that held-out purchases chose.
            hard: whether they are bare labels.
            share: of the steps that new weights take.
        """
        recipe = replace(self.recipe, loss=loss)
        if hard:
            return _shorter(replace(recipe, decay=DECAY), n, share * ON_LABELS)
        if n < FEW or recipe.optimiser != "adam":
            return _shorter(recipe, n, share) if share < 1 else recipe
        muon = replace(recipe, optimiser="muon", decay=MUON_DECAY)
        return _shorter(muon, n, share * MUON_SHARE)

    def _loss(
        self, z: Array, targets: Array, hard: bool, rng: Generator, last: NetFit | None
    ) -> tuple[str, int]:
        """Let held-out purchases choose the loss; say how many purchases there were then."""
        n = len(z)
        if hard:
            return "cross_entropy", 0  # nothing chose it: it is not kept for confidences
        if last and last.loss in LOSSES and last.chosen_at > min(n / STALE, ENOUGH):
            return last.loss, last.chosen_at
        if n < FEWEST:
            return LOSSES[0], 0
        held, gaps = held_out(n), []
        brief = bool(targets.min() > 0)  # the logarithm of none is cut, far off: that takes all
        for loss in LOSSES:
            recipe = self.afresh(n, loss, hard)
            if brief:
                whole = recipe.steps_for(n)
                steps = min(whole, max(BRIEF, int(CHOOSING * whole)))
                recipe = replace(recipe, steps=steps, epochs=0)
            nets = self.trained(z[~held], targets[~held], recipe, rng, 1)
            gaps.append(_gaps(nets[0], z, targets, held))
        sure = surely_less(gaps[1], gaps[0])
        if brief:  # the distance of log-probabilities has not come as far by then
            sure = sure and gaps[1].sum() < CLEARLY * gaps[0].sum()
        return LOSSES[int(sure)], n

    def _polished(self, z: Array, targets: Array, loss: str, rng: Generator) -> NetFit | None:
        """Train a wide network, and polish it; None if one without knows held-out rows as well."""
        from moatbench.learners.deep.polish import polished

        held, recipe = held_out(len(z)), self.afresh(len(z), LOSSES[0], hard=False)
        wide = replace(self, wider=max(self.wider, WIDER))
        usual = self.afresh(len(z), loss, hard=False)
        (plain,) = self.trained(z[~held], targets[~held], usual, rng, 1)
        (net,) = wide.trained(z[~held], targets[~held], recipe, rng, 1)
        net = polished(net, z[~held], targets[~held], recipe.device)
        if not surely_less(*(_gaps(one, z, targets, held) for one in (net, plain))):
            return None
        nets = (polished(net, z, targets, recipe.device),)
        return NetFit(wide, nets, LOSSES[0], len(z), len(z), (z, targets), polished=True)

    def trained(
        self,
        z: Array,
        targets: Array,
        recipe: Recipe,
        rng: Generator,
        members: int,
        start: tuple[Net, ...] = (),
        stays: float = 1.0,
    ) -> tuple[Net, ...]:
        """Train networks, each with a stream of its own; go on from others where they are given.

        Of their weights a share stays; the rest is fresh.
        """
        from moatbench.learners.deep.architectures import make
        from moatbench.learners.deep.training import Diverged, shrunk, times, train, unit_of

        found, unit = [], unit_of(targets, recipe.loss)
        for member in range(members):
            with one_stream(int(rng.integers(2**31))):
                known = start[member] if member < len(start) else None
                knobs = known.knobs if known else widened(self.net, self.knobs, self.wider)
                fresh = partial(make, self.net, self.image, self.k, knobs)
                module = times(known.fresh(), 1 / unit) if known else fresh()
                if known and stays < 1:
                    module = shrunk(module, fresh(), stays)
                diverged = False
                try:
                    state = kept(train(module, z, targets, recipe, rng))
                except Diverged:  # once more from new weights, with smaller steps
                    hard = bool(targets.max(axis=1).min() == 1)
                    whole = self.afresh(len(z), recipe.loss, hard).steps_for(len(z)) if known else 0
                    steps = max(recipe.steps, whole)  # old weights take fewer than new ones
                    slower = replace(recipe, rate=SLOWER * recipe.rate, steps=steps)
                    state, diverged = kept(train(fresh(), z, targets, slower, rng)), True
            found.append(Net(self.net, self.image, self.k, knobs, state, anew=diverged))
        return tuple(found)


def _shorter(recipe: Recipe, n: int, share: float) -> Recipe:
    """Return a recipe that takes a share of the steps that it takes for n rows."""
    return replace(recipe, steps=max(1, int(share * recipe.steps_for(n))), epochs=0)


def _gaps(net: Net, z: Array, targets: Array, held: Mask) -> Array:
    """(rows held out,) how far a network's answers to them are from those told."""
    return np.asarray(np.abs(net.outputs(z[held]) - targets[held]).sum(axis=1))
