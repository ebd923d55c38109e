"""Refuse invalid inputs: no answer to rows that no honest client can send.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", whose equation
solver asks points of the cube, in which a category may be half one value and half another.
Read: text.
"""

from dataclasses import dataclass

from moatbench.defense import Defense
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim


@dataclass
class RefuseInvalid(Defense):
    """Admit rows only whose one-hot groups are one-hot; a feature left out is not invalid.

    Values out of range and broken category codes never come this far: the API rejects the query.
    Where no feature is one-hot, every row is valid.
    """

    traits = Traits({"refuses"})

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Look up the input space."""
        self._space = victim.space

    def admit(self, x: Array, account: str) -> Mask:
        """Admit valid rows."""
        return self._space.valid(x)
