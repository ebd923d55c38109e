"""A stretch of an API's budget, as an API of its own: for attacks that are made of attacks."""

from collections.abc import Mapping

from moatbench.api import PredictionAPI
from moatbench.client import Answers, Purchases
from moatbench.types import Array


class Window(PredictionAPI):
    """The next `size` queries of `api`, metered, billed and answered by it.

    Its checkpoints are those of `api` that fall into the stretch, counted from its start, and the
    end of the stretch: so that an attack within it stops wherever the judge wants to look.

    Args:
        api: what is asked.
        size: of the stretch, in queries, at most those that remain.
        purchases: where the answers are kept as well; None keeps them nowhere.
    """

    def __init__(self, api: PredictionAPI, size: int, purchases: Purchases | None = None) -> None:
        inside = [c - api.queries for c in api.checkpoints if 0 < c - api.queries < size]
        super().__init__(api.card, (*inside, size))
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
