"""Noise: the control that every cleverer perturbation must beat.

A fresh draw a query can be averaged out by asking again; a draw that is keyed to the input cannot,
but neither stops an attacker that never repeats itself.

Source: a baseline in Orekondy et al. 2020, "Prediction Poisoning", arXiv:1906.10908, there on the
logits.
Read: authors' code.
"""

from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np
from scipy.special import ndtri, softmax

from moatbench.defense import Defense
from moatbench.knobs import check_choice, check_number
from moatbench.numerics.keyed import AccountStreams, keyed_uniform
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator, Rows
from moatbench.victim import NotApplicable, Victim

DISTRIBUTIONS = ("gaussian", "laplace")
MODES = ("fresh", "keyed")
SCALES = ("probability", "log")
TINY = 1e-300  # a probability whose logarithm can still be told


@dataclass
class Noise(Defense):
    """Add noise to the outputs, clip to [0, 1], normalise; the label is the noisy top class.

    A row that clips to nothing becomes uniform. Clipping biases the answers: their mean over many
    draws is not the truth.

    Args:
        distribution: gaussian or laplace.
        sigma: standard deviation of the noise on each output (Laplace: scale sigma / sqrt 2). The
            value of a regression victim, in units of the target, is neither clipped nor normalised.
        mode: fresh (a new draw each time, from a stream of the account's own) or keyed (a function
            of the input under a secret key drawn at deployment, the same for every account).
        grid: keyed only: inputs are snapped to its multiples first, where each
            number spans [-1, 1], so that a repeat with less jitter than that learns nothing new.
        scale: `probability`; or `log`: noise is added to natural logarithms, and the answer
            normalised. On many classes the first drowns all but the largest.
    """

    distribution: str
    sigma: float
    mode: str
    grid: float
    scale: str = SCALES[0]

    harmless: ClassVar[dict[str, Any]] = {"sigma": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"sigma": (0.01, 0.02, 0.05, 0.1, 0.2)}

    def __post_init__(self) -> None:
        check_choice("noise: distribution", self.distribution, DISTRIBUTIONS)
        check_choice("noise: mode", self.mode, MODES)
        check_choice("noise: scale", self.scale, SCALES)
        check_number("noise: sigma", self.sigma, 0, hint="; 0 is no noise")
        check_number("noise: grid", self.grid, 0, above=True, hint="; for example 1e-6")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key and the accounts' streams."""
        if self.scale == "log" and len(victim.classes) == 1:
            raise NotApplicable("noise: scale=log needs classes, and the victim answers values")
        self._key, self._space = rng.bytes(32), victim.space
        self._streams = AccountStreams(rng)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer noisy outputs; a row without outputs stays as it is and draws nothing."""
        if self.sigma == 0:
            return reply

        def blur(rows: Rows, y: Array) -> Array:
            drawn = self.sigma * self._draw(x[rows], y.shape[1], account)
            if self.scale == "log":
                return np.asarray(softmax(np.log(np.maximum(y, TINY)) + drawn, axis=1))
            noisy = y + drawn
            return noisy if y.shape[1] == 1 else normalised(noisy.clip(0, 1))

        return reply.perturbed(blur, keep_labels=False)

    @property
    def traits(self) -> Traits:
        """The law is told before clipping; fresh noise counts the draws of each account."""
        law = NoiseModel(self.mode, self.distribution, self.sigma) if self.sigma else None
        if law and self.scale == "log":
            law = NoiseModel(self.mode)  # what is added to a probability has no law of its own
        memory = "counts" if self.mode == "fresh" else "none"
        return Traits({"noisy"}, keeps_labels=False, noise=law, memory=memory)

    def _draw(self, x: Array, k: int, account: str) -> Array:
        """(n, k) noise of standard deviation one, row after row."""
        gaussian = self.distribution == "gaussian"
        if self.mode == "fresh":
            stream, shape = self._streams[account], (len(x), k)
            return stream.normal(size=shape) if gaussian else stream.laplace(0, 1 / sqrt(2), shape)
        uniform = keyed_uniform(self._key, self._space.scaled(x), k, self.grid)
        if gaussian:
            return np.asarray(ndtri(uniform))
        tail = np.minimum(uniform, 1 - uniform)  # exact, and never 0
        return np.asarray(np.sign(uniform - 0.5) * -np.log(2 * tail) / sqrt(2))
