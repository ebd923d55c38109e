"""The routes that predict, on ASGI as it is: each request answered in one of the two protocols."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, NamedTuple

import orjson

from moatbench.client import Answers
from moatbench.serving.kept.clients import Client
from moatbench.serving.kept.repeats import Told, digest_of
from moatbench.serving.keys import presented
from moatbench.serving.protocols.answers import Writer
from moatbench.serving.protocols.bodies import Bodies
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.protocols.problems import KIND, Problem, too_large
from moatbench.serving.protocols.tensors import Tensors, Wanted
from moatbench.serving.service import Service
from moatbench.types import Array

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
JSON = b"application/json"
PATIENCE = 60.0  # seconds that a body may take
SLOW = 1.0  # seconds after which a key is looked at again
LOG = logging.getLogger("moatbench.access")
log = logging.getLogger(__name__)


class Limits(NamedTuple):
    """The largest request: bytes of its body, and rows. And the seconds that an answer is held."""

    body: int = 16 * 2**20
    rows: int = 10_000
    latency: float = 0.0


class Front:
    """Answers what predicts, and hands all else on.

    Args:
        service: that answers.
        columns: what a client may send.
        name: of the model, in routes of v2.
        rest: answers all other routes.
        limits: of a request.
        who: tells the client of a request; None asks for a key.

    Attributes:
        access: takes a line of JSON for each request; by itself the log `moatbench.access`.
    """

    def __init__(
        self,
        service: Service,
        columns: Columns,
        name: str,
        rest: ASGI,
        limits: Limits | None = None,
        who: Callable[[Scope], Client] | None = None,
    ) -> None:
        self.service, self.rest, self.limits = service, rest, limits or Limits()
        self.columns, self.name = columns, name
        self.access: Callable[[str], None] = LOG.info
        card = service.card
        owners = [feature.name for feature in card.space.features for _ in range(feature.width)]
        self.writer = Writer(name, card.classes, card.confidences, owners)
        self._bodies = Bodies(columns, self.limits.rows)
        self._tensors = Tensors(columns, self.limits.rows, list(self.writer.outputs))
        self._who = who or (lambda scope: service.clients.of(presented(scope["headers"])))
        infer = (f"/v2/models/{name}/infer", f"/v2/models/{name}/versions/1/infer")
        self._routes: dict[str, Any] = dict.fromkeys(infer, self._v2)
        self._routes["/invocations"] = self._mlflow

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.rest(scope, receive, send)
            return
        route = self._routes.get(scope["path"])
        if route is None:
            await self._others(scope, receive, send)
            return
        begun, client, headers = time.perf_counter(), None, {}
        try:
            if scope["method"] != "POST":
                raise Problem(405, "method", "this route takes POST", headers={"allow": "POST"})
            client = self._who(scope)
            told = await self._told(route, client, scope, receive)
            if self.limits.latency:
                await asyncio.sleep(self.limits.latency)
            headers = _rate(client)
        except Problem as problem:
            told, headers = said(problem, scope["path"]), problem.headers
            self.service.meters.rejected()
        except Exception:
            log.exception("a request failed")
            told = said(_failed(), scope["path"])
            self.service.meters.rejected()
        await reply(send, told, headers)
        took = time.perf_counter() - begun
        self.service.meters.request.observe(took)
        account = None if client is None else client.account.id
        self.access(_line(scope, told[0], took, account))

    async def _told(self, route: Any, client: Client, scope: Scope, receive: Receive) -> Told:
        """Read the request, and answer it, or again as the first time."""
        kind, keys = self._headers(scope)
        begun = time.monotonic()
        body = await whole(receive, self.limits.body)
        if time.monotonic() - begun > SLOW:
            self._who(scope)  # the key may have been revoked meanwhile
        if not keys:
            return await route(client, body, kind, None)  # type: ignore[no-any-return]
        key = keys.pop()
        if keys or len(key) > 255:
            told = "Idempotency-Key must be one, of at most 255 characters"
            raise Problem(400, "idempotency-key", told)
        digest, ended = (
            digest_of(scope["path"], body),
            await self.service.repeats.alone(client, key),
        )
        try:
            if (before := self.service.repeats.before(client, key, digest)) is not None:
                return before
            return await route(client, body, kind, (key, digest))  # type: ignore[no-any-return]
        finally:
            ended()

    def _headers(self, scope: Scope) -> tuple[str, set[str]]:
        """Return the content type, and the Idempotency-Keys; refuse what will not be read."""
        kind, keys = "", set[str]()
        for name, value in scope["headers"]:
            if name == b"content-type":
                kind = value.decode("latin-1")
            elif name == b"idempotency-key" and value:
                keys.add(value.decode("latin-1"))
            elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
                raise Problem(415, "media-type", "content-encoding must be left out; send it plain")
            elif name == b"content-length" and value.isdigit() and int(value) > self.limits.body:
                raise too_large("bytes of a body", self.limits.body)
        return kind, keys

    async def _mlflow(
        self, client: Client, body: bytes, kind: str, repeat: tuple[str, bytes] | None
    ) -> Told:
        x, rounded = self.columns.answered(self._bodies.read(body, kind))

        def written(answers: Answers) -> Told:
            if not len(answers.rows):
                return said(_refused(len(x)), "/invocations")
            return 200, JSON, self.writer.mlflow(answers, len(x), rounded)

        return await self.service.ask(client, x, written, repeat)

    async def _v2(
        self, client: Client, body: bytes, kind: str, repeat: tuple[str, bytes] | None
    ) -> Told:
        wanted: Wanted = self._tensors.read(body, kind)
        given: Array = wanted.x
        x, rounded = self.columns.answered(given)

        def written(answers: Answers) -> Told:
            if not len(answers.rows):
                return said(_refused(len(x)), f"/v2/models/{self.name}/infer")
            return 200, JSON, self.writer.v2(answers, len(x), rounded, wanted)

        return await self.service.ask(client, x, written, repeat)

    async def _others(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on; what raises there is no traceback either."""
        begun, status, started = time.perf_counter(), 500, False

        async def noted(message: MutableMapping[str, Any]) -> None:
            nonlocal status, started
            if message["type"] == "http.response.start":
                status, started = message["status"], True
            await send(message)

        try:
            await self.rest(scope, receive, noted)
        except Exception:
            log.exception("a request failed")
            if not started:
                await reply(send, said(_failed(), scope["path"]), {})
        self.access(_line(scope, status, time.perf_counter() - begun, None))


