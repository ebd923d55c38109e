"""What a run takes down beside the meter: the rows that were asked, the attacker's seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from moatbench.api import Trail
from moatbench.client import Answers
from moatbench.defense import Defense
from moatbench.types import Array, Generator
from moatbench.victim import Victim


class Bought(Trail):
    """A trail that keeps what everybody asked, row by row."""

    def __init__(self, victim: Victim, defense: Defense, rng: Generator) -> None:
        super().__init__(victim, defense, rng)
        self.rows: list[tuple[str, Array]] = []

    def answer(self, x: Array, account: str) -> Answers:
        """Answer, and keep the rows."""
        self.rows.append((account, x.copy()))
        return super().answer(x, account)


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
