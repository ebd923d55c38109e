"""What watches the queries of each account, and tells who looks like a thief."""

from copy import copy, deepcopy
from math import inf
from typing import ClassVar

import numpy as np

from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim


class Monitor:
    """The monitor that nothing alarms, and the base of all others; a response does the rest.

    A subclass that keeps what it knows of accounts in a dict `_accounts`, by name, is cheap to
    `peek` at.

    Attributes:
        keeps: what it must keep of earlier queries, `counts` or `rows`.
        shared: whether one account's queries may put another in alarm.
        threshold: the score that an account in alarm has exceeded.
    """

    keeps: ClassVar[str] = "rows"
    shared: ClassVar[bool] = False
    threshold: float = 0.0

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Start afresh in front of `victim`: forget every account, calibrate."""

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows.

        How the rows were batched makes no difference.
        """
        return np.zeros(len(x), dtype=bool)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) how suspicious these rows make the account; -inf where no test is due.

        The account has asked them then: call it in place of `observe`, not beside it. Without a
        score of its own, a monitor tells alarms alone: infinity, whatever the threshold.
        """
        return np.where(self.observe(x, labels, account), inf, -inf)

    def peek(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) what `score` would tell; the account has not asked the rows."""
        accounts = getattr(self, "_accounts", None)
        if accounts is None:
            return deepcopy(self).score(x, labels, account)
        twin = copy(self)
        known = {account: accounts[account]} if account in accounts else {}
        twin.__dict__["_accounts"] = deepcopy(known)
        return twin.score(x, labels, account)
