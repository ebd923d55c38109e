"""The contract of a victim."""

import numpy as np

from moatbench.reply import Reply, concatenated
from moatbench.testing.evidence import BATCHES, difference, frozen, no_writing, traffic
from moatbench.types import Array
from moatbench.victim import Victim, reply_problem

CLOSE = 1e-12  # between answers to batches of different sizes: BLAS adds up in another order


def check_victim(victim: Victim) -> str:
    """It answers probabilities, the same to the same rows however batched, and writes to none."""
    for name in ("x_train", "pool", "x_test"):
        problem = victim.space.problem(getattr(victim.shares, name), victim.partial)
        assert not problem, f"shares.{name} is not what the victim's own API accepts: {problem}"
    x = traffic(victim)
    before = x.copy()
    whole = _predicted(victim, x)
    assert np.array_equal(x, before, equal_nan=True), "the victim wrote to the rows of a query"
    gap = difference(whole, _predicted(victim, x))
    assert not gap, f"asked the same twice, the victim answers otherwise: {gap}"
    for batch in BATCHES:
        parts = [_predicted(victim, x[i : i + batch]) for i in range(0, len(x), batch)]
        some = len({part.outputs is None for part in parts}) > 1
        assert not some, "outputs were answered to some batches only"
        gap = difference(whole, concatenated(parts), CLOSE)
        assert not gap, f"in batches of {batch}, the victim answers otherwise: {gap}"
    return ""


def _predicted(victim: Victim, x: Array) -> Reply:
    with no_writing("the victim"):
        reply = victim.predict(frozen(x))
    if problem := reply_problem(reply, len(x), len(victim.classes), full=victim.full):
        raise AssertionError(f"on mixed traffic, the victim's {problem}")
    return reply
