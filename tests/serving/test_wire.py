"""What a connection takes, byte by byte: offers of other protocols, and heads without end."""

import asyncio
import json
import re
from pathlib import Path

import pytest
from asking import Running, now, running
from shop import defense_of
from uvicorn.server import ServerState

from moatbench.serving.protocols.wire import MOST_HEAD, Connection
from moatbench.serving.servers import _config
from moatbench.victim import Victim

BODY = json.dumps({"inputs": [[0.1, 0.2, 0.3, 0.4]]}).encode()
OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"


@pytest.fixture
def served(toy: Victim, tmp_path: Path) -> Running:
    return running(toy, defense_of("rounding"), tmp_path)


def request(to: Running, headers: str = "", body: bytes = BODY) -> bytes:
    head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {to.key}\r\n{headers}"
    size = "" if "chunked" in headers else f"Content-Length: {len(body)}\r\n"
    return f"{head}{size}Content-Type: application/json\r\n\r\n".encode() + body


def statuses(to: Running, *parts: bytes) -> list[str]:
    """Send parts, each a packet of its own; return the statuses of all answers until it ends."""
    return re.findall(r"HTTP/1.1 (\d+)", heard(to, *parts))


def heard(to: Running, *parts: bytes) -> str:
    async def exchanged() -> bytes:
        loop, config = asyncio.get_running_loop(), _config(to.app)
        made = lambda: Connection(config, ServerState(), {})  # noqa: E731
        server = await loop.create_server(made, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        for part in parts:
            writer.write(part)
            await asyncio.sleep(0.002)
        found = await asyncio.wait_for(reader.read(-1), 5)
        writer.close()
        server.close()
        return found

    return now(exchanged()).decode()


def last(to: Running) -> bytes:
    return request(to, "Connection: close\r\n")


def test_who_offers_another_protocol_is_answered_in_this_one(served: Running) -> None:
    """As by MLflow's own server; Java's client does so in each first request."""
    offered = request(served, OFFER)
    assert statuses(served, offered + last(served)) == ["200", "200"]
    assert statuses(served, offered[:70], offered[70:-9], offered[-9:], last(served)) == ["200"] * 2
    chunked = request(served, OFFER + "Transfer-Encoding: chunked\r\n", b"")
    chunks = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
    assert statuses(served, chunked + chunks + last(served)) == ["200", "200"]
    closing = OFFER.replace("Upgrade,", "Upgrade, close,")
    assert statuses(served, request(served, closing)) == ["200"]
    assert served.ask("/usage").json()["queries"] == 7


def test_an_offer_hides_no_request(served: Running) -> None:
    hidden = request(served, OFFER, body=request(served))
    assert statuses(served, hidden, last(served)) == ["400", "200"]
    both = request(served, OFFER + "Transfer-Encoding: chunked\r\n").replace(
        b"Host: x", b"Host: x\r\nContent-Length: 5"
    )
    assert statuses(served, both) == ["400"]
    assert served.ask("/usage").json()["queries"] == 1


def test_many_offers_in_one_packet_are_answered(served: Running) -> None:
    assert statuses(served, request(served, OFFER) * 200 + last(served)) == ["200"] * 201


def test_no_tunnel_is_made(served: Running) -> None:
    assert statuses(served, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n") == ["400"]


@pytest.mark.parametrize("more", ["X: " + "a" * MOST_HEAD, "X: y\r\n" * 11_000])
def test_a_head_may_not_grow_without_end(served: Running, more: str) -> None:
    endless = f"POST /invocations HTTP/1.1\r\n{more}".encode()
    told = heard(served, endless[:60_000], endless[60_000:])
    assert told.startswith("HTTP/1.1 400")
    assert told.endswith("must have at most 64 KiB.")
    wide = request(served, "X: " + "a" * 60_000 + "\r\n")
    large = request(served, body=b" " * 2**20 + BODY)
    assert statuses(served, wide, large, last(served)) == ["200"] * 3
