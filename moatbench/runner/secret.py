"""What an isolated attack cannot derive: the keys of the defense, and the points of the judge."""

import hashlib
import secrets
from collections.abc import Iterable

import numpy as np

from moatbench.attack import Attack
from moatbench.compose.origin import ours
from moatbench.defense import Defense
from moatbench.isolation.process import available
from moatbench.randomness import stream
from moatbench.types import Generator

AUTO, PROCESS, NONE = "auto", "process", "none"
DIGITS = 64  # hexadecimal, of 256 bits


def is_apart(attack: Attack, isolation: str) -> bool:
    """Whether an attack is to run in a process of its own.

    Args:
        attack: whose code decides, where `isolation` leaves it to us.
        isolation: `auto` (what is not ours, where the system can), `process` (all) or `none`.

    Raises:
        ValueError: another word, or a system that cannot fork was told to.
    """
    if isolation not in (AUTO, PROCESS, NONE):
        raise ValueError(f"isolation must be auto, process or none, got {isolation!r}")
    if isolation == PROCESS and not available():
        raise ValueError("isolation=process needs a system that can fork; set isolation=auto")
    return isolation == PROCESS or (isolation == AUTO and available() and not ours(attack))


def secret_for(attacks: Iterable[Attack], isolation: str, given: str | None) -> str | None:
    """Return the secret of a run: the one given; else a fresh one where an attack is isolated.

    Raises:
        ValueError: the one given is not hexadecimal.
    """
    if given is not None:
        if not given or len(given) > DIGITS or set(given.lower()) - set("0123456789abcdef"):
            raise ValueError(
                f"secret must be up to {DIGITS} hexadecimal digits, as a record tells, "
                f"got {given!r}; null draws one where it is needed"
            )
        return given.lower()
    apart = [is_apart(attack, isolation) for attack in attacks]
    if not any(apart):
        return None
    # A digit first may be read as a number by YAML: 12e4...
    while (drawn := secrets.token_hex(DIGITS // 2))[0] not in "abcdf":
        pass
    return drawn


def hidden(seed: int, secret: str | None) -> int:
    """Return the seed of all that an attacker must not know: the run's own without a secret."""
    return seed if secret is None else int(derived(seed, secret, "hidden"), 16)


def derived(seed: int, secret: str, name: str) -> str:
    """Return 256 bits, in hexadecimal, from which nobody finds the secret."""
    return hashlib.sha256(f"{secret.lower()} {seed} {name}".encode()).hexdigest()


def stream_of(part: Attack | Defense, seed: int, name: str) -> Generator:
    """Return the stream of a part in this process; a stranger's does not give the seed away.

    NumPy's generators tell what they were seeded with (`rng.bit_generator.seed_seq`).
    """
    if ours(part):
        return stream(seed, name)
    digest = hashlib.sha256(f"a stranger's {seed} {name}".encode())
    return np.random.default_rng(int.from_bytes(digest.digest(), "big"))
