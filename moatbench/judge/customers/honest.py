"""What a defense costs honest customers, measured on the very instance that is under attack."""

import time
from collections.abc import Callable, Mapping

import numpy as np

from moatbench.api import Deployment
from moatbench.defense import evidence_of
from moatbench.judge.customers.quality import UNKNOWN, quality
from moatbench.record.columns import OF_A_GROUP
from moatbench.reply import Reply, concatenated
from moatbench.types import Generator, Labels, Mask, Rows

ACCOUNTS = 5
SHIFTED_ACCOUNTS = 3
QUERIES_AN_ACCOUNT = 500
BATCH = 10


class HonestTraffic:
    """Customers who ask the test data, in step with the attack, each under an account of their own.

    An account asks distinct rows in an order of its own, up to `QUERIES_AN_ACCOUNT` of them, in
    batches of `BATCH`. By the time the attack has spent its budget, all have asked. What is
    reported is what they are due to have asked by then, and not who came `early`.

    Args:
        deployment: the instance under attack.
        budget: the attack's budget, in queries.
        rng: draws who asks what.
        name: of these customers: their accounts are `<name>-0`..., their measures `<name>_*`.
        token: turns the name of an account into the one under which the defense meets it.
        rows: of the test data that they ask; None is all.
        accounts: how many of them there are.
    """

    def __init__(
        self,
        deployment: Deployment,
        budget: int,
        rng: Generator,
        name: str = "honest",
        rows: Rows | None = None,
        accounts: int = ACCOUNTS,
        token: Callable[[str], str] = str,
    ) -> None:
        rows = np.arange(len(deployment.victim.shares.x_test)) if rows is None else rows
        n = min(QUERIES_AN_ACCOUNT, len(rows))
        drawn = [rng.permutation(len(rows))[:n] for _ in range(accounts)]
        orders = rows[np.array(drawn, dtype=np.intp).reshape(accounts, n)]
        self.tokens = [token(f"{name}-{account}") for account in range(accounts)]
        self._schedule = [
            (self.tokens[account], orders[account, start : start + BATCH])
            for start in range(0, n, BATCH)
            for account in range(accounts)
        ]
        self._deployment, self._budget, self._name = deployment, budget, name
        self._due = 0  # batches, by what the attack has spent
        self._asked: list[tuple[Rows, Rows]] = []  # (rows of the test data, those answered)
        self._told: list[Reply] = []
        self._clean: list[Reply] = []  # the undefended answers to the answered rows
        self._added: list[float] = []  # seconds of a batch, beyond the victim's own
        self._waited = 0.0

    @classmethod
    def shifted(
        cls,
        deployment: Deployment,
        budget: int,
        rng: Generator,
        rows: Rows,
        token: Callable[[str], str] = str,
        accounts: int = SHIFTED_ACCOUNTS,
    ) -> "HonestTraffic":
        """Return customers who ask nothing but these rows of the test data."""
        return cls(deployment, budget, rng, "shifted", rows, accounts, token)

    def come_early(self, accounts: int) -> None:
        """Let some accounts ask their first batch, so that a defense meets the attack not first."""
        for account, rows in self._schedule[:accounts]:
            self._ask(account, rows)

    def keep_pace(self, queries: int) -> None:
        """Ask so many batches that the share asked equals the share of the budget spent."""
        self._due = len(self._schedule) * queries // self._budget
        for account, rows in self._schedule[len(self._asked) : self._due]:
            self._ask(account, rows)

    def report(self) -> dict[str, float]:
        """What they have seen so far, as compared with the undefended victim; NaN before that."""
        report = self._admission() | UNKNOWN
        if self._due:
            victim = self._deployment.victim
            told, clean = self._replies
            report |= quality(
                told, clean, victim.shares.y_test[self._answered], len(victim.classes)
            )
        return {f"{self._name}_{measure}": value for measure, value in report.items()}

    def by_group(self, groups: Mapping[str, Mask]) -> dict[str, dict[str, float]]:
        """Tell what each group, (n,) test rows by name, was refused and lost; NaN if nobody asked.

        `rows` of the group were asked about, each by several customers.
        """
        victim, answered = self._deployment.victim, self._answered
        due = [rows for rows, _ in self._asked[: self._due]]
        asked = np.concatenate(due or [np.empty(0, np.intp)])
        told, clean = self._replies
        out = {}
        for name, rows in groups.items():
            theirs, given = rows[asked].sum(), rows[answered]
            measured = quality(
                told.take(given),
                clean.take(given),
                victim.shares.y_test[answered[given]],
                len(victim.classes),
            )
            refused = 1 - given.sum() / theirs if theirs else np.nan
            out[name] = {
                "rows": float(len(np.unique(asked[rows[asked]]))),
                "refused": float(refused),
                **{measure: measured[measure] for measure in OF_A_GROUP},
            }
        return out

    @property
    def told(self) -> tuple[Rows, Labels]:
        """(m,) the rows of the test data that were answered so far, and (m,) the labels told."""
        return self._answered, self._replies[0].labels

    def seconds_added(self) -> float:
        """Mean seconds that the defense adds to a query; 0 where the clock cannot tell them.

        That is where the mean over batches lies within two standard errors of nothing.
        """
        added = np.array(self._added)
        if len(added) < 2 or added.mean() <= 2 * added.std(ddof=1) / len(added) ** 0.5:
            return 0.0
        return float(added.sum() / self._queries)

    def seconds_waited(self) -> float:
        """Mean virtual seconds that a query had to wait."""
        return self._waited / max(self._queries, 1)

    def _ask(self, account: str, rows: Rows) -> None:
        x = self._deployment.victim.shares.x_test[rows]
        start = time.perf_counter()
        clean = self._deployment.predict(x)
        middle = time.perf_counter()
        answers, waited = self._deployment.serve(x, account)
        self._added.append(time.perf_counter() - middle - (middle - start))
        self._waited += waited
        given = np.zeros(len(x), bool)
        given[answers.rows] = True
        self._asked.append((rows, rows[given]))
        self._told.append(Reply(answers.labels, answers.outputs))
        self._clean.append(Reply(clean.labels, clean.outputs).take(given))

    def _admission(self) -> dict[str, float]:
        """Who was refused, and who is suspected."""
        accounts = {account for account, _ in self._schedule[: self._due]}
        alarms = evidence_of(self._deployment.defense).alarms.items()
        alarmed = [queries for account, queries in alarms if account in accounts]
        unknown = float("nan")
        return {
            "refused": 1 - len(self._answered) / self._queries if self._due else unknown,
            "alarmed_accounts": len(alarmed) / len(accounts) if self._due else unknown,
            "first_alarm": float(min(alarmed, default=unknown)),
        }

    @property
    def _replies(self) -> tuple[Reply, Reply]:
        """What was told to the rows that got an answer, and what the victim says to them."""
        return concatenated(self._told[: self._due]), concatenated(self._clean[: self._due])

    @property
    def _answered(self) -> Rows:
        """(m,) the rows of the test data that got an answer."""
        return np.concatenate(
            [answered for _, answered in self._asked[: self._due]] or [np.empty(0, np.intp)]
        )

    @property
    def _queries(self) -> int:
        return sum(len(rows) for rows, _ in self._asked[: self._due])
