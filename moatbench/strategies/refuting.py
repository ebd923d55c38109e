"""Whether a model can be the victim: what copies of the defense would have told of its answers."""

from copy import deepcopy

import numpy as np

from moatbench.attack import Target
from moatbench.defense import Defense
from moatbench.learners.purchases import Purchases
from moatbench.reply import Predict
from moatbench.strategies.simulation import Simulation, answers, stand_in
from moatbench.types import Array, Generator, Mask

FIRST = 300  # answers that are told again, in their order: a defense may remember
LEAST = 8  # of them, to judge at all
CLOSE = 1e-6  # of confidences that are the same
COPIES, GROUPS = 4, 6  # each with secrets of its own
BEYOND = 3.0  # standard deviations of a count


class Refuting:
    """Copies of the defense, put before a model in the victim's place.

    A model that explains answers to the last digits need not be the victim: a wrong model that
    answers some inputs does so too, and whatever the rule makes of the victim, if that is of its
    family. Were it the victim, then what was told would be what one more copy tells. So each of
    them is compared with all others, row by row: where these agree whether the model's answer was
    moved, and it does not, that speaks against it. Refuted is a model before which that is so of
    what was told surely more often than of any copy, in each of several groups of copies: where one
    secret moves many answers alike, one group is of one mind by chance now and then.

    Copies know neither who else asked nor what customers are like. So where answers are moved by
    what was asked before, or by a monitor's alarm, no model is refuted.

    Args:
        target: what is attacked; where its defense isn't known, no model is refuted.
        bought: all answers, in their order.
        rng: draws the copies' secrets, the same before each model.
    """

    def __init__(self, target: Target, bought: Purchases, rng: Generator) -> None:
        self._target, self._rng = target, rng
        some = np.flatnonzero(np.isfinite(bought.outputs).all(axis=1))[:FIRST]
        self._x, self._told = bought.x[some], bought.outputs[some]

    def __call__(self, predict: Predict) -> bool:
        """Return whether a model is refuted."""
        defense = self._target.known.defense
        if defense is None or len(self._x) < LEAST or _remembers(defense):
            return False
        groups = deepcopy(self._rng).spawn(GROUPS)
        return all(self._against(predict, defense, rng) for rng in groups)

    def _against(self, predict: Predict, defense: Defense, rng: Generator) -> bool:
        """Return whether a group of copies speaks against a model."""
        try:
            said = [self._told, *(self._said(predict, defense, one) for one in rng.spawn(COPIES))]
        except ValueError:  # it cannot be deployed before such a model
            return False
        gaps = np.abs(np.stack(said) - predict(self._x).outputs).max(axis=2)
        moved = gaps[:, np.isfinite(gaps).all(axis=0)] > CLOSE
        ours, *theirs = (_alone(moved, one) for one in range(len(moved)))
        most = max(theirs)
        return bool(ours > most + BEYOND * np.sqrt(most + 1))

    def _said(self, predict: Predict, defense: Defense, rng: Generator) -> Array:
        """(n, k) what a copy tells before a model; NaN where it tells no confidences."""
        model = stand_in(self._target.api.card, self._target.pool, predict, rng)
        told = np.full(self._told.shape, np.nan)
        rows, outputs, _ = Simulation(defense, model, rng).tell(self._x, answers(model, self._x))
        told[rows] = outputs
        return told


def _remembers(defense: Defense) -> bool:
    """Whether a layer moves answers by what an account, or another, asked before."""
    kinds = (layer.traits.kinds for layer in defense.layers.values() if _moves(layer))
    return any(one & {"watches", "remembers"} for one in kinds)


def _moves(layer: Defense) -> bool:
    return bool(layer.traits.stages & {"perturb", "minimise"})


def _alone(moved: Mask, one: int) -> int:
    """Count the rows (c, n) that one account tells moved and no other, or no other but it."""
    others = np.delete(moved, one, axis=0)
    return int(((others == others[0]).all(axis=0) & (others[0] != moved[one])).sum())
