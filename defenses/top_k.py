"""Top-k: the confidences of the likeliest classes only.

Source: Orekondy et al. 2019, "Knockoff Nets", arXiv:1812.02766 (truncated posteriors).
Read: authors' code.
"""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from moatbench.defense import Defense
from moatbench.inverses.coarse import truncated
from moatbench.inverses.origins import Origins
from moatbench.knobs import check_flag, check_whole
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply, has_outputs
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass(frozen=True)
class TopK(Defense):
    """Keep the k largest outputs and set the others to zero.

    Every pair that is kept still tells its exact log-odds.

    Args:
        k: how many to keep, at least 1; from the number of classes on, nothing changes. Of equal
            outputs the first classes stay.
        renormalise: whether the kept outputs are scaled to sum to one. The literature has both
            conventions: the code of Knockoff Nets and of ModelGuard leaves them as they are.
    """

    k: int
    renormalise: bool

    traits = Traits({"truncates"})
    harmless: ClassVar[dict[str, Any]] = {"k": 10**6}
    strengths: ClassVar[dict[str, Any]] = {"k": (1, 2, 3, 5)}

    def __post_init__(self) -> None:
        check_whole("top_k: k", self.k, 1, hint="; for no confidences at all use label_only")
        check_flag("top_k: renormalise", self.renormalise)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Need probabilities."""
        victim.require_probabilities("top_k")

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Answer the k largest outputs of each row."""
        outputs = reply.outputs
        if outputs is None or self.k >= outputs.shape[1]:
            return reply
        top = np.argsort(-outputs, axis=1, kind="stable")[:, : self.k]
        kept = np.zeros_like(outputs)
        np.put_along_axis(kept, top, np.take_along_axis(outputs, top, axis=1), axis=1)
        kept[~has_outputs(outputs)] = np.nan
        return reply.with_outputs(normalised(kept) if self.renormalise else kept)

    def inverse(self, told: Origins, guess: Array | None = None) -> Origins:
        """Bound the classes left out by the least that was kept."""
        return truncated(told, self.k, self.renormalise)
