"""A served defense: what accounts are told, in order, and that it is kept before it is told."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from math import ceil
from typing import NamedTuple

import numpy as np

from moatbench.client import Answers, Card
from moatbench.serving.deployment import Served, packed
from moatbench.serving.kept.clients import Client, Clients, steady
from moatbench.serving.kept.counts import Counts
from moatbench.serving.kept.journal import Done, Journal
from moatbench.serving.kept.repeats import Repeats, Told
from moatbench.serving.meters import Meters
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Store
from moatbench.types import Array

PATIENCE = 1.0  # seconds that the server waits in a client's place
FAST = 0.002  # seconds that an answer may take on the event loop; a longer one has a thread
SPIKE = 4  # times as long as usual: what takes longer was held up by something else
MOST_WAITING = 1000  # requests before a model that is slow
BLOCK = 64  # rows, about, that take a model as long as one

Found = tuple[Answers, float, bytes | None] | Exception  # seconds to wait, the model's own reply


class _Job(NamedTuple):
    client: Client
    x: Array
    written: Callable[[Answers], Told]
    repeat: tuple[str, bytes] | None
    done: Done


class Service:
    """Answers the requests of accounts, in order, and commits each before it is answered.

    Args:
        deployment: freshly deployed, with the secret of the state; the past is replayed through it.
        store: of the state.
        price: US dollars an answer.
        apart: whether the model must be asked from a thread, as it answers on the event loop.
        counts: of rows, where several processes share them.
        shard: the name of this one, where accounts are spread over several.

    Raises:
        ValueError: they share counts, and the defense remembers more than the row at hand; or
            accounts, of which the defense compares one with another.
    """

    def __init__(
        self,
        deployment: Served,
        store: Store,
        price: float = 0.0,
        *,
        apart: bool = False,
        counts: Counts | None = None,
        shard: str = "",
    ) -> None:
        if shard and deployment.defense.traits.shared:
            raise ValueError(
                "shard= suits defenses that treat accounts apart, got "
                f"{type(deployment.defense).__name__}, in which one account's queries change what "
                "another is told; leave it out, and serve from one process"
            )
        if counts is not None and deployment.keeps != "none":
            raise ValueError(
                "counts in PostgreSQL suit defenses that remember nothing of an account, got "
                f"{type(deployment.defense).__name__}, of which replicas would each know a part"
            )
        self.counts = counts
        self.deployment, self.store = deployment, store
        self.card: Card = deployment.card(price)
        self.meters, self.clients, self.repeats = Meters(), Clients(store, shard), Repeats(store)
        self.draining = False
        self._journal = Journal(store, deployment, self.meters)
        self._thread = ThreadPoolExecutor(1, "defense")
        self._jobs: list[_Job] = []
        self._worker: asyncio.Task[None] | None = None
        self.clients.refresh()
        self.replayed = self._journal.replay(self.clients, self.card.space.d)
        self._apart, self._seconds = apart, self._measured()

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
        _check_budget(client, len(x))
        if client.waits_until:
            await _patience(client)
            _check_budget(client, len(x))  # others of the account may have waited as well
        self._check_ready()
        if self.counts is not None:
            await self.counts.take(client.account, len(x))
        done: Done = asyncio.get_running_loop().create_future()
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

    async def drain(self) -> None:
        """Take no more; finish what is under way."""
        self.draining = True
        while self._worker is not None or not self._journal.empty:
            await asyncio.sleep(0.01)

    def _check_ready(self) -> None:
        if self.draining or len(self._jobs) >= MOST_WAITING:
            why = "is being stopped" if self.draining else "has too many requests waiting"
            raise Problem(
                503,
                "unavailable",
                f"the service {why}; come back later",
                headers={"retry-after": "1"},
            )

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
        usual = min(took / max(1.0, len(job.x) / BLOCK), SPIKE * self._seconds)
        self._seconds += 0.1 * (usual - self._seconds)
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

    def _finish(self, job: _Job, found: Found) -> None:
        """Count, and have it written down with all else that is ready."""
        client, n = job.client, len(job.x)
        client.reserved -= n
        if isinstance(found, Exception):
            job.done.set_exception(found)
            return
        answers, seconds, reply = found
        refused = n - len(answers.rows)
        client.queries += n
        client.refused += refused
        if seconds:
            client.waits_until = max(steady(), client.waits_until) + seconds
        told = job.written(answers)
        self._journal.add(client, job.x, refused, told, job.done, reply=reply, repeat=job.repeat)


def _check_budget(client: Client, n: int) -> None:
    """Refuse n rows that are more than is left, what is under way counted."""
    if client.left is not None and n > client.left:
        raise Problem(
            402,
            "budget",
            f"the budget of this key is {client.account.budget} rows, of which {client.left} "
            f"are left, and {n} were asked; ask fewer, or have the budget raised",
        )


async def _patience(client: Client) -> None:
    """Wait in a client's place, up to a second in all."""
    waited = 0.0
    while (left := client.waits) > 0:
        if left + waited > PATIENCE:
            raise Problem(
                429,
                "waiting",
                f"this account waits for {left:.0f} s more; come back then",
                headers={"retry-after": str(ceil(left))},
            )
        waited += left
        await asyncio.sleep(left)
