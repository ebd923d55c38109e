"""ModelGuard-W: the answers of least likelihood under the truth, within an L1 budget.

Source: Tang et al. 2024, "ModelGuard: Information-Theoretic Defense Against Model Extraction
Attacks" (USENIX Security), with the constants of the authors' code.
Read: authors' code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
from scipy.optimize import Bounds, milp

from moatbench.defense import Defense
from moatbench.inverses.moves import least_likely_moves
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_number
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply, has_outputs
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim

FLOOR = 1e-6  # added to a probability before its logarithm
LEAD = 1e-4  # of the top class over each other
REMEMBERED = 2**16  # answers


@dataclass
class ModelGuardW(Defense):
    """Minimise sum_k y'_k log(y_k + 1e-6) within ||y' - y||_1 <= epsilon; the top class stays.

    A linear program a row, over the simplex, in which the top class leads each other by 1e-4 (by
    what it led, where that was less). It is a function of the true answer alone: equal answers are
    computed once, and a table of pairs inverts much of it. Where two solutions are equally good,
    the solver's choice is repeatable.

    Verified: against the best of all vertices of the polytope, for up to four classes; of two
    classes, epsilon 1 and more always tells (0.50005, 0.49995), which is label-only.

    Args:
        epsilon: L1 budget, from 0 to 2; 0 is no defense.
    """

    epsilon: float

    traits = Traits({"perturbs"})
    harmless: ClassVar[dict[str, Any]] = {"epsilon": 0.0}
    strengths: ClassVar[dict[str, Any]] = {"epsilon": (0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0)}

    def __post_init__(self) -> None:
        check_number("modelguard_w: epsilon", self.epsilon, 0, 2, hint="; 0 is no defense")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget what was computed; need whole distributions."""
        victim.require_probabilities("modelguard_w", full=True)
        self._solved = lru_cache(REMEMBERED)(self._solve)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer perturbed outputs; a row without outputs stays as it is."""
        if reply.outputs is None or self.epsilon == 0:
            return reply
        outputs = reply.outputs.copy()
        for row in np.flatnonzero(has_outputs(outputs)):
            outputs[row] = self._solved(outputs[row].tobytes())
        return reply.with_outputs(outputs)

    @classmethod
    def published(cls) -> Mapping[str, Defense]:
        """Return it as it is looked for by whoever isn't told of it."""
        return {"modelguard_w": cls(1.0)}

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Undo the moves, for each choice of classes that may have been moved."""
        return least_likely_moves(told, self.epsilon, LEAD)

    def _solve(self, answer: bytes) -> Array:
        return least_likely(np.frombuffer(answer), self.epsilon)


def least_likely(y: Array, epsilon: float) -> Array:
    """(k,) the answer told for the true one, y (k,)."""
    k, top = len(y), int(y.argmax())
    others = np.delete(np.arange(k), top)
    lead = np.minimum(LEAD, y[top] - y[others])
    # y' = y + up - down: the budget, the lead of the top class, and the sum, of the 2k moves
    over, once = np.eye(k)[others] - np.eye(k)[top], np.ones(k)
    moves = np.vstack([[*once, *once], np.hstack([over, -over]), [*once, *-once]])
    most = np.array([epsilon, *(y[top] - y[others] - lead), 0.0])
    least = np.where(np.arange(len(most)) < len(most) - 1, -np.inf, 0.0)
    cost = np.log(y + FLOOR)
    # A linear program: `linprog` calls the same solver, and needs half as much time again
    found = milp(
        np.concatenate([cost, -cost]),
        constraints=(moves, least, most),
        bounds=Bounds(0, np.concatenate([once, y])),
    )
    if not found.success:  # y itself is feasible: only numerical trouble leads here
        return y
    told: Array = normalised((y + found.x[:k] - found.x[k:]).clip(0)[None])[0]
    # The solver's tolerance is 1e-7; the budget is kept exactly
    excess = np.abs(told - y).sum()
    if excess > epsilon:
        told = y + epsilon / excess * (told - y)
    return told if told.argmax() == top else y
