"""What a service keeps of each request before it is answered, and the past that it met before."""

import asyncio
import time
from collections.abc import Mapping

from moatbench.serving.deployment import Served, recount
from moatbench.serving.kept.clients import Client
from moatbench.serving.kept.repeats import Told
from moatbench.serving.meters import Meters
from moatbench.serving.store import Entry, Store
from moatbench.types import Array

Done = asyncio.Future[Told]


class Journal:
    """Writes down all that is ready at one time, at once; only then is any of it answered.

    Args:
        store: of the state.
        deployment: whose accounts they are.
        meters: that count.
    """

    def __init__(self, store: Store, deployment: Served, meters: Meters) -> None:
        self.store, self.deployment, self.meters = store, deployment, meters
        self._ready: list[tuple[Entry, Client, Done, Told]] = []

    @property
    def empty(self) -> bool:
        """Whether nothing waits to be written."""
        return not self._ready

    def add(
        self,
        client: Client,
        x: Array,
        refused: int,
        told: Told,
        done: Done,
        *,
        reply: bytes | None = None,
        repeat: tuple[str, bytes] | None = None,
    ) -> None:
        """Take down a request that was met; it is answered once it is kept.

        Args:
            client: who asked; counted already.
            x: (n, d) rows.
            refused: how many got no answer.
            told: status, content type and body.
            done: of the answer.
            reply: the model's own, where it varies.
            repeat: Idempotency-Key and hash of the body, where there is one.
        """
        again = None
        if repeat is not None:
            again = (*repeat, told[0], told[1].decode(), told[2])
        entry = Entry(
            client.account.id,
            time.time(),
            len(x),
            refused,
            client.waits_until,
            x if self.deployment.keeps == "rows" else None,
            reply,
            again,
            self._new_alarm(client),
        )
        self._ready.append((entry, client, done, told))
        if len(self._ready) == 1:
            asyncio.get_running_loop().call_soon(self._commit)

    def _new_alarm(self, client: Client) -> int | None:
        """Return the number of the query of an account's first alarm, where it is new."""
        watching = self.deployment.watching
        if client.alarm is not None or not watching.monitors:
            return None
        client.alarm = watching.alarm(client.account.token)
        if client.alarm is not None:
            names = [type(m).__name__ for m in watching.monitors]
            self.meters.alarm("+".join(names))
        return client.alarm

    def _commit(self) -> None:
        ready, self._ready = self._ready, []
        begun = time.perf_counter()
        problem: Exception | None = None
        try:
            self.store.write([entry for entry, *_ in ready])
        except Exception as error:  # a full disk: what is not kept is not told
            problem = error
        self.meters.log.observe(time.perf_counter() - begun)
        for entry, client, done, told in ready:
            if problem is None:
                self.meters.answered(entry.rows, entry.refused)
            else:  # nobody pays for it
                client.queries -= entry.rows
                client.refused -= entry.refused
                client.alarm = None if entry.alarm is not None else client.alarm
            if done.cancelled():
                continue
            if problem is None:
                done.set_result(told)
            else:
                done.set_exception(problem)

    def replay(self, clients: Mapping[int, Client], d: int) -> int:
        """Meet the past again, rows of d columns; return how many queries that was."""
        accounts = {number: client.account for number, client in clients.items()}
        total = 0
        if self.deployment.keeps == "counts":
            for account in accounts.values():
                recount(self.deployment, account.token, account.queries)
                total += account.queries
        elif self.deployment.keeps == "rows":
            log = self.store.logged(d)
            total = self.deployment.replay((accounts[a].token, t, x, r) for a, t, x, r in log)
        for number, (_, queries) in self.store.alarms().items():
            clients[number].alarm = queries
        return total
