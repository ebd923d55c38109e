"""Services on loopback, in a thread: an application of ours, or answers by hand."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import uvicorn

from moatbench.serving.front import ASGI
from moatbench.serving.servers import listening

Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]]


@contextmanager
def serving(app: ASGI) -> Iterator[str]:
    """Serve an application; give its address."""
    config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    place = listening(0)
    thread = threading.Thread(target=server.run, args=([place],), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def thirds(body: Any) -> tuple[int, Any]:
    """Answer in MLflow's protocol: the first column says the class, of iris."""
    at = np.array(body["dataframe_split"]["data"])[:, 0]
    p = np.stack([at, 8 - at, np.full(len(at), 2.0)], axis=1) / 10  # at is 4.3 to 7.9
    return 200, {"predictions": p.tolist()}


def petals(body: Any) -> Answer:
    """Answer in MLflow's protocol as a softmax of iris, by the length of petals."""
    z = np.array(body["dataframe_split"]["data"], dtype=float)[:, [2]] * [-2.0, 0.0, 2.0]
    p = np.exp(z + np.array([6.0, 0.0, -10.0]))
    return 200, {"predictions": (p / p.sum(axis=1, keepdims=True)).tolist()}


class Shop:
    """A service of iris that turns odd after so many rows.

    Args:
        odd: answers from then on.
        after: rows.
    """

    def __init__(self, odd: Callable[[Any], Answer], after: int) -> None:
        self.odd, self.after, self.rows = odd, after, 0
        self.well = False

    def __call__(self, body: Any) -> Answer:
        self.rows += len(body["dataframe_split"]["data"])
        return petals(body) if self.well or self.rows <= self.after else self.odd(body)


@contextmanager
def answering(answer: Callable[[Any], Answer]) -> Iterator[tuple[str, list[Any]]]:
    """Answer each request's JSON by a function; give the address, and a list of what was asked."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # headers and body in one packet, or each answer waits for an ACK

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, dict(self.headers), body))
            status, told, *headers = answer(body)
            data = told if isinstance(told, bytes) else json.dumps(told).encode()
            self.send_response(status)
            said = {"Content-Length": str(len(data))} | dict(headers[0] if headers else {})
            for name, value in said.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
