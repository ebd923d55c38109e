"""An API seen through what an attacker puts before it: what a wrapper runs its inner attack on."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from moatbench.api import PredictionAPI, valid_checkpoints
from moatbench.client import Answers, Card
from moatbench.types import Array, Rows


class View(PredictionAPI):
    """A smaller API, each of whose queries is paid with one or more of the API behind it.

    The attack within sees checkpoints of its own. When it has spent each of them, so many queries
    have been made behind as the checkpoint there says, none more and none less: the queries of a
    stretch share out evenly what it costs.

    Args:
        api: what is asked.
        cost: queries behind for one query here, at least 1; the last few of a stretch may get one
            more or less, and a stretch too short for it one each.
        card: what the attack within is told; None is what the API tells.
    """

    def __init__(self, api: PredictionAPI, cost: float = 1.0, card: Card | None = None) -> None:
        checkpoints, self._ends = inner_checkpoints(api.checkpoints, cost)
        super().__init__(card or api.card, checkpoints)
        self._api = api

    @property
    def waited(self) -> float:
        """Virtual seconds that the API behind made the attacker wait."""
        return self._api.waited

    @property
    def dollars(self) -> float:
        """Money spent behind."""
        return self._api.dollars

    @property
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account behind."""
        return self._api.per_account

    def _ask(self, x: Array, account: str) -> Answers:
        behind = np.diff(self._ends[self.queries - len(x) : self.queries + 1])
        return self.ask(x, behind, account)

    @abstractmethod
    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        """Answer these rows, making exactly `behind.sum()` queries of `self._api`.

        Args:
            x: (n, d) rows that the API accepts.
            behind: (n,) how many queries each row pays for, at least 1.
            account: who asks.
        """


def inner_checkpoints(checkpoints: Sequence[int], cost: float) -> tuple[tuple[int, ...], Rows]:
    """Return checkpoints for queries that cost so many, and the queries made by each of them.

    Args:
        checkpoints: of the API behind.
        cost: queries behind for one, at least 1.

    Returns:
        The checkpoints, as many as there are behind; and (their last + 1,) queries behind after
        0, 1, 2, ... queries, increasing, which meet the checkpoints behind exactly.
    """
    if not cost >= 1:
        raise ValueError(f"a query costs at least one query, got {cost}")
    inner: list[int] = []
    ends = [np.zeros(1, np.intp)]
    last = 0
    for place, outer in enumerate(valid_checkpoints(checkpoints)):
        begun = checkpoints[place - 1] if place else 0
        count = max(1, min(outer - begun, int(outer / cost) - last))
        ends.append(begun + np.arange(1, count + 1) * (outer - begun) // count)
        last += count
        inner.append(last)
    return tuple(inner), np.concatenate(ends)
