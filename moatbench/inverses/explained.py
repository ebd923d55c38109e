"""Undo answers that a model explains already, without looking for all of their origins."""

from collections.abc import Iterator
from itertools import pairwise
from math import ceil

import numpy as np

from moatbench.client import Answers, Card
from moatbench.inverses.by_model import EXACT, EXPLAINED, FEW, on_model
from moatbench.inverses.layers import Inverse
from moatbench.inverses.linear_guess import linear_guess
from moatbench.inverses.origins import Origins, joined
from moatbench.inverses.settling import nearest
from moatbench.inverses.steps import ALL
from moatbench.learners.learner import Learner
from moatbench.learners.published import linear_odds, odds_learner
from moatbench.reply import Predict
from moatbench.types import Array, Mask

SUFFICE = 3.0  # times as many equations as unknowns


class Explaining:
    """A model of linear log-odds on which origins of nearly all answers so far lie.

    It is looked for once these are a few times as many equations as unknowns, and again when they
    have doubled: what is known after an answer depends on those before it alone.

    Args:
        learner: of the family.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        self._at = ceil(SUFFICE * learner.unknowns / (learner.k - 1))
        self._model: Predict | None = None
        self._near: list[Mask] = []

    @property
    def near(self) -> Mask:
        """(n,) which of all answers have, so far as is known, the origin that the model says."""
        return np.concatenate([np.zeros(0, bool), *self._near])

    def pieces(self, answers: Answers, known: int) -> Iterator[Answers]:
        """Cut the answers that follow some known ones, where a model is to be looked for."""
        ends, at = [0, len(answers.x)], self._at
        while at < known + len(answers.x):
            ends += [at - known] if at > known else []
            at *= 2
        for start, end in pairwise(sorted(ends)):
            yield answers.take(slice(start, end))

    def look(self, answers: Answers, origins: Origins) -> None:
        """Look for a model, if all answers so far are as many as that takes."""
        if self._model is not None or len(answers.x) < self._at:
            return
        self._at *= 2
        found = linear_guess(self._learner, answers, origins)
        if found and on_model(found, answers, origins) > EXPLAINED:
            self._model = found

    def undo(self, inverse: Inverse, told: Origins, x: Array) -> Origins:
        """Return the origins of the answers that follow, to x (n, d).

        Where one lies where the model says, others are not looked for.
        """
        guess = None if self._model is None else self._model(x).outputs
        if guess is None:
            self._near.append(np.zeros(told.n, bool))
            return inverse(told, None)
        near = inverse(told, guess)
        found, _ = nearest(near, guess)
        explained = np.abs(found - guess).max(axis=1) < EXACT  # not where there is none: NaN
        self._near.append(explained)
        others = inverse(told.take(~explained[told.rows]), None)
        return joined([near.take(explained[near.rows]), others])


def explaining(card: Card) -> Explaining | None:
    """Return what looks for a model; None where any would do, or all origins are few or many."""
    if not linear_odds(card) or not FEW < len(card.classes) <= ALL:
        return None
    return Explaining(odds_learner(card))
