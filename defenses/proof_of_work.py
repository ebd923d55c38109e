"""Proof of work: the further an account's queries pry into the training data, the longer it waits.

Source: Dziedzic et al. 2022, "Increasing the Cost of Model Extraction with Calibrated Proof of
Work", arXiv:2201.09243, the PATE variant, with the knobs of the authors' code but for the number of
teachers (50 there, and neural networks): our data sets are smaller.
Read: authors' code.
"""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np

from moatbench.defense import Defense
from moatbench.knobs import check_number, check_whole
from moatbench.numerics import gnmax
from moatbench.reply import Reply
from moatbench.space import InputSpace
from moatbench.traits import Traits
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import NotApplicable, Victim

MOST_ROWS = 4_000  # of the training data in all: the teachers compare each query with each row
BATCH = 1_000  # rows compared at once
LONGEST = 2948.0  # seconds a puzzle, the authors' cap


@dataclass
class ProofOfWork(Defense):
    """Give an account a puzzle for each query, in virtual seconds; no answer changes.

    Disjoint parts of the defender's data each make a teacher (a nearest neighbour); a query costs
    the epsilon of publishing their noisy vote on it, by `moatbench.numerics.gnmax`. With C the sum
    of an account's costs, and C' = q times the mean cost of a training row (itself left out) what a
    benign one would have spent in q queries, a puzzle takes base^|C - C'| seconds, 2,948 at most,
    and is due for each `queries` queries. The authors' code sets a puzzle a batch; here each query
    bears its share, so that large batches are no cheaper.

    The work for a batch is known once it is asked, and is due before the account's next answer.
    The absolute value is the authors': an account that pries less than a benign one waits too.

    Args:
        teachers: parts of the training data, at least 2.
        sigma: standard deviation of the noise on each count of votes, above 0.
        delta: of the privacy cost, above 0 and up to 1/2.
        base: seconds are its powers, at least 1; 1 is a constant wait.
        queries: that share one puzzle, at least 1.
    """

    teachers: int
    sigma: float
    delta: float
    base: float
    queries: int

    traits = Traits({"costs"}, memory="rows")  # what a query costs, its row decides

    def __post_init__(self) -> None:
        check_whole("proof_of_work: teachers", self.teachers, 2)
        check_number("proof_of_work: sigma", self.sigma, 0, above=True)
        check_number("proof_of_work: delta", self.delta, 0, 0.5, above=True)
        check_number("proof_of_work: base", self.base, 1, hint="; 1 is a constant wait")
        check_whole("proof_of_work: queries", self.queries, 1)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Train the teachers, and find the benign user's cost; need classes, and rows enough."""
        shares = victim.shares
        k, rows = len(victim.classes), rng.permutation(len(shares.x_train))[:MOST_ROWS]
        each = len(rows) // self.teachers
        if k == 1:
            raise NotApplicable(
                "proof_of_work counts the teachers' votes for classes, and this victim answers the "
                "value of a regression; choose a classifier, or throttle"
            )
        if each < 2:
            raise NotApplicable(
                f"proof_of_work: {self.teachers} teachers need two training rows each, and this "
                f"victim has {len(rows)}; lower teachers"
            )
        rows = rows[: each * self.teachers]
        x, y = shares.x_train[rows], shares.y_train[rows]
        self._teachers = _Teachers(x, y.reshape(-1, each), k, victim.space)
        self._benign = float(self.cost(x, np.arange(len(x))).mean())
        self._accounts: dict[str, _Account] = defaultdict(_Account)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Change nothing; set the puzzles for these rows, one after the other."""
        state, cost = self._accounts[account], self.cost(x)
        spent = state.spent + np.cumsum(cost)
        excess = np.abs(spent - self._benign * (state.asked + 1 + np.arange(len(x))))
        state.owed += float(self.seconds(excess).sum())
        state.spent += float(cost.sum())
        state.asked += len(x)
        return reply

    def wait(self, n: int, account: str) -> float:
        """Wait for what is owed."""
        state = self._accounts[account]
        owed, state.owed = state.owed, 0.0
        return owed

    def cost(self, x: Array, own: Rows | None = None) -> Array:
        """(n,) the privacy cost of each row.

        Args:
            x: (n, d) inputs.
            own: (n,) the teachers' row that each is, and that then does not vote on it.
        """
        cost = np.empty(len(x))
        for start in range(0, len(x), BATCH):
            part = slice(start, start + BATCH)
            votes = self._teachers.votes(x[part], None if own is None else own[part])
            cost[part] = gnmax.epsilon(votes, self.sigma, self.delta)
        return cost

    def seconds(self, excess: Array) -> Array:
        """(n,) virtual seconds a query, at each distance from the benign cost."""
        longest = np.log(LONGEST)
        return np.asarray(np.exp(np.minimum(np.log(self.base) * excess, longest)) / self.queries)


@dataclass
class _Account:
    asked: int = 0
    spent: float = 0.0
    owed: float = 0.0


class _Teachers:
    """Nearest neighbours, each in a part of the data of its own, that vote on a query's class."""

    def __init__(self, x: Array, labels: Labels, classes: int, space: InputSpace) -> None:
        self._space, self._classes, self._labels = space, classes, labels
        self._rows = space.encode(x)
        self._squares = np.einsum("ij,ij->i", self._rows, self._rows)

    def votes(self, x: Array, own: Rows | None) -> Array:
        """(n, k) how many teachers vote for each class."""
        away = self._squares - 2 * self._space.encode(x) @ self._rows.T
        if own is not None:
            away[np.arange(len(x)), own] = np.inf
        nearest = away.reshape(len(x), *self._labels.shape).argmin(axis=2)
        told = self._labels[np.arange(len(self._labels)), nearest]
        return np.stack([(told == c).sum(axis=1) for c in range(self._classes)], 1).astype(float)
