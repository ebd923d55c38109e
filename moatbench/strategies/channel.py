"""Labels that a defense moved: what a copy of it says that they stand for."""

from copy import deepcopy
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from moatbench.attack import Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.learners.fit import held_out
from moatbench.learners.published import PUBLISHED, learner_for, linear_odds
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict
from moatbench.strategies.simulation import Simulation, answers, stand_in
from moatbench.types import Array, Generator, Labels, Rows

LEAST = 8  # held-out labels, to judge at all
KEPT = 0.9  # of the labels; where a copy moves fewer, they are learnt as they are
COPIES = 4  # each with secrets of its own
ASKED = 300  # inputs that they are asked about, every second one bought
ROUNDS = 2  # of a channel
STEPS = 4  # of a model through it
BINS = 10  # of the top confidence told
CHANCE, TINY = 2.0, 1e-12  # standard errors


class Channel(NamedTuple):
    """What a defense tells where a model has a class: (k, m) shares of each answer in a row.

    `labels` are of the labels told, `answers` of these with the tenth that the top confidence is
    in.
    """

    labels: Array
    answers: Array


def unless_moved(
    surrogate: Surrogate, target: Target, bought: Purchases, rng: Generator
) -> Surrogate:
    """Return a surrogate, or one learnt from labels that the defense moved, where that is better.

    Copies of the defense before the surrogate say what would be told of its answers. Where labels
    are mostly kept, nothing is changed. Else they are learnt through what each copy does to them,
    and that model is meant which makes held-out answers likeliest, as they were told: surely so,
    unless more of the labels are the surrogate's own than any copy keeps. A model of the labels as
    told cannot pass: of its answers the copies tell others.

    Args:
        surrogate: learnt in any way, held-out answers among what it saw.
        target: what is attacked; its defense is known, or nothing is changed.
        bought: all answers.
        rng: draws the copies' secrets, and trains.

    Source: Patrini et al. 2017, arXiv:1609.03683 (forward correction), with classes as hidden ones.
    """
    defense, x, held = target.known.defense, bought.x, held_out(len(bought))
    card = target.api.card
    solved = card.family == "one_vs_rest" or linear_odds(card)
    few = held.sum() < LEAST or not solved
    if defense is None or few or target.known.keeps_labels:
        return surrogate
    if surrogate.predict(x[:1]).outputs is None:  # a copy has nothing to move
        return surrogate
    labels, told = bought.labels, _patterns(bought.labels, bought.outputs)
    copies = [Copying(defense, target, one) for one in rng.spawn(COPIES)]
    try:
        own = [copy.channel(surrogate.predict, x) for copy in copies]
        ours = [_likelihood(surrogate.predict, channel, x[held], told[held]) for channel in own]
        said, place = surrogate.predict(x).labels, int(np.argmax([one.mean() for one in ours]))
        if _kept(own[place], said) >= KEPT:
            return surrogate
        found = [
            copy.learnt(x[~held], labels[~held], channel)
            for copy, channel in zip(copies, own, strict=True)
        ]
        likely = [_likelihood(one.predict, after, x[held], told[held]) for one, after in found]
        best = int(np.argmax([one.mean() for one in likely]))
        kept = max(_kept(channel, said[held]) for channel in own)
        excess = float((said == labels)[held].mean()) - kept
        moved = excess > CHANCE * (kept * (1 - kept) / held.sum()) ** 0.5
        if _likelier(likely[best], ours[place]) <= (0.0 if moved else CHANCE):
            return surrogate
        whole, _ = copies[best].learnt(x, labels, found[best][1])
    except ValueError:  # no copy can be deployed before such a model
        return surrogate
    return replace(whole, note="labels, through what a copy of the defense makes of them")


class Copying:
    """A copy of a defense, with secrets of its own: the same ones before each model."""

    def __init__(self, defense: Defense, target: Target, rng: Generator) -> None:
        self._defense, self._target, self._rng = defense, target, rng

    def channel(self, predict: Predict, x: Array) -> Channel:
        """Return what it makes of a model's answers.

        Raises:
            ValueError: it cannot be deployed before that model.
        """
        card, rng = self._target.api.card, deepcopy(self._rng)
        k, model = len(card.classes), stand_in(card, self._target.pool, predict, rng)
        some = x[rng.permutation(len(x))[: ASKED // 2]]
        asked = np.vstack([some, card.space.sample(ASKED - len(some), rng)])
        true = answers(model, asked)
        rows, outputs, labels = Simulation(self._defense, model, rng).tell(asked, true)
        shares = []
        for size, said in ((k, labels), (k * BINS, _patterns(labels, outputs))):
            counts = np.full((k, size), 1 / size)
            np.add.at(counts, (true[rows].argmax(axis=1), said), 1.0)
            shares.append(counts / counts.sum(axis=1, keepdims=True))
        return Channel(*shares)

    def learnt(self, x: Array, labels: Labels, channel: Channel) -> tuple[Surrogate, Channel]:
        """Learn from labels through a channel, and the channel from what was learnt, in turn."""
        card = self._target.api.card
        family = "softmax" if card.family == "one_vs_rest" else PUBLISHED
        learner, rng = learner_for(family, card).for_labels(), deepcopy(self._rng)
        likely = np.full((len(x), len(card.classes)), 1 / len(card.classes))
        for _ in range(ROUNDS):
            for _ in range(STEPS):
                meant = likely * channel.labels[:, labels].T
                fit = learner.fit(x, meant / meant.sum(axis=1, keepdims=True), rng)
                surrogate = fit.surrogate()
                likely = _outputs(surrogate.predict, x)
            channel = self.channel(surrogate.predict, x)
        return surrogate, channel


def _patterns(labels: Labels, outputs: Array) -> Rows:
    """(n,) which label was told, with a top confidence of which tenth."""
    top = np.nan_to_num(outputs).max(axis=1)
    return np.asarray(labels * BINS + (top * BINS).astype(np.intp).clip(0, BINS - 1))


def _kept(channel: Channel, labels: Labels) -> float:
    """Return the share of a model's labels that are told as they are."""
    return float(np.diag(channel.labels)[labels].mean())


def _likelihood(predict: Predict, channel: Channel, x: Array, said: Rows) -> Array:
    """(n,) logs of how likely a copy is to say what was said of a model's answers to x."""
    return np.asarray(np.log((_outputs(predict, x) * channel.answers[:, said].T).sum(axis=1)))


def _likelier(one: Array, other: Array) -> float:
    """Return by how many standard errors the mean of the first is larger."""
    gap = one - other
    return float(gap.mean() / max(gap.std(ddof=1) / len(gap) ** 0.5, TINY))


def _outputs(predict: Predict, x: Array) -> Array:
    outputs = predict(x).outputs
    assert outputs is not None
    return outputs
