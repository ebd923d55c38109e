"""Requests that are sent again: one answer to an Idempotency-Key, billed and watched once."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from moatbench.serving.kept.clients import Client
from moatbench.serving.protocols.problems import Problem
from moatbench.serving.store import Store

Told = tuple[int, bytes, bytes]  # status, content type, body


class Repeats:
    """What was answered under which key of idempotency.

    Args:
        store: of the state.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._flying: dict[tuple[int, str], asyncio.Future[Any]] = {}

    def before(self, client: Client, key: str, digest: bytes) -> Told | None:
        """Return what was answered under an Idempotency-Key; None where nothing was.

        Raises:
            Problem: 409, it was sent with another body.
        """
        found = self._store.repeated(client.account.id, key)
        if found is None:
            return None
        if found[0] != digest:
            raise Problem(
                409,
                "idempotency-key",
                "an Idempotency-Key must go with one body, and this one went with another; send "
                "a new key",
            )
        return found[1], found[2].encode(), found[3]

    async def alone(self, client: Client, key: str) -> Callable[[], None]:
        """Wait until no other request with this Idempotency-Key is under way; return what ends."""
        name = client.account.id, key
        while name in self._flying:
            with suppress(Exception):
                await asyncio.shield(self._flying[name])
        mine = self._flying[name] = asyncio.get_running_loop().create_future()

        def ended() -> None:
            self._flying.pop(name, None)
            mine.set_result(None)

        return ended


def digest_of(path: str, body: bytes) -> bytes:
    """Tell one request from another."""
    return hashlib.sha256(path.encode() + b"\n" + body).digest()
