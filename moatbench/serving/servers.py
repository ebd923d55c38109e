"""The two listeners of a service in one process: clients, and the owner on another port."""

import asyncio
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import uvicorn

from moatbench.serving.front import ASGI, Front
from moatbench.serving.service import Service

HOST = "127.0.0.1"
BACKLOG = 2048  # connections that wait to be taken
GRACE = 20  # seconds that requests under way may take after SIGTERM


class _Server(uvicorn.Server):
    """A server that ends with exit 0 when it is told to end."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to `serve`, which stops both servers."""
        yield


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


def serve(app: Front, owner: ASGI, clients: socket.socket, admin: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT; then take no more, finish what is under way, and return.

    Args:
        app: what clients meet.
        owner: what the owner meets.
        clients: where clients are listened to.
        admin: where the owner is.
    """
    _log_to_stdout()
    with asyncio.Runner(loop_factory=_loop()) as runner:
        runner.run(_serve(app, owner, clients, admin))


async def _serve(app: Front, owner: ASGI, clients: socket.socket, admin: socket.socket) -> None:
    servers = [_Server(_config(one)) for one in (app, owner)]
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    stopping = asyncio.create_task(_stop(ending, app.service, servers))
    places = zip(servers, (clients, admin), strict=True)
    await asyncio.gather(*(server.serve([place]) for server, place in places))
    ending.set()
    await stopping


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
        http="httptools",
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


def _log_to_stdout() -> None:
    """One JSON line a request on stdout; what went wrong on stderr, as ever."""
    lines = logging.getLogger("moatbench.access")
    lines.setLevel(logging.INFO)
    lines.propagate = False
    if not lines.handlers:
        lines.addHandler(logging.StreamHandler(sys.stdout))
