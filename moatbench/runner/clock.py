"""The attacker's seconds: of computing and querying, without the judge's."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up the attacker's seconds."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def adding(self, sign: int = 1) -> Iterator[None]:
        """Count what is done meanwhile; with -1, take it out again."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += sign * (time.perf_counter() - start)
