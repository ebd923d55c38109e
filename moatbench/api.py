"""The prediction API: all that an attack may touch, with the meter running."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from moatbench.client import Answers, BudgetExceeded, Card, InvalidQuery, check_account, numbers
from moatbench.defense import Defense, responded
from moatbench.reply import Reply
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Victim

ADVERSARY = "adversary"


class Deployment:
    """A victim behind its freshly deployed defense, as clients of every account meet it."""

    def __init__(self, victim: Victim, defense: Defense, rng: Generator) -> None:
        defense.deploy(victim, rng)
        self.victim, self.defense = victim, defense

    def serve(self, x: Array, account: str) -> tuple[Answers, float]:
        """Answer, and tell how many virtual seconds the account waits for it."""
        return self.answer(x, account), self.defense.wait(len(x), account)

    def answer(self, x: Array, account: str) -> Answers:
        """Answer what the defense admits; a row that it does not admit never reaches the victim."""
        x = x.view()
        x.flags.writeable = False
        admitted = self.defense.admit(x, account)
        rows, kept = np.flatnonzero(admitted), x if admitted.all() else x[admitted]
        if not len(rows):  # many models do not take an empty batch
            return Answers(kept, rows, np.empty(0, np.int64), None, None)
        reply = responded(self.defense, kept, self.predict(kept), account)
        if reply.refused is not None and reply.refused.any():
            given = ~reply.refused
            reply, kept, rows = reply.take(given), kept[given], rows[given]
        return Answers(kept, rows, reply.labels, reply.outputs, reply.path)

    def predict(self, x: Array) -> Reply:
        """Return the victim's own reply, before the defense sees it."""
        return self.victim.predict(x)

    def card(self, price: float) -> Card:
        """Return what its clients are told before the first query, at so many dollars an answer."""
        victim, said = self.victim, self.defense.traits
        return Card(
            space=victim.space,
            classes=victim.classes,
            price=price,
            confidences=victim.confidences and said.confidences,
            partial=victim.partial and said.partial,
            family=victim.family,
            architecture=dict(victim.architecture),
            full=victim.full,
        )


class PredictionAPI(ABC):
    """A session with an API that counts queries, under one purse and any number of accounts.

    The interface of whatever an attack asks: `MeteredAPI` is the one that bills, and a smaller view
    of it is one as well. Meters can only be read; the card is the client's own copy.

    Args:
        card: what a client knows before the first query.
        checkpoints: cumulative query counts at which the attack is scored; the last is the budget.
    """

    def __init__(self, card: Card, checkpoints: Sequence[int]) -> None:
        self.__told, self.__checkpoints = card, valid_checkpoints(checkpoints)
        space = InputSpace(deepcopy(card.space.features), card.space.image)
        self.__card = replace(card, space=space, architecture=deepcopy(card.architecture))
        self.__queries = self.__refused = 0

    @property
    def card(self) -> Card:
        """What a client knows before the first query."""
        return self.__card

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Cumulative query counts at which the attack is scored."""
        return self.__checkpoints

    @property
    def queries(self) -> int:
        """Asked so far, answered or refused."""
        return self.__queries

    @property
    def refused(self) -> int:
        """Of the queries, how many got no answer."""
        return self.__refused

    @property
    def budget(self) -> int:
        """Queries allowed in all."""
        return self.checkpoints[-1]

    @property
    def remaining(self) -> int:
        """Queries left before the budget is spent."""
        return self.budget - self.queries

    @property
    def dollars(self) -> float:
        """Money spent so far."""
        return round(self.__told.price * (self.queries - self.refused), 9)

    @property
    @abstractmethod
    def waited(self) -> float:
        """Virtual seconds that the attacker had to wait so far."""

    @property
    @abstractmethod
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account so far."""

    def query(self, x: Array, account: str = ADVERSARY) -> Answers:
        """Buy predictions.

        Args:
            x: (n, d), in the API's own units; NaN leaves a feature out. Never written to. Between
                two steps the nearest is answered; `Answers.x` tells it.
            account: who asks. A new name is a new account with a clean history, and the same purse.

        Raises:
            BudgetExceeded: n is more than `remaining`. Nothing was asked or billed.
            InvalidQuery: rows or account are not as above, or NaN where none is taken.
        """
        x = numbers(x)
        check_account(account)
        if problem := self.__told.space.problem(x, self.__told.partial):
            raise InvalidQuery(problem)
        if len(x) > self.remaining:
            raise BudgetExceeded(
                f"asked for {len(x)} queries, but {self.remaining} of {self.budget} remain; "
                "slice the batch to api.remaining"
            )
        self.__queries += len(x)
        answers = self._ask(self.__told.space.answered(x), account)
        self.__refused += len(x) - len(answers.rows)
        return answers

    @abstractmethod
    def _ask(self, x: Array, account: str) -> Answers:
        """Answer rows (n, d) that are valid and within the budget; they are counted already."""


class MeteredAPI(PredictionAPI):
    """A metered, billed session with a deployment.

    Args:
        deployment: what answers.
        checkpoints: cumulative query counts at which the attack is scored; the last is the budget.
        price: US dollars an answered query; a refused one is counted but not billed.
        listener: told the number of queries after each batch (honest traffic follows it).
        token: turns the name of an account into the one under which the defense meets it.
    """

    def __init__(
        self,
        deployment: Deployment,
        checkpoints: Sequence[int],
        *,
        price: float = 0.0,
        listener: Callable[[int], None] = lambda queries: None,
        token: Callable[[str], str] = str,
    ) -> None:
        super().__init__(deployment.card(price), checkpoints)
        self.__deployment, self.__listener, self.__token = deployment, listener, token
        self.__waited = 0.0
        self.__per_account: Counter[str] = Counter()

    @property
    def waited(self) -> float:
        """Virtual seconds that the defense made the attacker wait so far."""
        return self.__waited

    @property
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account so far."""
        return MappingProxyType(dict(self.__per_account))

    def _ask(self, x: Array, account: str) -> Answers:
        self.__per_account[account] += len(x)
        answers, seconds = self.__deployment.serve(x, self.__token(account))
        self.__waited += seconds
        self.__listener(self.queries)
        return deepcopy(answers)  # an array that the defense keeps is not the client's to write to


def valid_checkpoints(checkpoints: Sequence[int]) -> tuple[int, ...]:
    """Return the checkpoints; raise a ValueError unless they are positive and increasing."""
    points = tuple(checkpoints)
    whole = all(isinstance(p, int | np.integer) and p is not True for p in points)
    if not points or not whole or points[0] < 1 or any(np.diff(points) <= 0):
        raise ValueError(
            f"checkpoints must be whole, positive and increasing, got {list(points)}; "
            "for example [65, 130, 650]"
        )
    return tuple(int(p) for p in points)
