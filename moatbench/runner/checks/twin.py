"""A twin of what is attacked, that no attack has met: deployed as a run does, asked as nobody."""

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.origin import ours
from moatbench.defense import Defense
from moatbench.judge.accounts import Accounts
from moatbench.judge.trail import Trail, as_told
from moatbench.runner.secret import stream_of
from moatbench.types import Array, Mask
from moatbench.victim import Victim

SAME = 1e-9  # a victim's own answers may differ in their last digits, by the batch


def twin(victim: Victim, layer: Defense, seed: int, key: str = "selfcheck") -> Trail:
    """Deploy a layer as a run does; `key` names the stream that it draws from."""
    return Trail(victim, layer, stream_of(layer, seed, key), singly=not ours(layer))


def nobody(seed: int, name: str = "") -> str:
    """Return an account that has asked nothing yet, as a run names accounts."""
    return Accounts.of(seed).token("selfcheck", name)


def told(deployment: Deployment, x: Array, account: str) -> Array:
    """Ask rows; return what they were told, as `as_told` does."""
    return as_told(deployment.answer(x, account), len(x), len(deployment.victim.classes))


def same(one: Array, two: Array, tolerance: float) -> Mask:
    """(n,) whether rows of `told` have the same label, and outputs within the tolerance."""
    within = np.isclose(one, two, rtol=0, atol=tolerance, equal_nan=True).all(axis=1)
    return np.asarray(within)
