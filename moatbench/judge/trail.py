"""The deployment of a run: who asked it what; and a defense knows nobody by the size of a batch."""

from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.client import Answers
from moatbench.defense import Defense
from moatbench.judge.given import answers_of, seconds_of, to_defend
from moatbench.judge.service import OwnDefense
from moatbench.remote.guarded import Guarded
from moatbench.reply import Reply, concatenated
from moatbench.types import Array, Generator
from moatbench.victim import Victim

REPEATED = 1000  # rows, and what they were told, that are kept to be asked of a fresh deployment


class Said(NamedTuple):
    """What an account asked at once, and what it was told.

    Attributes:
        account: that asked.
        x: (n, d) rows.
        waits: whether it was let wait.
        told: (n, 1 + k) label and outputs of each row; NaN for what was not told.
    """

    account: str
    x: Array
    waits: bool
    told: Array


class Trail(Deployment):
    """A deployment that keeps who asked what, in order; the rows only where a monitor watches.

    Args:
        victim: the model.
        defense: deployed here.
        rng: what it draws from.
        singly: whether the defense meets one row at a time, each with an answer of the victim's to
            this row alone. False is for a defense to which batches make no difference, as the
            contract proves of ours.
        keeps: whether rows are kept where no monitor watches, too.
    """

    def __init__(
        self,
        victim: Victim,
        defense: Defense,
        rng: Generator,
        *,
        singly: bool = True,
        keeps: bool = False,
    ) -> None:
        super().__init__(to_defend(victim), defense, rng)
        self.victim = victim
        self.singly, self._keeps = singly, keeps or bool(defense.monitors)
        self._classes = len(victim.classes)
        self.said: list[Said] = []  # at first, by a defense that is asked singly
        self._kept = 0  # rows of it
        self.asked: list[tuple[str, Array]] = []
        self.customers: frozenset[str] = frozenset()  # their accounts, once they are known
        if isinstance(victim.predict, Guarded) and not isinstance(defense, OwnDefense):
            raise ValueError(
                "the defense before a service with one of its own must be OwnDefense, got "
                f" {type(defense).__name__}; attack the plain model with others"
            )

    @property
    def seats(self) -> int | None:
        """How many customers may come: a defended service knows them by keys; None is any."""
        found = self.victim.predict
        return len(found.customers) if isinstance(found, Guarded) else None

    def serve(self, x: Array, account: str) -> tuple[Answers, float]:
        """Answer, and let the account wait: after each row, where rows are asked singly."""
        return self._in_turns(x, account, waits=True)

    def answer(self, x: Array, account: str) -> Answers:
        """Answer, and take down the question."""
        return self._in_turns(x, account, waits=False)[0]

    def predict(self, x: Array) -> Reply:
        """Return the victim's own reply; its last digits may tell the size of a batch."""
        if not self.singly or len(x) < 2:
            return super().predict(x)
        return concatenated([super(Trail, self).predict(row[None]) for row in x])

    def _in_turns(self, x: Array, account: str, *, waits: bool) -> tuple[Answers, float]:
        self.asked.append((account, x.copy() if self._keeps else np.empty((len(x), 0))))
        step = 1 if self.singly else max(len(x), 1)
        parts, waited = [], 0.0
        for start in range(0, len(x), step):
            rows = x[start : start + step]
            if self.singly:  # anybody's code: it may write to what it is given
                part = answers_of(super().answer(rows.copy(), account), len(rows), self._classes)
                part = part._replace(x=rows[part.rows])
            else:
                part = self._answered(rows, account)
            parts.append(part._replace(rows=start + part.rows))
            waited += seconds_of(self.defense.wait(len(rows), account)) if waits else 0.0
        answers = _joined(x, parts)
        if self.singly and (room := REPEATED - self._kept) > 0:
            told = as_told(answers, len(x), self._classes)[:room]
            self.said.append(Said(account, x[:room].copy(), waits, told))
            self._kept += len(told)
        return answers, waited

    def repeated(self, other: "Trail") -> tuple[int, int]:
        """Ask what was said at first of another trail, in its order: how many rows differ, of all.

        Labels count, and confidences that are a hundredth apart: sums may round otherwise.
        """
        pairs = []
        for said in self.said:
            answers, _ = other._in_turns(said.x, said.account, waits=said.waits)
            pairs.append((said.told, as_told(answers, len(said.x), self._classes)))
        one, two = (np.concatenate(p) for p in zip(*pairs, strict=True))
        alike = np.isclose(one, two, rtol=0, atol=0.01, equal_nan=True).all(axis=1)
        return int((~alike).sum()), len(alike)

    def _answered(self, x: Array, account: str) -> Answers:
        """Answer rows; a service with a defense of its own does so itself."""
        if isinstance(self.defense, OwnDefense):
            return self.defense.answers(x, account, customer=account in self.customers)
        return super().answer(x, account)


def as_told(answers: Answers, n: int, classes: int) -> Array:
    """(n, 1 + k) the label and the outputs of each row that was asked; NaN where not told."""
    out = np.full((n, 1 + classes), np.nan)
    out[answers.rows, 0] = answers.labels
    if answers.outputs is not None:
        out[answers.rows, 1:] = answers.outputs
    return out


def _joined(x: Array, parts: list[Answers]) -> Answers:
    if len(parts) == 1:
        return parts[0]
    nothing = Answers(x[:0], np.arange(0), np.empty(0, np.int64), None, None)
    return Answers.joined(parts or [nothing])
