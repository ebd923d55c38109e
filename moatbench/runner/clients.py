"""Who stands before a deployment: customers who come and go, and whoever is none of them."""

from collections import Counter
from collections.abc import Mapping

import numpy as np

from moatbench.judge.accounts import Accounts
from moatbench.judge.customers.honest import ACCOUNTS, SHIFTED_ACCOUNTS, HonestTraffic
from moatbench.judge.trail import Trail
from moatbench.randomness import stream
from moatbench.types import Array, Rows


class Customers:
    """Those who ask all of the test data, and those whose inputs are unlike most.

    Args:
        trail: what they ask.
        budget: of the attack, in queries.
        seed: of all that an attacker must not know.
        far: rows of the test data that are unlike most.
    """

    def __init__(self, trail: Trail, budget: int, seed: int, far: Rows) -> None:
        token = Accounts.of(seed).tokens("customer")
        most = ACCOUNTS + SHIFTED_ACCOUNTS if trail.seats is None else trail.seats
        usual = min(ACCOUNTS, most)
        unlike = min(SHIFTED_ACCOUNTS, most - usual)
        self.honest = HonestTraffic(
            trail, budget, stream(seed, "honest"), accounts=usual, token=token
        )
        self.shifted = HonestTraffic.shifted(
            trail, budget, stream(seed, "shifted"), far, token, unlike
        )
        trail.customers = frozenset((*self.honest.tokens, *self.shifted.tokens))
        self._trail, self._order = trail, stream(seed, "arrivals")

    def come_early(self) -> None:
        """Let so many ask before the attack that its place among all accounts is a random one."""
        everybody = ACCOUNTS + SHIFTED_ACCOUNTS + 1
        order = self._order.permutation(everybody)
        before = order[: int(np.argmax(order == everybody - 1))]
        self.honest.come_early(int((before < ACCOUNTS).sum()))
        self.shifted.come_early(int((before >= ACCOUNTS).sum()))

    def keep_pace(self, queries: int) -> None:
        """Ask their share, as the attack has spent so much."""
        self.honest.keep_pace(queries)
        self.shifted.keep_pace(queries)

    def thieves(self) -> Mapping[str, int]:
        """Count the queries of each account that is no customer's, whatever a meter says."""
        known = {*self.honest.tokens, *self.shifted.tokens}
        return {a: n for a, n in self.asked().items() if a not in known and n}

    def asked(self) -> Mapping[str, int]:
        """Count the queries of every account."""
        asked: Counter[str] = Counter()
        for account, x in self._trail.asked:
            asked[account] += len(x)
        return asked


def own_copy(pool: Array) -> Array:
    """Copy the pool for one attack, which learns at once if it writes to it."""
    pool = pool.copy()
    pool.setflags(write=False)
    return pool
