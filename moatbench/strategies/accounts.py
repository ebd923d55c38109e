"""Which account an attacker with several asks a row from."""

from collections import deque
from collections.abc import Sequence
from math import inf

from moatbench.client import Answers, Card
from moatbench.learners.purchases import Purchases
from moatbench.strategies.shadow import Shadow
from moatbench.types import Array, Generator

CHOICE = 4  # accounts that a row is tried on at once


class Turns:
    """Accounts in turn, or at random; one that was refused is left out until all were.

    Args:
        names: of the accounts.
        rng: draws whose turn it is; None takes them in order.
    """

    def __init__(self, names: Sequence[str], rng: Generator | None) -> None:
        self._names, self._rng = names, rng
        self._live = deque(names)
        self._used: set[str] = set()
        self._refused: set[str] = set()

    @property
    def note(self) -> str:
        """Accounts used and refused."""
        return f"{len(self._used)} accounts, {len(self._refused)} of them refused"

    def account(self, x: Array, *, own: bool, may_wait: bool) -> str:
        """Name the account for a row (d,), the attack's own or benign."""
        if self._rng is not None:
            self._live.rotate(-int(self._rng.integers(len(self._live))))
        return self._live[0]

    def told(self, x: Array, account: str, answers: Answers) -> None:
        """Abandon an account that was refused."""
        self._used.add(account)
        if account in self._live:
            self._live.remove(account)
        if len(answers.x):
            self._live.append(account)
        else:
            self._refused.add(account)
        if not self._live:
            self._live = deque(self._names)


class Matched:
    """The account that a row puts furthest below the threshold of copied monitors.

    Args:
        names: of the accounts; one that has asked nothing yet is furthest below.
        shadow: the copies.
        turns: who is asked where there are no copies.
    """

    def __init__(self, names: Sequence[str], shadow: Shadow, turns: Turns, card: Card) -> None:
        self._names, self._shadow, self._turns = names, shadow, turns
        self._bought = Purchases(card)
        self._asked = dict.fromkeys(names, 0)
        self._resting: dict[str, float] = {}  # by how much a row of its own exceeded
        self._alarmed: list[str] = []  # as the copies say, and answered all the same
        self._refused: deque[str] = deque()

    @property
    def note(self) -> str:
        """Accounts used and refused, and what the copies said."""
        copies = self._shadow.problem or f"{len(self._alarmed)} in alarm by the copied monitors"
        return f"{self._turns.note}; {copies}"

    def account(self, x: Array, *, own: bool, may_wait: bool) -> str | None:
        """Name the account for a row (d,), the attack's own or benign.

        None asks for a benign row first, which it may only where there is one left.
        """
        if self._shadow.learn(self._bought):
            self._resting.clear()
        if self._shadow.problem:
            return self._turns.account(x, own=own, may_wait=may_wait)
        label = int(self._shadow.labels(x[None])[0])
        chosen = self._safe(x, label) if own else self._in_need(x, label)
        if chosen is None and own and may_wait:
            return None
        return chosen or self._least_bad()

    def told(self, x: Array, account: str, answers: Answers) -> None:
        """Show the copies what was asked; abandon an account that was refused."""
        self._turns.told(x, account, answers)
        self._asked[account] += 1
        self._bought.add(answers)
        answered = len(answers.x) > 0
        labels = answers.labels if answered else self._shadow.labels(x[None])
        self._shadow.observe(x, int(labels[0]), account)
        self._resting.pop(account, None)
        if not answered:
            self._alarmed = [a for a in self._alarmed if a != account]
            self._refused = deque([*(a for a in self._refused if a != account), account])
        elif self._excess(account) > 0 and account not in (*self._alarmed, *self._refused):
            self._alarmed.append(account)

    def _safe(self, x: Array, label: int) -> str | None:
        """Name the account that stays furthest below; those that would not, rest."""
        while tried := self._ranked(self._active)[:CHOICE]:
            foreseen = {a: self._shadow.foresee(x, label, a) for a in tried}
            self._resting |= {a: excess for a, excess in foreseen.items() if excess > 0}
            best = min(tried, key=lambda a: foreseen[a])  # of equals, the first in rank
            if foreseen[best] <= 0:
                return best
        return None

    def _in_need(self, x: Array, label: int) -> str | None:
        """Name the account nearest its threshold that a benign row does not put beyond it."""
        for among in (list(self._resting), self._active):
            for account in self._ranked(among)[: -CHOICE - 1 : -1]:
                if self._shadow.foresee(x, label, account) <= 0:
                    return account
        return None

    def _least_bad(self) -> str:
        """Name one that alarms cannot harm any more; else one that they harm least."""
        if self._alarmed:
            return self._alarmed[0]
        if self._resting:
            return min(self._resting, key=lambda a: self._resting[a])
        return [*self._ranked(self._active), *self._refused][0]

    @property
    def _active(self) -> list[str]:
        """Accounts that neither rest nor are in alarm."""
        out = {*self._resting, *self._alarmed, *self._refused}
        return [a for a in self._names if a not in out]

    def _ranked(self, accounts: Sequence[str]) -> list[str]:
        """Order by the last score, then by queries."""
        return sorted(accounts, key=lambda a: (self._excess(a), self._asked[a]))

    def _excess(self, account: str) -> float:
        return self._shadow.excess.get(account, -inf)


Sender = Turns | Matched
