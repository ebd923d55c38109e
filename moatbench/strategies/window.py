"""A stretch of an API's budget, as an API of its own: for attacks that are made of attacks."""

from collections.abc import Mapping

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Answers
from moatbench.learners.purchases import Purchases
from moatbench.types import Array


class Window(PredictionAPI):
    """The next `size` queries of `api`, metered, billed and answered by it.

    Its checkpoints are those of `api` that fall into the stretch, counted from its start, and the
    end of the stretch: so that an attack within it stops wherever the judge wants to look.

    Args:
        api: what is asked.
        size: of the stretch, in queries, at most those that remain.
        purchases: where the answers are kept as well; None keeps them nowhere.
        before: queries that count as made before the stretch.
    """

    def __init__(
        self,
        api: PredictionAPI,
        size: int,
        purchases: Purchases | None = None,
        before: int = 0,
    ) -> None:
        inside = [c - api.queries for c in api.checkpoints if 0 < c - api.queries < size]
        super().__init__(api.card, [before + c for c in (*inside, size)])
        self._api, self._purchases, self._waited_before = api, purchases, api.waited

    @property
    def waited(self) -> float:
        """Virtual seconds that the attacker had to wait within the stretch."""
        return self._api.waited - self._waited_before

    @property
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account so far, those before the stretch included."""
        return self._api.per_account

    def _ask(self, x: Array, account: str) -> Answers:
        answers = self._api.query(x, account)
        if self._purchases is not None:
            self._purchases.add(answers)
        return answers


class Strayed(RuntimeError):
    """An attack that is run again asks otherwise than the first time."""


class Memory:
    """What an attack asked in earlier windows, in order, and what it was answered."""

    def __init__(self) -> None:
        self._asked: list[Array] = []
        self._answers: list[Answers] = []

    def __len__(self) -> int:
        return sum(map(len, self._asked))

    def add(self, x: Array, answers: Answers) -> None:
        """Keep the answers to rows (n, d)."""
        self._answers.append(answers._replace(rows=answers.rows + len(self)))
        self._asked.append(x)

    def all(self) -> tuple[Array, Answers]:
        """(n, d) all that was asked, at least one row; and the answers, with their rows of it."""
        return np.concatenate(self._asked), Answers.joined(self._answers)


class Resumed(Window):
    """The next queries of an attack that is run again from its start: the old ones are free.

    As long as it asks what it asked in earlier windows, it is answered from memory. So an attack
    that does not plan by its budget goes on where it stopped, whoever asked in between.

    Args:
        api: what is asked.
        size: queries beyond those that the memory holds.
        memory: of the same attack, with the same draws; new answers are added.
    """

    def __init__(self, api: PredictionAPI, size: int, memory: Memory) -> None:
        super().__init__(api, size, before=len(memory))
        self._memory, self._known = memory, len(memory)
        self._past = memory.all() if self._known else None

    def _ask(self, x: Array, account: str) -> Answers:
        begun = self.queries - len(x)
        old, new = np.split(x, [max(0, self._known - begun)])
        parts = [self._again(begun, old)] if len(old) else []
        if len(new) or not parts:
            answers = super()._ask(new, account)
            self._memory.add(new, answers)
            parts.append(answers._replace(rows=answers.rows + len(old)))
        return Answers.joined(parts)

    def _again(self, begun: int, x: Array) -> Answers:
        """Answer rows from number `begun` on, if they are what was asked there."""
        assert self._past is not None
        asked, answers = self._past
        if not np.array_equal(asked[begun : begun + len(x)], x, equal_nan=True):
            raise Strayed(f"query {begun} or a later one differs from the first time")
        kept = (answers.rows >= begun) & (answers.rows < begun + len(x))
        outputs, path = (None if a is None else a[kept] for a in (answers.outputs, answers.path))
        rows = answers.rows[kept] - begun
        return Answers(answers.x[kept], rows, answers.labels[kept], outputs, path)
