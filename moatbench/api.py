"""The prediction API: all that an attack may touch, with the meter running."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from moatbench.client import Answers, BudgetExceeded, Card, InvalidQuery, check_account, numbers
from moatbench.defense import Defense
from moatbench.types import Array, Generator
from moatbench.victim import Victim

ADVERSARY = "adversary"


class Deployment:
    """A victim behind its freshly deployed defense, as clients of every account meet it."""

    def __init__(self, victim: Victim, defense: Defense, rng: Generator) -> None:
        defense.deploy(victim, rng)
        self.victim, self.defense = victim, defense

    def answer(self, x: Array, account: str) -> Answers:
        """Answer what the defense admits; a row that it does not admit never reaches the victim."""
        x = x.view()
        x.flags.writeable = False
        admitted = self.defense.admit(x, account)
        if admitted.all():
            rows, kept = np.arange(len(x)), x
        else:
            rows, kept = np.flatnonzero(admitted), x[admitted]
        if not len(rows):  # many models do not take an empty batch
            return Answers(kept, rows, np.empty(0, np.int64), None, None)
        reply = self.defense.respond(kept, self.victim.predict(kept), account)
        if reply.refused is not None and reply.refused.any():
            given = ~reply.refused
            reply, kept, rows = reply.take(given), kept[given], rows[given]
        return Answers(kept, rows, reply.labels, reply.outputs, reply.path)

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


class Trail(Deployment):
    """A deployment that keeps who asked what, in order; the rows only where a monitor watches."""

    def __init__(self, victim: Victim, defense: Defense, rng: Generator) -> None:
        super().__init__(victim, defense, rng)
        self.asked: list[tuple[str, Array]] = []

    def answer(self, x: Array, account: str) -> Answers:
        """Answer, and take down the question."""
        self.asked.append((account, x.copy() if self.defense.monitors else np.empty((len(x), 0))))
        return super().answer(x, account)


class PredictionAPI(ABC):
    """A session with an API that counts queries, under one purse and any number of accounts.

    The interface of whatever an attack asks: `MeteredAPI` is the one that bills, and a smaller view
    of it is one as well.

    Args:
        card: what a client knows before the first query.
        checkpoints: cumulative query counts at which the attack is scored; the last is the budget.

    Attributes:
        queries: asked so far, answered or refused.
        refused: of those, how many got no answer.
    """

    def __init__(self, card: Card, checkpoints: Sequence[int]) -> None:
        self.card = card
        self.checkpoints = valid_checkpoints(checkpoints)
        self.queries = 0
        self.refused = 0

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
        return round(self.card.price * (self.queries - self.refused), 9)

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
            x: (n, d), in the API's own units; NaN leaves a feature out. Never written to.
            account: who asks. A new name is a new account with a clean history, and the same purse.

        Raises:
            BudgetExceeded: n is more than `remaining`. Nothing was asked or billed.
            InvalidQuery: no numbers, wrong shape, out of range, NaN where no partial inputs are
                taken, or an account that is no short text.
        """
        x = numbers(x)
        check_account(account)
        if problem := self.card.space.problem(x, self.card.partial):
            raise InvalidQuery(problem)
        if len(x) > self.remaining:
            raise BudgetExceeded(
                f"asked for {len(x)} queries, but {self.remaining} of {self.budget} remain; "
                "slice the batch to api.remaining"
            )
        self.queries += len(x)
        answers = self._ask(x, account)
        self.refused += len(x) - len(answers.rows)
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
    """

    def __init__(
        self,
        deployment: Deployment,
        checkpoints: Sequence[int],
        *,
        price: float = 0.0,
        listener: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(deployment.card(price), checkpoints)
        self.__deployment = deployment
        self.__listener = listener
        self.__waited = 0.0
        self.__per_account: Counter[str] = Counter()

    @property
    def waited(self) -> float:
        """Virtual seconds that the defense made the attacker wait so far."""
        return self.__waited

    @property
    def per_account(self) -> Mapping[str, int]:
        """Queries of each account so far."""
        return self.__per_account

    def _ask(self, x: Array, account: str) -> Answers:
        self.__per_account[account] += len(x)
        answers = self.__deployment.answer(x, account)
        self.__waited += self.__deployment.defense.wait(len(x), account)  # for what was just asked
        if self.__listener is not None:
            self.__listener(self.queries)
        return answers


def valid_checkpoints(checkpoints: Sequence[int]) -> tuple[int, ...]:
    """Return the checkpoints; raise a ValueError unless they are positive and increasing."""
    points = tuple(checkpoints)
    whole = all(isinstance(p, int | np.integer) for p in points)
    if not points or not whole or points[0] < 1 or any(np.diff(points) <= 0):
        raise ValueError(
            f"checkpoints must be whole, positive and increasing, got {list(points)}; "
            "for example [65, 130, 650]"
        )
    return tuple(int(p) for p in points)
