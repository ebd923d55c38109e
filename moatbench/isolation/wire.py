"""Messages between a run and an attack in a process of its own: plain, bounded, never pickled.

A message is a JSON header (its name, some words, what arrays follow) and the bytes of the arrays.
Nothing that comes from the other side is ever executed.
"""

import json
import math
import re
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

LENGTHS = struct.Struct("<IQ")  # bytes of the header, and of the arrays together
MOST_HEADER = 2**20
KINDS = "biuf"  # of NumPy: truth values, whole numbers, reals
PLAIN = re.compile(f"[<|][{KINDS}][1248]")


class Severed(ConnectionError):
    """The other side closed its end, sent what is no message, or took too long."""


class Message(NamedTuple):
    """What was sent: a name, plain words, arrays by name."""

    name: str
    words: dict[str, Any]
    arrays: dict[str, Any]


class Wire:
    """One end of a line.

    Args:
        end: of a connected pair of sockets; the wire owns it.
        most: bytes of arrays that a message may bring.
    """

    def __init__(self, end: socket.socket, most: int = 2**40) -> None:
        self._end, self._most = end, most

    def fileno(self) -> int:
        """Return the number of the descriptor; -1 once it is closed."""
        return self._end.fileno()

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def send(
        self,
        name: str,
        arrays: Mapping[str, Any] | None = None,
        *,
        deadline: float = math.inf,
        **words: Any,
    ) -> None:
        """Send a message; arrays that are None are left out.

        Raises:
            TypeError: an array holds no numbers.
            Severed: nobody reads.
        """
        held = {n: _plain(n, a) for n, a in (arrays or {}).items() if a is not None}
        shapes = [[n, a.dtype.str, list(a.shape)] for n, a in held.items()]
        header = json.dumps([name, words, shapes]).encode()
        body = b"".join(a.tobytes() for a in held.values())
        try:
            self._end.settimeout(_left(deadline))
            self._end.sendall(LENGTHS.pack(len(header), len(body)) + header + body)
        except (OSError, ValueError) as error:
            raise Severed(f"nobody reads: {error}") from error

    def receive(self, deadline: float = math.inf, most: int | None = None) -> Message:
        """Return the next message.

        Args:
            deadline: of `time.monotonic`, by which all of it must be here.
            most: bytes of arrays that it may bring; None is the wire's own.

        Raises:
            Severed: it does not come, or is none.
        """
        most = self._most if most is None else most
        header, body = LENGTHS.unpack(self._read(LENGTHS.size, deadline))
        if header > MOST_HEADER or body > most:
            raise Severed(f"a message of {header + body} bytes, and at most {most} are taken")
        try:
            name, words, shapes = json.loads(self._read(header, deadline))
            return Message(str(name), dict(words), _arrays(shapes, self._read(body, deadline)))
        except (TypeError, ValueError, RecursionError) as error:
            raise Severed(f"no message of ours: {error}") from error

    def _read(self, n: int, deadline: float) -> bytearray:
        data = bytearray(n)
        view, got = memoryview(data), 0
        while got < n:
            try:
                self._end.settimeout(_left(deadline))
                more = self._end.recv_into(view[got:])
            except TimeoutError as error:
                raise TooSlow("no answer in time") from error
            except OSError as error:
                raise Severed(str(error)) from error
            if not more:
                raise Severed("the other end is closed")
            got += more
        return data


class TooSlow(Severed):
    """What was waited for did not come in time."""


def _left(deadline: float) -> float | None:
    """Seconds until a deadline, as sockets take them: 0 would mean not to wait."""
    return None if math.isinf(deadline) else max(deadline - time.monotonic(), 1e-3)


def _plain(name: str, value: Any) -> Any:
    array = np.asarray(value)
    if array.dtype.kind not in KINDS or array.dtype.itemsize > 8:
        raise TypeError(f"{name} must be numbers, got an array of {array.dtype}")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _arrays(shapes: Any, data: bytearray) -> dict[str, Any]:
    """Cut the bytes into arrays; raise a ValueError where they do not fit."""
    found, at = {}, 0
    for name, kind, shape in shapes:
        if not PLAIN.fullmatch(str(kind)):  # NumPy evaluates more than that
            raise ValueError(f"no array of numbers: {kind!r:.80}")
        dtype = np.dtype(str(kind))
        if any(not isinstance(n, int) or n < 0 for n in shape):
            raise ValueError(f"no array of numbers: {kind!r}, {shape!r}")
        count = math.prod(shape)
        if at + count * dtype.itemsize > len(data):
            raise ValueError("an array is longer than the message")
        found[str(name)] = np.frombuffer(data, dtype, count, at).reshape(shape)
        at += count * dtype.itemsize
    return found
