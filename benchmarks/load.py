"""A load generator for HTTP: keep-alive connections, one request after another on each."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field


@dataclass
class Load:
    """What came of it.

    Args:
        seconds: that it took.
        statuses: answers by status; 0 is a connection that broke.
        times: seconds of each answer.
    """

    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        """Answers of 200 a second."""
        return self.statuses[200] / self.seconds

    def quantile(self, share: float) -> float:
        """Seconds within which this share of the answers came."""
        return sorted(self.times)[int(share * (len(self.times) - 1))]


def request(path: str, body: bytes, key: str = "") -> bytes:
    """Write a request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    if key:
        head += f"Authorization: Bearer {key}\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read an answer: its status and its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    status, length = int(head[9:12]), head.lower().find(b"content-length:")
    size = int(head[length + 15 : head.index(b"\r", length)])
    return status, await reader.readexactly(size)


async def sent(port: int, message: bytes) -> tuple[int, bytes]:
    """Send one request on a connection of its own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(message)
    try:
        return await answer(reader)
    finally:
        writer.close()


async def load(port: int, messages: list[bytes], connections: int, seconds: float) -> Load:
    """Send as fast as answers come, for so many seconds; each connection has its message."""
    found, begun = Load(), time.perf_counter()

    async def one(message: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            while (at := time.perf_counter()) - begun < seconds:
                writer.write(message)
                status, _ = await answer(reader)
                found.statuses[status] += 1
                found.times.append(time.perf_counter() - at)
        except (OSError, asyncio.IncompleteReadError):
            found.statuses[0] += 1
        finally:
            writer.close()

    await asyncio.gather(*(one(messages[i % len(messages)]) for i in range(connections)))
    found.seconds = time.perf_counter() - begun
    return found
