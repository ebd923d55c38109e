"""A served defense: who asks, what is left to them, what they are told, and that it is kept."""

import asyncio
import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from moatbench.client import Answers, Card
from moatbench.serving.deployment import Served, packed, recount
from moatbench.serving.keys import Keys
from moatbench.serving.meters import Meters
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Account, Entry, Store
from moatbench.types import Array

PATIENCE = 1.0  # seconds that the server waits in a client's place
FAST = 0.002  # seconds that an answer may take on the event loop; a longer one has a thread
MOST_WAITING = 1000  # requests before a model that is slow
BLOCK = 64  # rows, about, that take a model as long as one

Told = tuple[int, bytes, bytes]  # status, content type, body
Found = tuple[Answers, float, bytes | None] | Exception  # seconds to wait, the model's own reply


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


class _Job(NamedTuple):
    client: Client
    x: Array
    written: Callable[[Answers], Told]
    repeat: tuple[str, bytes] | None
    done: "asyncio.Future[Told]"


class Service:
    """Answers the requests of accounts, in order, and commits each before it is answered.

    Args:
        deployment: freshly deployed, with the secret of the state; the past is replayed through it.
        store: of the state.
        price: US dollars an answer.
        apart: whether the model must be asked from a thread, as it answers on the event loop.
    """

    def __init__(
        self, deployment: Served, store: Store, price: float = 0.0, *, apart: bool = False
    ) -> None:
        self.deployment, self.store = deployment, store
        self.card: Card = deployment.card(price)
        self.keys, self.meters = Keys(store), Meters()
        self.clients: dict[int, Client] = {}
        self.draining = False
        self._thread = ThreadPoolExecutor(1, "defense")
        self._jobs: list[_Job] = []
        self._worker: asyncio.Task[None] | None = None
        self._entries: list[tuple[Entry, _Job, Told]] = []
        self._flying: dict[tuple[int, str], asyncio.Future[Any]] = {}
        self.replayed = self._replay()
        self._apart, self._seconds = apart, self._measured()

    # ---- who asks ---------------------------------------------------------------------------

    def client(self, key: bytes) -> Client:
        """Return who presents a key.

        Raises:
            Problem: 401, with one body for a wrong key, a revoked one and none.
        """
        account = self.keys.of(key)
        if account is None:
            raise Problem(
                401,
                "unauthenticated",
                "a valid key must be sent; add the header Authorization: Bearer KEY",
                headers={"www-authenticate": "Bearer"},
            )
        return self.known(account)

    def refresh(self) -> None:
        """See accounts that were made, or ended, by another process."""
        for account in self.store.accounts():
            self.known(account).account = account

    def known(self, account: Account) -> Client:
        """Return an account as it is at this moment."""
        known = self.clients.get(account.id)
        if known is None:
            known = Client(account, account.queries, account.refused, account.waits_until)
            self.clients[account.id] = known
        return known

    # ---- what they are told -----------------------------------------------------------------

    async def ask(
        self,
        client: Client,
        x: Array,
        written: Callable[[Answers], Told],
        repeat: tuple[str, bytes] | None = None,
    ) -> Told:
        """Answer rows (n, d); return status, content type and body, once they are kept.

        Args:
            client: who asks.
            x: (n, d) valid rows.
            written: makes status, type and body of answers.
            repeat: Idempotency-Key and hash of the body, where there is one.

        Raises:
            Problem: 402, 429 or 503; nothing was asked.
        """
        if client.left is not None and len(x) > client.left:
            raise Problem(
                402,
                "budget",
                f"the budget of this key is {client.account.budget} rows, of which {client.left} "
                f"are left, and {len(x)} were asked; ask fewer, or have the budget raised",
            )
        await self._patience(client)
        self._check_ready()
        done: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        job = _Job(client, x, written, repeat, done)
        client.reserved += len(x)
        fast = not self._apart and self._seconds * max(1.0, len(x) / BLOCK) < FAST
        if fast and self._worker is None:
            self._finish(job, self._answered(job))
        else:
            self._jobs.append(job)
            if self._worker is None:
                self._worker = asyncio.create_task(self._work())
        return await done

    def repeated(self, client: Client, key: str, digest: bytes) -> Told | None:
        """Return what was answered under an Idempotency-Key; None where nothing was.

        Raises:
            Problem: 409, it was sent with another body.
        """
        found = self.store.repeated(client.account.id, key)
        if found is None:
            return None
        if found[0] != digest:
            raise Problem(
                409,
                "idempotency-key",
                "an Idempotency-Key must go with one body, and this one went with another; send "
                "a new key",
            )
        return found[1], found[2].encode(), found[3]

    async def alone(self, client: Client, key: str) -> Callable[[], None]:
        """Wait until no other request with this Idempotency-Key is under way; return what ends."""
        name = client.account.id, key
        while name in self._flying:
            with suppress(Exception):
                await asyncio.shield(self._flying[name])
        mine = self._flying[name] = asyncio.get_running_loop().create_future()

        def ended() -> None:
            self._flying.pop(name, None)
            mine.set_result(None)

        return ended

    async def _patience(self, client: Client) -> None:
        """Wait in the client's place, up to a second in all."""
        waited = 0.0
        while (left := client.waits_until - time.time()) > 0:
            if left + waited > PATIENCE:
                raise Problem(
                    429,
                    "waiting",
                    f"this account waits for {left:.0f} s more; come back then",
                    headers={"retry-after": str(ceil(left))},
                )
            waited += left
            await asyncio.sleep(left)

    def _check_ready(self) -> None:
        if self.draining or len(self._jobs) >= MOST_WAITING:
            why = "is being stopped" if self.draining else "has too many requests waiting"
            raise Problem(
                503,
                "unavailable",
                f"the service {why}; come back later",
                headers={"retry-after": "1"},
            )

    # ---- the model, the defense -------------------------------------------------------------

    def _answered(self, job: _Job) -> Found:
        """Ask model and defense; in one thread at a time."""
        begun = time.perf_counter()
        self.deployment.replied = None
        try:
            answers, seconds = self.deployment.serve(job.x, job.client.account.token)
        except Exception as error:
            return error
        took = time.perf_counter() - begun
        self.meters.defense.observe(took)
        whole = max(1.0, len(job.x) / BLOCK)
        self._seconds += 0.1 * (took / whole - self._seconds)
        return answers, seconds, packed(self.deployment.replied) if self.deployment.varies else None

    async def _work(self) -> None:
        """Answer what waits, many requests in one call of the model, then each in its order."""
        try:
            while self._jobs:
                jobs, self._jobs = self._jobs, []
                loop = asyncio.get_running_loop()
                for job, found in await loop.run_in_executor(self._thread, self._together, jobs):
                    try:
                        self._finish(job, found)
                    except Exception as error:  # of one request: the others go on
                        job.done.set_exception(error)
        finally:
            self._worker = None

    def _together(self, jobs: Sequence[_Job]) -> list[tuple[_Job, Found]]:
        if len(jobs) > 1:
            with suppress(Exception):  # each is asked by itself then, and fails by itself
                self.deployment.know(np.concatenate([job.x for job in jobs]))
        try:
            return [(job, self._answered(job)) for job in jobs]
        finally:
            self.deployment.forget()

    def _measured(self) -> float:
        """Return the seconds that the model takes for a row, or a block."""
        x = self.deployment.victim.space.sample(1, np.random.default_rng(0))
        times = []
        for _ in range(3):
            begun = time.perf_counter()
            self.deployment.victim.predict(x)
            times.append(time.perf_counter() - begun)
        return min(times)

    # ---- what is kept -----------------------------------------------------------------------

    def _finish(self, job: _Job, found: Found) -> None:
        """Count, and write down with all else that is ready; only then is it answered."""
        client, n = job.client, len(job.x)
        client.reserved -= n
        if isinstance(found, Exception):
            job.done.set_exception(found)
            return
        answers, seconds, reply = found
        now, refused = time.time(), n - len(answers.rows)
        client.queries += n
        client.refused += refused
        if seconds:
            client.waits_until = max(now, client.waits_until) + seconds
        told = job.written(answers)
        repeat = None
        if job.repeat is not None:
            repeat = (*job.repeat, told[0], told[1].decode(), told[2])
        entry = Entry(
            client.account.id,
            now,
            n,
            refused,
            client.waits_until,
            job.x if self.deployment.keeps == "rows" else None,
            reply,
            repeat,
            self._new_alarm(client),
        )
        self._entries.append((entry, job, told))
        if len(self._entries) == 1:
            asyncio.get_running_loop().call_soon(self._commit)
        self.meters.answered(n, refused)

    def _new_alarm(self, client: Client) -> int | None:
        """Return the number of the query of an account's first alarm, where it is new."""
        if client.alarm is not None:
            return None
        client.alarm = self.deployment.watching.alarm(client.account.token)
        if client.alarm is not None:
            names = [type(m).__name__ for m in self.deployment.watching.monitors]
            self.meters.alarm("+".join(names))
        return client.alarm

    def _commit(self) -> None:
        ready, self._entries = self._entries, []
        begun = time.perf_counter()
        problem: Exception | None = None
        try:
            self.store.write([entry for entry, _, _ in ready])
        except Exception as error:  # a full disk: what is not kept is not told
            problem = error
        self.meters.log.observe(time.perf_counter() - begun)
        for _, job, told in ready:
            if job.done.cancelled():
                continue
            if problem is None:
                job.done.set_result(told)
            else:
                job.done.set_exception(problem)

    def _replay(self) -> int:
        """Meet the past again; return how many queries that was."""
        accounts = {a.id: a for a in self.store.accounts()}
        for account in accounts.values():
            self.known(account)
        total = 0
        if self.deployment.keeps == "counts":
            for account in accounts.values():
                recount(self.deployment, account.token, account.queries)
                total += account.queries
        elif self.deployment.keeps == "rows":
            log = self.store.logged(self.card.space.d)
            total = self.deployment.replay((accounts[a].token, t, x, r) for a, t, x, r in log)
        for number, (_, queries) in self.store.alarms().items():
            self.clients[number].alarm = queries
        return total

    async def drain(self) -> None:
        """Take no more; finish what is under way."""
        self.draining = True
        while self._worker is not None or self._entries:
            await asyncio.sleep(0.01)


def digest_of(path: str, body: bytes) -> bytes:
    """Tell one request from another."""
    return hashlib.sha256(path.encode() + b"\n" + body).digest()
