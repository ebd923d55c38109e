"""DCP: a reverse sigmoid behind a gate, for inputs that the model is unsure of.

Source: DCP (ICMLA 2023), the code released as `defending-extraction`.
Read: authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from scipy.special import expit, logit

from moatbench.defense import Defense
from moatbench.inverses.bent.bump import Bump
from moatbench.inverses.bent.unbent import unbent
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_flag, check_number
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Rows
from moatbench.victim import Victim

EDGE = 1e-9  # probabilities are kept this far from 0 and 1, where the logit is infinite


@dataclass(frozen=True)
class DCP(Defense):
    """Subtract a beta (sigmoid(gamma logit(y)) - 1/2), clip at 0, normalise.

    The gate a = 1 / (1 + exp(nu (max_k y_k - beta))): beta is the height of the bump, and the
    confidence from which on the truth is told; above 1 no answer is sure enough. The bump is
    that of `reverse_sigmoid`, the gate that of `adaptive_misinformation`. The released code clamps
    the odds at 1, so that confidences above 1/2 are not lowered (`clamp`). The label told is the
    top class of what is told. The answer is a function of the true one alone.

    Verified: golden values. (.9, .06, .04) at beta 1, gamma .1 tells .785 first with the clamp and
    .774 without; sure answers are told as they are, within rounding.

    Args:
        beta: height and gate, at least 0; 0 is no defense; published: up to 1.5.
        gamma: steepness of the bump, at least 0; 0 is no defense.
        nu: steepness of the gate, above 0.
        clamp: whether confidences above 1/2 stay as they are, but for the scale.
    """

    beta: float
    gamma: float
    nu: float
    clamp: bool

    traits = Traits({"relabels"}, keeps_labels=False)
    harmless: ClassVar[dict[str, Any]] = {"beta": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"beta": (0.25, 0.5, 0.75, 1.0, 1.25, 1.5)}

    def __post_init__(self) -> None:
        check_number("dcp: beta", self.beta, 0, hint="; 0 is no defense")
        check_number("dcp: gamma", self.gamma, 0, hint="; 0 is no defense")
        check_number("dcp: nu", self.nu, 0, above=True, hint="; for example 1000")
        check_flag("dcp: clamp", self.clamp)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need whole distributions: a 0 that stands for 'not told' would be raised."""
        victim.require_probabilities("dcp", full=True)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer perturbed outputs; a row without outputs stays as it is."""
        if self.beta == 0 or self.gamma == 0:
            return reply

        def bend(_: Rows, y: Array) -> Array:
            return self.told_of(y)

        return reply.perturbed(bend, keep_labels=False)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {"dcp": cls(1.0, 0.1, 1000.0, True), "unclamped dcp": cls(1.0, 0.1, 1000.0, False)}

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Undo the bump on both of its branches, with the gate that goes with the largest."""
        if self.beta == 0 or self.gamma == 0:
            return told
        gate = (self.beta, self.nu)
        bump = Bump(self.gamma, self._height, self._slope, self.clamp, gate)
        return unbent(told, bump, self.told_of, guess, label=False)

    def _height(self, m: Array) -> Array:
        """H of the bump where the largest confidence is m (n,)."""
        return np.asarray(self.beta * expit(self.nu * (self.beta - m)))

    def _slope(self, m: Array) -> Array:
        """Dh / dm."""
        at = self.nu * (self.beta - m)
        return np.asarray(-self.beta * self.nu * expit(at) * expit(-at))

    def gate(self, y: Array) -> Array:
        """(n,) the share of the bump in the answers whose truth is y (n, k)."""
        return np.asarray(expit(self.nu * (self.beta - y.max(axis=1))))

    def told_of(self, y: Array) -> Array:
        """(n, k) what is told of true answers (n, k)."""
        odds = logit(y.clip(EDGE, 1 - EDGE))
        if self.clamp:
            odds = np.minimum(odds, 0.0)
        height = self.gate(y) * self.beta
        return normalised((y - height[:, None] * (expit(self.gamma * odds) - 0.5)).clip(0))
