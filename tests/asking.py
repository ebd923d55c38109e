"""A client of an ASGI application, in process: no socket, no port."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from moatbench.defense import Defense
from moatbench.serving import keys
from moatbench.serving.app import application
from moatbench.serving.deployment import Served
from moatbench.serving.front import ASGI, Front, Limits
from moatbench.serving.protocols.columns import Columns
from moatbench.serving.service import Service
from moatbench.serving.state import State
from moatbench.types import Array
from moatbench.victim import Victim

T = TypeVar("T")
OPENED: list[State] = []  # closed after each test, or their files would be open to the end
JSON = {"content-type": "application/json"}


class Told(NamedTuple):
    """An answer: status, headers by name in small letters, body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    app: ASGI,
    path: str,
    body: bytes | Any = None,
    headers: Mapping[str, str] | None = None,
    method: str = "",
    parts: int = 1,
) -> Told:
    """Send one request, in so many parts; a body that is no bytes is sent as JSON."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    size = max(1, -(-len(data) // parts))
    pieces = [data[start : start + size] for start in range(0, max(1, len(data)), size)]
    sent: list[Any] = []

    async def receive() -> Any:
        piece = pieces.pop(0)
        return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope(method or ("GET" if body is None else "POST"), path, headers), receive, send)
    told = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
    return Told(sent[0]["status"], told, b"".join(m.get("body", b"") for m in sent[1:]))


def scope(method: str, path: str, headers: Mapping[str, str] | None) -> dict[str, Any]:
    """Return what a server tells of a request."""
    path, _, query = path.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(n.encode(), v.encode()) for n, v in (JSON | dict(headers or {})).items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }


def now(what: Coroutine[Any, Any, T]) -> T:
    """Run to the end."""
    return asyncio.run(what)


class Running(NamedTuple):
    """A service on a state folder, and a key to it."""

    app: Front
    service: Service
    state: State
    key: str

    def ask(self, path: str, body: Any = None, **headers: str) -> Told:
        """Send one request with the key, as JSON unless said otherwise."""
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        return now(ask(self.app, path, body, {"authorization": f"Bearer {self.key}"} | said))

    def rows(self, x: Array | Sequence[Any], **headers: str) -> Told:
        """Ask rows of MLflow's route."""
        return self.ask("/invocations", {"inputs": np.asarray(x).tolist()}, **headers)


def running(
    victim: Victim,
    defense: Defense,
    folder: Path,
    *,
    budget: int | None = None,
    limits: Limits | None = None,
    columns: Columns | None = None,
    name: str = "alice",
    choice: str | None = None,
) -> Running:
    """Serve, with one account; a folder that has it already goes on."""
    state = State(folder, choice=choice)
    OPENED.append(state)
    state.adopt({"defense": type(defense).__name__})
    known = {a.name for a in state.store.accounts()}
    key_file = folder / f"{name}.key"
    if name not in known:
        key_file.write_text(keys.create(state.store, name, budget)[1])
    deployment = Served(victim, defense, np.random.default_rng(state.secret()))
    service = Service(deployment, state.store)
    columns = columns or Columns(service.card.space, service.card.partial)
    app = application(service, columns, "toy", limits)
    return Running(app, service, state, key_file.read_text())
