"""The names under which a defense meets its clients: tokens, which say nothing of who they are."""

import hashlib
from collections.abc import Callable

from moatbench.randomness import stream


class Accounts:
    """Gives every account a random token, the same at each call.

    A token is 16 hexadecimal digits, a keyed hash of the account and of whose it is: an attacker
    who calls an account as a customer calls his gets another token. The key is of the run, and no
    part is told it.

    Args:
        key: of the run, up to 64 bytes.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, seed: int) -> "Accounts":
        """Return the accounts of the run of this seed."""
        return cls(stream(seed, "accounts").bytes(32))

    def token(self, owner: str, account: str) -> str:
        """Return the token of an owner's account."""
        named = f"{len(owner)}:{owner}{account}".encode("utf-8", "surrogatepass")
        return hashlib.blake2b(named, key=self._key, digest_size=8).hexdigest()

    def tokens(self, owner: str) -> Callable[[str], str]:
        """Return what gives this owner's accounts their tokens."""
        return lambda account: self.token(owner, account)
