"""Reverse sigmoid: a bump that is largest where the truth is most certain, and not monotone.

Source: Lee et al. 2019, "Defending Against Neural Network Model Stealing Attacks Using Deceptive
Perturbations", arXiv:1806.00054.
Read: re-implementation.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logit

from moatbench.defense import Defense
from moatbench.inverses.bent.unbent import bent_origins
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_flag, check_number
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Rows
from moatbench.victim import Victim

EDGE = 1e-9  # probabilities are kept this far from 0 and 1, where the logit is infinite
HALVINGS = 60  # of beta at most; what is left of it is below a rounding error


@dataclass(frozen=True)
class ReverseSigmoid(Defense):
    """Subtract r = beta (sigmoid(gamma logit(y)) - 1/2), clip at 0, normalise.

    The published formula may move the top class: of ten-class answers, 4 to 7 % at beta 0.8, gamma
    0.2. With the guard, beta is halved for a row until its top class leads, by more than a rounding
    error; beta = 0 would do, so that this ends. The answer is a function of the true one alone: its
    inverse gives all that it may have been. Verified: each weight falls, where it should rise, on
    1.7 % of (0, 1) at (0.21, 0.2) and 7.5 % at (0.8, 0.2), next to 0 and 1; at beta = gamma = 1 it
    is 1/2 everywhere, so that without the guard nothing is told.

    Args:
        beta: height of the bump, at least 0; 0 is no defense.
        gamma: steepness, at least 0; 0 is no defense.
        guard: whether the top class stays. Without, the label told is the perturbed top class.
    """

    beta: float
    gamma: float
    guard: bool

    harmless: ClassVar[dict[str, Any]] = {"beta": 0.0}
    strengths: ClassVar[dict[str, Any]] = {
        "beta": (0.01, 0.02, 0.04, 0.08, 0.16, 0.21, 0.32, 0.64, 0.8, 1.0, 1.28),
        "gamma": (0.1, 0.2, 1.0),
    }

    def __post_init__(self) -> None:
        check_number("reverse_sigmoid: beta", self.beta, 0, hint="; 0 is no defense")
        check_number("reverse_sigmoid: gamma", self.gamma, 0, hint="; 0 is no defense")
        check_flag("reverse_sigmoid: guard", self.guard)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need whole distributions: a 0 that stands for 'not told' would be raised."""
        victim.require_probabilities("reverse_sigmoid", full=True)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer perturbed outputs; a row without outputs stays as it is."""
        if self.beta == 0 or self.gamma == 0:
            return reply

        def bend(_: Rows, y: Array) -> Array:
            return self.told_of(y)

        return reply.perturbed(bend, keep_labels=self.guard)

    def told_of(self, y: Array) -> Array:
        """(n, k) what is told of true answers (n, k)."""
        return self._guarded(y) if self.guard else self._bent(y)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {
            "reverse_sigmoid": cls(0.8, 0.2, True),
            "unguarded reverse_sigmoid": cls(0.8, 0.2, False),
        }

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Undo the bump on both of its branches; under the guard, also bumps that it halved."""
        if self.beta == 0 or self.gamma == 0:
            return told
        halvings = np.arange(HALVINGS + 1.0 if self.guard else 1.0)
        heights = np.asarray(self.beta * 0.5**halvings)
        return bent_origins(told, heights, self.gamma, self.told_of, guess, self.guard)

    @property
    def traits(self) -> Traits:
        """The guard keeps the label."""
        return Traits({"perturbs" if self.guard else "relabels"}, keeps_labels=self.guard)

    def _bent(self, y: Array, share: float = 1.0) -> Array:
        """(n, k) perturbed answers, by a share of beta."""
        y = y.clip(EDGE, 1 - EDGE)
        bump = share * self.beta * (expit(self.gamma * logit(y)) - 0.5)
        return normalised((y - bump).clip(0))

    def _guarded(self, y: Array) -> Array:
        """(n, k) perturbed answers whose top class is that of the truth."""
        bent, top = self._bent(y), y.argmax(axis=1)
        least = np.minimum(_lead(y, top), EDGE)  # a lead by a rounding error is none
        for halving in range(1, HALVINGS + 1):
            moved = np.flatnonzero((bent.argmax(axis=1) != top) | (_lead(bent, top) < least))
            if not len(moved):
                return bent
            bent[moved] = self._bent(y[moved], 0.5**halving)
        bent[moved] = y[moved]
        return bent


def _lead(y: Array, top: Rows) -> Array:
    """(n,) by how much each row's class `top` exceeds the best of the others."""
    rows, others = np.arange(len(y)), y.copy()
    others[rows, top] = -1.0
    lead: Array = y[rows, top] - others.max(axis=1)
    return lead
