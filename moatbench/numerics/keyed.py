"""Randomness that an account, or a key and a row, decide."""

import hashlib

import numpy as np

from moatbench.randomness import words_of
from moatbench.types import Array, Generator


class AccountStreams:
    """A generator per account, so that one account's queries never move another's draws."""

    def __init__(self, rng: Generator) -> None:
        self._root = int(rng.integers(2**63))
        self._streams: dict[str, Generator] = {}

    def __getitem__(self, account: str) -> Generator:
        if account not in self._streams:
            self._streams[account] = np.random.default_rng([self._root, *words_of(account)])
        return self._streams[account]


def keyed_uniform(key: bytes, x: Array, columns: int, grid: float) -> Array:
    """Draw (n, columns) numbers in (0, 1) that depend on the secret key and the row alone.

    Args:
        key: the secret.
        x: (n, d) inputs.
        columns: numbers wanted a row.
        grid: inputs are snapped to multiples of this first, so that jitter which stays in the same
            cell draws the same numbers; jitter beyond it draws anew.
    """
    # NaN becomes a cell of its own; + 0.0, since -0.0 and 0.0 are one cell
    cells = np.nan_to_num(np.round(x / grid), nan=1e300) + 0.0
    prefix = hashlib.shake_256(key)  # a sponge: a keyed prefix is a safe MAC, unlike with SHA-2
    words = np.empty((len(x), columns), dtype=np.uint64)
    for row, cell in enumerate(np.ascontiguousarray(cells)):
        digest = prefix.copy()
        digest.update(cell.tobytes())
        words[row] = np.frombuffer(digest.digest(8 * columns), dtype=np.uint64)
    # 52 bits and a half, exact: never 0 nor 1, where an inverse distribution function is infinite
    return ((words >> np.uint64(12)).astype(np.float64) + 0.5) / 2.0**52
