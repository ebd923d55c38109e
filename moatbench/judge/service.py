"""The defense that a service has of its own: known by what its accounts are told."""

import numpy as np

from moatbench.client import Answers
from moatbench.defense import Defense
from moatbench.remote.client import Client
from moatbench.remote.guarded import Guarded
from moatbench.traits import Traits
from moatbench.types import Array, Generator
from moatbench.victim import NotApplicable, Victim


class OwnDefense(Defense):
    """What a service does to answers, whatever that is. A copy without it does nothing.

    Args:
        outputs: whether the service answers any.
        keys: of attacks' accounts; with several, attacks may spread over them, as it may watch.
    """

    def __init__(self, *, outputs: bool = True, keys: int = 1) -> None:
        self._outputs, self._keys = outputs, keys
        self._guarded: Guarded | None = None
        self._clients: dict[str, Client] = {}
        self._waited = 0.0

    @property
    def traits(self) -> Traits:
        """It may do anything, and remember all."""
        kinds = {"other", "watches"} if self._keys > 1 else {"other"}
        return Traits(kinds, keeps_labels=False, confidences=self._outputs, memory="rows")

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Meet the service, with keys for accounts that are new."""
        found = victim.predict
        self._guarded = found if isinstance(found, Guarded) else None
        self._clients, self._waited = {}, 0.0

    def answers(self, x: Array, account: str, *, customer: bool) -> Answers:
        """Buy answers to (n, d) rows with the key of an account.

        Raises:
            NotApplicable: there are more accounts than keys.
            Stopped: the service answers no more, or a cap is reached.
        """
        assert self._guarded is not None
        endpoint = self._guarded.endpoint
        client = self._client(account, customer=customer)
        before = client.waited
        with endpoint.through(client):
            told = endpoint.fresh(x)
        self._waited += client.waited - before
        assert endpoint.reading is not None
        reply = endpoint.reading.some(told)
        given = np.ones(len(x), bool) if reply.refused is None else ~reply.refused
        kept = reply.take(given)
        return Answers(x[given], np.flatnonzero(given), kept.labels, kept.outputs, kept.path)

    def wait(self, n: int, account: str) -> float:
        """Tell how long the service let an account wait for the rows that it has just asked."""
        waited, self._waited = self._waited, 0.0
        return waited

    def _client(self, account: str, *, customer: bool) -> Client:
        assert self._guarded is not None
        ring = self._guarded.customers if customer else self._guarded.thieves
        if account not in self._clients:
            others = sum(client in ring.clients for client in self._clients.values())
            if others >= len(ring):
                raise NotApplicable(
                    f"each account must have a key of its own, and {ring.knob} names {len(ring)}; "
                    "name "
                    "more, or let the attack use fewer (attack.accounts)"
                )
            self._clients[account] = ring.next()
        return self._clients[account]
