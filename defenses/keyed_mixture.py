"""Keyed mixture: each answer is mixed with another one, which a secret key and the input decide.

Source: ours, a control: what a perturbation would need to leave no equation standing.
Read: nothing; the rule is ours or common practice.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number
from moatbench.numerics.keyed import keyed_uniform
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator, Rows
from moatbench.victim import Victim


@dataclass
class KeyedMixture(Defense):
    """Tell (1 - a) y + a v, where v is a random answer with the top class of the true one, y.

    v is uniform over the simplex, but for its largest entry, which is the label's. It is a function
    of the input under a key drawn at deployment: a repeat learns nothing, and no two rows share an
    amount by which an entry was moved. a spends the budget, ||y' - y||_1 = epsilon, or is 1 where v
    is nearer. At epsilon 1 an answer costs as much as one of MAD-argmax.

    All odds change, so that no equation stands. Yet the law of v is known, and what is mixed in has
    the same mean for all rows of a label: who averages over many rows learns more than labels.

    Verified: the budget, the label, that a repeat is told the same, and that nothing stands.

    Args:
        epsilon: L1 budget, from 0 to 2; 0 is no defense.
        grid: inputs are snapped to its multiples to draw v, where each number spans [-1, 1], so
            that a repeat with less jitter than that is answered with the same v.
    """

    epsilon: float
    grid: float

    traits = Traits({"perturbs"}, noise=NoiseModel("keyed"))
    harmless: ClassVar[dict[str, Any]] = {"epsilon": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"epsilon": (0.1, 0.25, 0.5, 1.0, 1.5, 2.0)}

    def __post_init__(self) -> None:
        check_number("keyed_mixture: epsilon", self.epsilon, 0, 2, hint="; 0 is no defense")
        check_number("keyed_mixture: grid", self.grid, 0, above=True, hint="; for example 1e-6")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key; need whole distributions."""
        victim.require_probabilities("keyed_mixture", full=True)
        self._key, self._space = rng.bytes(32), victim.space

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer mixtures; a row without outputs stays as it is."""
        if self.epsilon == 0:
            return reply

        def mix(rows: Rows, y: Array) -> Array:
            drawn = keyed_uniform(self._key, self._space.scaled(x[rows]), y.shape[1], self.grid)
            return mixed(y, drawn, self.epsilon)

        return reply.perturbed(mix, keep_labels=True)


def mixed(y: Array, drawn: Array, epsilon: float) -> Array:
    """(n, k) answers within epsilon of the true ones, y, from uniform draws (n, k) in (0, 1)."""
    rows, top = np.arange(len(y)), y.argmax(axis=1)
    v = normalised(-np.log(drawn.clip(1e-12, 1 - 1e-12)))
    largest = v.argmax(axis=1)
    v[rows, top], v[rows, largest] = v[rows, largest], v[rows, top]
    away = np.abs(v - y).sum(axis=1, keepdims=True)
    share = np.minimum(1.0, epsilon / np.maximum(away, np.finfo(np.float64).tiny))
    return normalised((1 - share) * y + share * v)
