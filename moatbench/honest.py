"""What a defense costs honest customers, measured on the very instance that is under attack."""

import time
from collections.abc import Sequence

import numpy as np

from moatbench.api import Deployment
from moatbench.metrics import expected_calibration_error
from moatbench.types import Array, Generator, Labels, Rows

ACCOUNTS = 5
QUERIES_AN_ACCOUNT = 500
BATCH = 10


class HonestTraffic:
    """Customers who ask the test data, in step with the attack, each under an account of their own.

    An account asks distinct rows in an order of its own, up to `QUERIES_AN_ACCOUNT` of them, in
    batches of `BATCH`. By the time the attack has spent its budget, all have asked.

    Args:
        deployment: the instance under attack.
        budget: the attack's budget, in queries.
        rng: draws who asks what.
    """

    def __init__(self, deployment: Deployment, budget: int, rng: Generator) -> None:
        shares = deployment.victim.shares
        n = min(QUERIES_AN_ACCOUNT, len(shares.x_test))
        orders = np.array([rng.permutation(len(shares.x_test))[:n] for _ in range(ACCOUNTS)])
        self._schedule = [
            (f"honest-{account}", orders[account, start : start + BATCH])
            for start in range(0, n, BATCH)
            for account in range(ACCOUNTS)
        ]
        self._deployment, self._budget = deployment, budget
        self._asked: list[tuple[Rows, Rows]] = []  # (rows of the test data, places answered)
        self._labels: list[Labels] = []
        self._outputs: list[Array | None] = []
        self._seconds = self._bare_seconds = 0.0
        self._waited = 0.0

    def keep_pace(self, queries: int) -> None:
        """Ask so many batches that the share asked equals the share of the budget spent."""
        due = len(self._schedule) * queries // self._budget
        for account, rows in self._schedule[len(self._asked) : due]:
            self._ask(account, rows)

    def report(self) -> dict[str, float]:
        """What the customers have seen so far, as compared with the undefended victim."""
        if not self._asked:
            return {}
        asked = np.concatenate([rows for rows, _ in self._asked])
        answered = np.concatenate([rows[places] for rows, places in self._asked])
        accounts = {account for account, _ in self._schedule[: len(self._asked)]}
        alarmed = [q for a, q in self._deployment.defense.alarms.items() if a in accounts]
        report = {
            "honest_refused": 1 - len(answered) / len(asked),
            "honest_alarmed_accounts": len(alarmed) / len(accounts),
            "honest_first_alarm": float(min(alarmed, default=np.nan)),
        }
        return report | self._answer_quality(answered)

    def seconds_added(self) -> float:
        """Mean seconds that the defense adds to a query, by the clock."""
        rows = sum(len(rows) for rows, _ in self._asked)
        return (self._seconds - self._bare_seconds) / max(rows, 1)

    def seconds_waited(self) -> float:
        """Mean virtual seconds that a query had to wait."""
        return self._waited / max(sum(len(rows) for rows, _ in self._asked), 1)

    def _ask(self, account: str, rows: Rows) -> None:
        victim, x = self._deployment.victim, self._deployment.victim.shares.x_test[rows]
        start = time.perf_counter()
        victim.predict(x)
        middle = time.perf_counter()
        answers = self._deployment.answer(x, account)
        self._seconds += time.perf_counter() - middle
        self._bare_seconds += middle - start
        self._waited += self._deployment.defense.wait(len(x), account)  # as the API asks: after
        self._asked.append((rows, answers.rows))
        self._labels.append(answers.labels)
        self._outputs.append(answers.outputs)

    def _answer_quality(self, answered: Rows) -> dict[str, float]:
        """Compare what was answered with the truth, on the answered rows."""
        names = ("label_agreement", "accuracy_lost", "l1_mean", "l1_max", "ece", "ece_undefended")
        if not len(answered):
            return {f"honest_{name}": float("nan") for name in names}
        victim, y = self._deployment.victim, self._deployment.victim.shares.y_test[answered]
        clean = victim.predict(victim.shares.x_test[answered])
        labels = np.concatenate(self._labels)
        outputs = _stacked(self._outputs, [len(part) for part in self._labels])
        values = [
            float(np.mean(labels == clean.labels)),
            float(np.mean(clean.labels == y) - np.mean(labels == y)),
        ]
        if clean.outputs is None:
            return dict(zip((f"honest_{n}" for n in names), [*values, *[np.nan] * 4], strict=True))
        told = ~np.isnan(outputs).any(axis=1) if outputs is not None else np.zeros(len(y), bool)
        if len(victim.classes) == 1:
            gap = np.abs(outputs - clean.outputs)[told] if outputs is not None else np.empty(0)
            l1_values = [float(gap.mean()), float(gap.max())] if gap.size else [np.nan] * 2
            told_values = [values[0], np.nan, *l1_values, np.nan, np.nan]
            return dict(zip((f"honest_{n}" for n in names), told_values, strict=True))
        # To a customer, an answer without confidences is certainty in its label.
        seen = np.eye(len(victim.classes))[labels]
        if outputs is not None:
            seen[told] = outputs[told]
        l1 = np.abs(seen - clean.outputs).sum(axis=1)
        values += [float(l1.mean()), float(l1.max())]
        values += [
            expected_calibration_error(seen[told], y[told]) if told.any() else float("nan"),
            expected_calibration_error(clean.outputs, y),
        ]
        return dict(zip((f"honest_{n}" for n in names), values, strict=True))


def _stacked(parts: Sequence[Array | None], lengths: Sequence[int]) -> Array | None:
    """Stack the outputs of the batches; a batch of labels only becomes rows of NaN."""
    width = next((p.shape[1] for p in parts if p is not None), None)
    if width is None:
        return None
    return np.concatenate(
        [
            np.full((n, width), np.nan) if p is None else p
            for p, n in zip(parts, lengths, strict=True)
        ]
    )
