"""Retraining on answers that were restored, or as told, where held-out labels say that it pays."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import sqrt

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Surrogate
from moatbench.learners.published import AnyFit
from moatbench.learners.purchases import Purchases
from moatbench.numerics.simplex import normalised
from moatbench.reply import has_outputs
from moatbench.strategies.retraining import Retraining
from moatbench.types import Array, Generator

HELD_OUT = 5  # every fifth answer judges
FEWEST = 10  # answers; of fewer, the labels are all there is to trust


class CannotRestore(ValueError):
    """The answers cannot be restored; the message says why."""


# From the purchases, the best model so far and the last estimates (None at first), (n, k) estimates
Restore = Callable[[Purchases, AnyFit, Array | None, Generator], Array]


class Recovering(Retraining):
    """An attacker that trains on labels, on restored answers, and on the answers as told.

    At a checkpoint a model is trained on four fifths of the labels; it helps to restore the
    answers; a second model is trained on those, which helps to restore them better, and so on. Of
    all these, the one that gives most of the other fifth their labels is trained again, on all; the
    labels alone, unless restored answers are clearly ahead; and the answers as they were told,
    where these are clearly ahead of both, as restoring can make them worse.

    Args:
        api: where to buy.
        learner: what to train, one of `learner.LEARNERS`.
        inputs: what to ask about: the raw `cube`, or `valid` inputs only.
        rng: spawns the streams of queries, of training and of restoring.
        restore: estimates the true answers, a row for each purchase that came with outputs.
        rounds: how often, at least 1.
        pool: as for `Retraining`.
    """

    def __init__(
        self,
        api: PredictionAPI,
        learner: str,
        inputs: str,
        rng: Generator,
        restore: Restore,
        rounds: int,
        pool: Array | None = None,
    ) -> None:
        super().__init__(api, "labels", learner, inputs, rng, pool)
        self._restore, self._rounds = restore, rounds
        self._on_restored = self.learner
        (self._restoring,) = rng.spawn(1)

    def surrogate(self) -> Surrogate:
        """Train on what serves best."""
        try:
            targets, note = self._best_targets()
        except CannotRestore as reason:
            targets, note = None, f"labels: {reason}"
        if targets is None:
            plain = super().surrogate()
            return replace(plain, note=_one_note(plain.note, note))
        fit = self._on_restored.fit(self.bought.x, targets, deepcopy(self._training))
        return replace(fit.surrogate(), note=_one_note(self._on_restored.note, note))

    def _best_targets(self) -> tuple[Array | None, str]:
        """Return the soft labels to train on, None for the labels alone, and why."""
        x, labels, rng = self.bought.x, self.bought.labels, deepcopy(self._restoring)
        held = np.arange(len(x)) % HELD_OUT == HELD_OUT - 1
        hard = self.bought.targets(use_confidences=False)
        if len(x) < FEWEST or hard[~held].max(axis=0).sum() < 2:
            raise CannotRestore("too few answers")
        fit = self.learner.fit(x[~held], hard[~held], deepcopy(self._training))
        best, targets = fit.labels(x[held]) == labels[held], None
        note, estimates = "labels: restored answers predict held-out labels no better", None

        def tried(soft: Array, name: str) -> AnyFit:
            nonlocal best, targets, note
            fit = self._on_restored.fit(x[~held], soft[~held], deepcopy(self._training))
            right = fit.labels(x[held]) == labels[held]
            # By more than one standard error of the paired difference: a few rows decide nothing.
            if right.sum() - best.sum() > sqrt((right != best).sum()):
                best, targets, note = right, soft, name
            return fit

        for turn in range(1, self._rounds + 1):
            estimates = self._restore(self.bought, fit, estimates, rng)
            fit = tried(self._targets(hard, estimates), f"restored answers, round {turn}")
        told = self.bought.outputs[has_outputs(self.bought.outputs)]
        tried(self._targets(hard, normalised(told.clip(0))), "answers as told")
        return targets, note

    def _targets(self, hard: Array, estimates: Array) -> Array:
        """(n, k) estimates, and the label where only that came."""
        soft = hard.copy()
        soft[has_outputs(self.bought.outputs)] = estimates
        return soft


def _one_note(*notes: str) -> str:
    return "; ".join(filter(None, notes))
