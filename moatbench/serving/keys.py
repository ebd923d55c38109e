"""Accounts are API keys: made once, kept as hashes, looked up without a hint by time."""

import hashlib
import re
import secrets

from moatbench.serving.store import Account, Store

PREFIX = "mb_"
BYTES = 32  # of randomness in a key
SHARD, SHARDED = re.compile("[a-z0-9-]{1,20}"), re.compile(rb"mb_([a-z0-9-]{1,20})\.")
CARRIERS = (b"authorization", b"x-api-key")
NOBODY = [(b"authorization", b"Bearer " + b"x" * 46)]  # read where nothing is carried


def create(store: Store, name: str, budget: int | None = None, shard: str = "") -> tuple[int, str]:
    """Make an account; return its id, and the key that is told this once.

    A key of a shard names it, so that any balancer can tell where it belongs.
    """
    if not 0 < len(name) <= 100 or not name.isprintable():
        raise ValueError(f"name must be 1 to 100 printable characters, got {name!r:.120}")
    if any(a.name == name and a.revoked is None for a in store.accounts()):
        raise ValueError(f"name must be new, got {name!r}; revoke the old one, or choose another")
    key = PREFIX + (f"{check_shard(shard)}." if shard else "") + secrets.token_urlsafe(BYTES)
    return store.add(name, digest(key.encode()), secrets.token_hex(8), budget), key


def revoke(store: Store, who: str) -> Account:
    """End the account of this name or id; return it as it was."""
    found = [a for a in store.accounts() if a.revoked is None and who in (a.name, str(a.id))]
    if not found:
        known = ", ".join(a.name for a in store.accounts() if a.revoked is None) or "none"
        raise ValueError(f"name must be one of {known}, got {who!r:.120}")
    store.revoke(found[0].id)
    return found[0]._replace(revoked=0.0)


def check_shard(name: str) -> str:
    """Return the name of a shard.

    Raises:
        ValueError: it is none.
    """
    if not SHARD.fullmatch(name):
        raise ValueError(f"shard must be 1 to 20 of a-z, 0-9 and -, got {name!r:.120}")
    return name


def shard_of(key: bytes) -> str:
    """Return the shard that a key names; '' where it names none."""
    found = SHARDED.match(key)
    return found[1].decode() if found else ""


def digest(key: bytes) -> bytes:
    """Return what is kept of a key; it is random, so one round is enough."""
    return hashlib.sha256(key).digest()


class Keys:
    """The keys that are valid now.

    `valid` holds them by their hashes. The hash is looked up, never the key: what a comparison
    takes tells of the hash, from which nobody finds a key. A wrong key, a revoked one and none go
    the same way.
    """

    def __init__(self, store: Store) -> None:
        self._store, self._version = store, -1
        self.valid: dict[bytes, Account] = {}

    def of(self, key: bytes) -> Account | None:
        """Return the account of a key, as it was made; None where there is none."""
        if (version := self._store.changes()) != self._version:
            self.reload()
            self._version = version
        return self.valid.get(digest(key))

    def reload(self) -> None:
        """Read the accounts again."""
        self.valid = {a.digest: a for a in self._store.accounts() if a.revoked is None}


def presented(headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return the key of a request: Authorization: Bearer, or X-API-Key; b'' for none.

    And for two that differ: what stands before the service may have gone by the other. A request
    without a key takes as long as one with a wrong key.
    """
    carried = [header for header in headers if header[0] in CARRIERS]
    found = {_key(name, value) for name, value in carried or NOBODY}
    return found.pop() if carried and len(found) == 1 else b""


def _key(name: bytes, value: bytes) -> bytes:
    """Return the key that a header carries; b'' where it is of another kind."""
    if name == b"x-api-key":
        return value.strip()
    scheme, _, key = value.partition(b" ")
    return key.strip() if scheme.lower() == b"bearer" else b""