async def whole(receive: Receive, limit: int) -> bytes:
    """Read a body as it comes, up to a limit, whatever its length was said to be.

    Raises:
        Problem: 400, 408 or 413: it ended early, came too slowly, or is too large.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if not message.get("more_body") and len(body) <= limit:
        return body
    try:  # the rest alone: a timer for each request would take a fifth of its time
        async with asyncio.timeout(PATIENCE):
            return await _rest(receive, limit, message)
    except TimeoutError:
        told = f"the body must have come within {PATIENCE:.0f} s; send it in parts"
        raise Problem(408, "slow", told, headers={"connection": "close"}) from None


async def _rest(receive: Receive, limit: int, message: MutableMapping[str, Any]) -> bytes:
    """Read what follows the first part of a body."""
    parts = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body") and size <= limit:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
    if message["type"] == "http.disconnect":
        raise Problem(400, "unreadable", "the request ended before its body did")
    if size > limit:
        raise too_large("bytes of a body", limit)
    return b"".join(parts)


async def reply(send: Send, told: Told, headers: MutableMapping[str, str]) -> None:
    """Send an answer."""
    status, kind, body = told
    sent = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    sent += [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def said(problem: Problem, path: str) -> Told:
    """Write a problem as an answer."""
    return problem.status, KIND, problem.body(path)


def _failed() -> Problem:
    return Problem(500, "failed", "the service failed on this request; its log says why")


def _refused(n: int) -> Problem:
    return Problem(403, "refused", f"none of the {n} rows is answered; each counts as a query")


def _rate(client: Client) -> dict[str, str]:
    """Tell what is left of a declared budget, and of nothing else."""
    if client.left is None:
        return {}
    budget = client.account.budget
    return {"ratelimit-policy": f'"budget";q={budget}', "ratelimit": f'"budget";r={client.left}'}


def _line(scope: Scope, status: int, took: float, account: int | None) -> str:
    """Tell of a request in a line: who and how long, never the key nor what was asked."""
    line = {
        "time": time.time(),
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "ms": round(took * 1000, 3),
        "account": account,
    }
    return orjson.dumps(line).decode()
