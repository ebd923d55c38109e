"""A stretch of an API's budget, as an API of its own: for attacks that are made of attacks."""

from moatbench.api import ADVERSARY, PredictionAPI
from moatbench.client import Answers, BudgetExceeded, Purchases
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
        self._api, self._start, self._purchases = api, api.queries, purchases
        inside = [c - api.queries for c in api.checkpoints if 0 < c - api.queries < size]
        self.checkpoints = (*inside, size)
        self.card = api.card
        self.queries = self.refused = 0
        self.waited = 0.0
        self.per_account = api.per_account

    def query(self, x: Array, account: str = ADVERSARY) -> Answers:
        """Buy predictions; as `PredictionAPI.query`, from what remains of the stretch."""
        if len(x) > self.remaining:
            raise BudgetExceeded(
                f"asked for {len(x)} queries, but {self.remaining} of {self.budget} remain; "
                "slice the batch to api.remaining"
            )
        refused, waited = self._api.refused, self._api.waited
        answers = self._api.query(x, account)
        self.queries = self._api.queries - self._start
        self.refused += self._api.refused - refused
        self.waited += self._api.waited - waited
        if self._purchases is not None:
            self._purchases.add(answers)
        return answers
