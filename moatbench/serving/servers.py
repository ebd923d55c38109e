"""The two listeners of a service in one process: clients, and the owner on another port."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

import uvicorn

from moatbench.serving.front import ASGI, Front, Receive, Scope, Send, reply, said
from moatbench.serving.kept.retention import Retention
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.protocols.wire import Connection
from moatbench.serving.service import Service

log = logging.getLogger(__name__)
HOST = "127.0.0.1"
BACKLOG = 2048  # connections that wait to be taken
HOUR = 3600.0  # seconds
LINES = 0.02  # seconds that a line of the log may wait for others
GRACE = 20  # seconds that requests under way may take after SIGTERM
LOOK, LOOKS = 10.0, 3  # connections are looked at so often; one that stalls so many times is ended


class _Server(uvicorn.Server):
    """A server that ends with exit 0 when it is told to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`, which stops both servers."""
        yield


class Here:
    """An application that is asked by this machine's own names alone."""

    def __init__(self, app: ASGI) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless another name led here: a page in a browser may have it say any address."""
        if scope["type"] != "http" or is_here(dict(scope["headers"]).get(b"host", b"")):
            await self._app(scope, receive, send)
            return
        told = "this page is asked as localhost or 127.0.0.1; open the address that was told"
        await reply(send, said(Problem(421, "misdirected", told), scope["path"]), {})


def is_here(host: bytes) -> bool:
    """Whether a Host header names this machine: localhost, or a loopback address."""
    try:
        name = urlsplit(f"//{host.decode('latin-1')}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def listening(port: int, host: str = HOST) -> socket.socket:
    """Return a socket that listens; port 0 is any that is free.

    Raises:
        OSError: names the port.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # Named, or asyncio leaves Nagle's algorithm on, and an answer may wait 40 ms
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise OSError(
            f"port={port} cannot be had on {host} ({error.strerror}); give another"
        ) from error
    return made


def serve(
    app: Front,
    owner: ASGI,
    clients: socket.socket,
    admin: socket.socket,
    retention: Retention | None = None,
) -> None:
    """Serve until SIGTERM or SIGINT; then take no more, finish what is under way, and return.

    Args:
        app: what clients meet.
        owner: what the owner meets.
        clients: where clients are listened to.
        admin: where the owner is; on this machine alone, its page takes this machine's names.
        retention: of what was asked; None keeps all.
    """
    lines = Lines()
    app.access = lines.add
    if is_here(admin.getsockname()[0].encode()):
        owner = Here(owner)
    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(_serve(app, owner, clients, admin, retention))
    lines.flush()


async def _serve(
    app: Front,
    owner: ASGI,
    clients: socket.socket,
    admin: socket.socket,
    retention: Retention | None,
) -> None:
    servers = [_Server(_config(one)) for one in (app, owner)]
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    stopping = asyncio.create_task(_stop(ending, app.service, servers))
    beside = [
        asyncio.create_task(_forget(retention, app.service)),
        asyncio.create_task(hang_up(servers)),
    ]
    places = zip(servers, (clients, admin), strict=True)
    await asyncio.gather(*(server.serve([place]) for server, place in places))
    ending.set()
    for task in beside:
        task.cancel()
    await stopping


async def _forget(retention: Retention | None, service: Service) -> None:
    """Forget what is due, each hour."""
    while retention is not None:
        await asyncio.sleep(HOUR)
        if gone := retention.apply(service.store):
            log.info("%s requests are forgotten, after %s", gone, retention)


async def hang_up(servers: Sequence[uvicorn.Server]) -> None:
    """End connections that stall: a head of a request, its body, or the reading of an answer.

    Each would keep a file open for ever. Time that we need ourselves is not theirs. A body has
    twice the time: `front.whole` gives it as much from its first part on.
    """
    stalled: dict[Any, tuple[Any, int]] = {}
    while True:
        await asyncio.sleep(LOOK)
        before, stalled = stalled, {}
        for one in [c for server in servers for c in server.server_state.connections]:
            cycle: Any = getattr(one, "cycle", None)  # of a request and its answer
            answering = cycle is None or cycle.response_started
            if not answering and not cycle.more_body:
                continue
            known, times = before.get(one, (cycle, 0))
            stalled[one] = cycle, times + 1 if known is cycle else 1
            if stalled[one][1] > (LOOKS if answering else 2 * LOOKS):
                one.transport.abort()


async def _stop(ending: asyncio.Event, service: Service, servers: list[_Server]) -> None:
    """When it is time, finish what waits for the model, then close."""
    await ending.wait()
    with suppress(TimeoutError):
        await asyncio.wait_for(service.drain(), GRACE)
    for server in servers:
        server.should_exit = True


def _config(app: ASGI) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=Connection,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
        limit_concurrency=None,
        ws="none",
    )


def _loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return uvloop's, where it is."""
    if sys.platform == "win32":
        return None
    import uvloop

    return uvloop.new_event_loop


class Lines:
    """Writes lines to stdout, those of some milliseconds at once: each write takes a while."""

    def __init__(self) -> None:
        self._waiting: list[str] = []
        self._lost = False

    def add(self, line: str) -> None:
        """Take a line."""
        self._waiting.append(line)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_later(LINES, self.flush)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._waiting = self._waiting, []
        try:
            if lines:
                sys.stdout.write("\n".join([*lines, ""]))
                sys.stdout.flush()
            self._lost = False
        except OSError as error:  # a full disk, or nobody reads: clients are answered all the same
            if not self._lost:
                log.warning("requests are not logged, as stdout takes no lines (%s)", error)
            self._lost = True
