"""Shuffle: the confidences of all classes but the label's, in a random order.

Source: a control; PRADA's released code (Juuti et al. 2019, arXiv:1805.02628) answers an account in
alarm with its top three shuffled.
Read: authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.coarse import shuffled
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_number
from moatbench.numerics.keyed import keyed_uniform
from moatbench.reply import Reply
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass
class Shuffle(Defense):
    """Permute the outputs beside the label's; the label and its confidence stay.

    The permutation, uniform over all (k - 1)!, is a function of the input under a secret key drawn
    at deployment: a repeat learns nothing. The confidence of the label, and the values of the
    others as a set, are told exactly.

    Args:
        grid: inputs are snapped to its multiples to draw the permutation, where each
            number spans [-1, 1], so that a repeat with less jitter than that is permuted alike.
    """

    grid: float

    traits = Traits({"perturbs"}, noise=NoiseModel("keyed"))

    def __post_init__(self) -> None:
        check_number("shuffle: grid", self.grid, 0, above=True, hint="; for example 1e-6")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Draw the key; need two classes to swap beside the label's."""
        victim.require_probabilities("shuffle", classes=3)
        self._key, self._space = rng.bytes(32), victim.space

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer shuffled outputs."""
        if reply.outputs is None:
            return reply
        n, k = reply.outputs.shape
        rows = np.arange(n)[:, None]
        # Sorted by "is it the label", stably: the others in order, then the label
        others = np.argsort(np.arange(k) == reply.labels[:, None], axis=1, kind="stable")[:, :-1]
        drawn = keyed_uniform(self._key, self._space.scaled(x), k - 1, self.grid)
        order = np.argsort(drawn, axis=1)
        outputs = reply.outputs.copy()
        outputs[rows, others] = reply.outputs[rows, others[rows, order]]
        return reply.with_outputs(outputs)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {"shuffle": cls(1e-6)}

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Know the values beside the label's as a set."""
        return shuffled(told)
