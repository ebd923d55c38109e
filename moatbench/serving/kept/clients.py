"""Who asks a service: accounts by their keys, and how they stand at this moment."""

import time
from dataclasses import dataclass

from moatbench.serving.keys import Keys, shard_of
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Account, Store

_BEGUN = time.time() - time.monotonic()


def steady() -> float:
    """Return the time, as by a clock that nobody sets: deadlines go by it while a service runs."""
    return _BEGUN + time.monotonic()


@dataclass
class Client:
    """An account while the service runs."""

    account: Account
    queries: int
    refused: int
    waits_until: float
    alarm: int | None = None
    reserved: int = 0

    @property
    def left(self) -> int | None:
        """Queries left of its budget; None where it has none."""
        budget = self.account.budget
        return None if budget is None else max(0, budget - self.queries - self.reserved)

    @property
    def waits(self) -> float:
        """Seconds that it waits from now on; 0 or less is none."""
        return self.waits_until - steady()


class Clients(dict[int, Client]):
    """The accounts of a service, by their ids.

    Args:
        store: of the state.
        shard: whose keys alone are answered, where there are several; '' for all keys.
    """

    def __init__(self, store: Store, shard: str = "") -> None:
        super().__init__()
        self._store, self.by_key, self._shard = store, Keys(store), shard

    def of(self, key: bytes) -> Client:
        """Return who presents a key.

        Raises:
            Problem: 401, with one body for a wrong key, a revoked one and none. 421, the key is
                another shard's.
        """
        account = self.by_key.of(key)
        if self._shard:
            self._check_shard(shard_of(key), known=account is not None)
        if account is None:
            raise Problem(
                401,
                "unauthenticated",
                "a valid key must be sent; add the header Authorization: Bearer KEY",
                headers={"www-authenticate": "Bearer"},
            )
        return self.known(account)

    def _check_shard(self, named: str, *, known: bool) -> None:
        """See that a key is of this shard: another has the account's past, and counts its budget.

        A key that names no shard belongs to none, where it is known at all.
        """
        if named != self._shard and (named or known):
            told = f"this is shard {self._shard}, and the key names {named or 'none'}"
            raise Problem(421, "misdirected", f"{told}; have it sent to its own")

    def refresh(self) -> None:
        """See accounts that were made, or ended, by another process."""
        for account in self._store.accounts():
            self.known(account).account = account

    def known(self, account: Account) -> Client:
        """Return an account as it is at this moment."""
        known = self.get(account.id)
        if known is None:
            known = Client(account, account.queries, account.refused, account.waits_until)
            self[account.id] = known
        return known
