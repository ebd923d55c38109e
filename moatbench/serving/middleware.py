"""A defense around an ASGI application that predicts, such as MLflow's scoring server."""

import asyncio
import hashlib
import logging
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.serving.deployment import Served
from moatbench.serving.front import ASGI, Front, Limits, Receive, Scope, Send, reply, said
from moatbench.serving.inner import PROTOCOLS, Inner
from moatbench.serving.kept.clients import Client
from moatbench.serving.kept.counts import Counts
from moatbench.serving.keys import digest, presented
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.service import Service
from moatbench.serving.state import State
from moatbench.serving.store import Store
from moatbench.space import InputSpace
from moatbench.victim import Shares, Victim

log = logging.getLogger(__name__)

OPEN = ("/ping", "/health", "/version", "/v2", "/v2/health/live", "/v2/health/ready")
TRIED = 64  # rows that the application is tried with


def protect(
    app: ASGI,
    *,
    defense: Defense,
    space: InputSpace,
    classes: Sequence[str] | None = None,
    shares: Shares | None = None,
    protocol: str = "mlflow",
    name: str = "model",
    state: str | Path | None = None,
    account: Callable[[Scope], str] | None = None,
    limits: Limits | None = None,
    passes: Sequence[str] = OPEN,
    counts: Counts | None = None,
) -> "Protected":
    """Put a defense before an application.

    Clients are answered in both protocols. The application is asked rows that the defense admits;
    of its other routes, none is reached but those in `passes`.

    Args:
        app: speaks MLflow's protocol or v2; `mlflow.pyfunc.scoring_server.init(model)` is one.
        defense: what stands before it; deployed with the first request.
        space: of the rows, in the owner's units and names.
        classes: in the order of its probabilities; None calls them 0..k-1. Answers that are labels
            alone need them.
        shares: the data that monitors are calibrated on; others do without.
        protocol: `mlflow` or `v2`, in which the application is asked.
        name: of the model, in routes of v2.
        state: folder of accounts and past, as of `moatbench-serve`; keys are then asked for. None
            remembers until the process ends, and draws the secret anew.
        account: tells whose a request is, without `state`; None goes by the key that is sent, or
            by the address where there is none.
        limits: of a request.
        passes: paths that are read from the application as they are.
        counts: of rows by key, which replicas share in PostgreSQL; for defenses that remember
            nothing.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be {' or '.join(PROTOCOLS)}, got {protocol!r}")
    inner = Inner(app, space, protocol, name, classes)
    return Protected(inner, defense, shares, state, account, limits, passes, counts)


class Protected:
    """The application as its clients meet it; see `protect`."""

    def __init__(
        self,
        inner: Inner,
        defense: Defense,
        shares: Shares | None,
        state: str | Path | None,
        account: Callable[[Scope], str] | None,
        limits: Limits | None,
        passes: Sequence[str],
        counts: Counts | None = None,
    ) -> None:
        self._inner, self._defense, self._shares = inner, defense, shares
        self._state, self._account, self._limits = state, account, limits
        self._passes, self._counts = frozenset(passes), counts
        self._front: Front | None = None
        self._held: State | None = None
        self._deploying: asyncio.Lock | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reads = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if scope["type"] != "http" or (reads and scope["path"] in self._passes):
            await self._inner.app(scope, receive, send)
            return
        self._inner.loop = asyncio.get_running_loop()
        if self._front is None:
            self._deploying = self._deploying or asyncio.Lock()
            try:
                async with self._deploying:
                    if self._front is None:
                        await self._deploy()
            except Exception as error:
                log.exception("the defense cannot be deployed")
                told = Problem(500, "failed", "the service cannot begin; its log says why")
                told = error if isinstance(error, Problem) else told
                await reply(send, said(told, scope["path"]), told.headers)
                return
        assert self._front is not None
        await self._front(scope, receive, send)

    async def _deploy(self) -> None:
        """Deploy in a thread: a defense asks the model meanwhile, which answers on this loop."""
        self._front = await self._inner.loop.run_in_executor(None, self._made)

    def _made(self) -> Front:
        inner = self._inner
        shares = self._shares or self._unknown()
        victim = Victim(shares, inner.predict)
        store, secret = Store(None), secrets.randbits(256)
        if self._state is not None:
            state = self._held = self._held or State(Path(self._state))
            state.adopt({"defense": _known(self._defense), "space": _known(inner.space)})
            store, secret = state.store, state.secret()
        deployment = Served(victim, self._defense, np.random.default_rng(secret), whole=False)
        service = Service(deployment, store, apart=True, counts=self._counts)
        columns = Columns(inner.space, service.card.partial)
        who = None if self._state is not None else self._who(service)
        return Front(service, columns, inner.name, self._rest, self._limits, who)

    def _unknown(self) -> Shares:
        """Return shares of an application whose data nobody told: rows to try it with, no more."""
        space = self._inner.space
        x = space.sample(TRIED, np.random.default_rng(0))
        classes, none = self._inner.tried(x), np.empty((0, space.d))
        labels: Reply = self._inner.predict(x)
        return Shares(space, classes, none, np.empty(0, np.int64), none, x, labels.labels)

    def _who(self, service: Service) -> Callable[[Scope], Client]:
        """Know accounts by what they send: the application's own keys, or addresses."""

        def named(scope: Scope) -> str:
            if self._account is not None:
                return self._account(scope)
            key = presented(scope["headers"])
            return key.hex() if key else f"at {(scope.get('client') or ('',))[0]}"

        def who(scope: Scope) -> Client:
            kept = digest(named(scope).encode())
            known = service.clients.by_key.valid.get(kept)
            if known is None:
                service.store.add(kept.hex()[:8], kept, secrets.token_hex(8), None)
                service.clients.by_key.reload()
                known = service.clients.by_key.valid[kept]
            return service.clients.known(known)

        return who

    def close(self) -> None:
        """Let another process have the state."""
        if self._held is not None:
            self._held.close()

    async def _rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let nothing else pass: another way to the model would go round the defense."""
        told = "there is no such route here; name it in passes= if it is to be read"
        await reply(send, said(Problem(404, "not-found", told), scope["path"]), {})


def _known(part: object) -> str:
    """Hash what a part says of itself."""
    layers = part.layers.values() if isinstance(part, Defense) else [part]
    told = " ".join(f"{type(layer).__qualname__} {layer!r}" for layer in layers)
    return hashlib.sha256(re.sub(r" at 0x\w+", "", told).encode()).hexdigest()[:16]
