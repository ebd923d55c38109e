"""Whether a defense treats all alike: in whatever batches, whoever asks, and whoever asked before.

A defense that does not can spare customers and lie to attackers, whom it tells apart by what no
real service could go by: the name of an account, the size of a batch, the order of arrival.
"""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.origin import ours
from moatbench.defense import Defense, evidence_of
from moatbench.judge.accounts import Accounts
from moatbench.judge.given import to_defend
from moatbench.randomness import stream
from moatbench.record.flag import BATCHES, INVALID, NAMES, OTHERS, Flag
from moatbench.reply import Reply
from moatbench.runner.checks.neighbours import WITHHELD
from moatbench.runner.checks.twin import SAME, same
from moatbench.runner.secret import stream_of
from moatbench.types import Array, Generator
from moatbench.victim import Victim

FEW, MANY = 20, 600  # rows asked of a defense of ours, which the contract knows, and of others
BATCH = 10  # as customers ask
KNOWN_NAMES = ("honest-0", "shifted-0", "adversary", "selfcheck")  # that a run never uses
TOKENS = 4  # other accounts as a run names them
ERRORS, LEAST = 5.0, 0.02  # standard errors, and L1, by which fresh noise may harm one more


class Seen(NamedTuple):
    """What an account was told, (n, 1 + k), and its queries at its first alarm; 0 is none."""

    told: Array
    alarm: int


class Impartiality:
    """Asks a defense the same rows in several ways, each time as freshly deployed.

    Args:
        victim: what it stands before; asked once.
        layer: the defense; copies are deployed.
        seed: of the run.
    """

    def __init__(self, victim: Victim, layer: Defense, seed: int) -> None:
        x, token = victim.shares.x_test[: MANY // 3], Accounts.of(seed).tokens("selfcheck")
        self._someone, *others = [token(f"impartial-{i}") for i in range(1 + TOKENS)]
        if ours(layer):
            x, self._others = x[:FEW], others[:1]
        else:
            x = np.concatenate([x, victim.space.sample(MANY - len(x), stream(seed, "impartial"))])
            self._others = [*others, *KNOWN_NAMES]
        self._victim, self._layer, self._seed, self._x = victim, layer, seed, x
        self._truth = victim.predict(x)
        self._fresh = self._deployed()

    def problems(self, *, repeats: bool) -> Iterator[Flag]:
        """Yield in which ways it is not impartial; `repeats` says that asked again, it answers so.

        Fresh noise is of the account, so that two accounts are told different things.
        """
        usual = self._ask(self._someone, BATCH)
        batches = {size: self._ask(self._someone, size) for size in (1, len(self._x))}
        for size, seen in batches.items():
            if gap := _gap(usual, seen):
                text = f"answers depend on the batch: {gap}, asked {size} and {BATCH} at a time"
                yield Flag(INVALID, text, BATCHES)
                break
        noise = self._layer.traits.noise
        if noise is not None and noise.mode == "fresh":
            if len(self._others) > 1:
                yield from self._on_average(usual)
            return
        for name in self._others:
            if gap := _gap(usual, self._ask(name, BATCH)):
                text = f"answers depend on the account: {gap}, asked as {self._someone} and {name}"
                yield Flag(INVALID, text, NAMES)
                break
        if repeats and not self._layer.traits.shared:
            after = self._ask(self._someone, BATCH, before=self._others[:TOKENS])
            if gap := _gap(usual, after):
                text = f"answers depend on who asked before: {gap}, and it does not say `shared`"
                yield Flag(INVALID, text, OTHERS)

    def _on_average(self, usual: Seen) -> Iterator[Flag]:
        """Yield whom fresh noise harms more: it tells two accounts different things by nature."""
        for name in self._others:
            if gap := self._harm(usual, self._ask(name, BATCH)):
                text = f"answers depend on the account: {gap}, asked as {self._someone} and {name}"
                yield Flag(INVALID, text, NAMES)
                break
        if not self._layer.traits.shared:
            after = self._ask(self._someone, BATCH, before=self._others[:TOKENS])
            if gap := self._harm(usual, after):
                text = f"answers depend on who asked before: {gap}, and it does not say `shared`"
                yield Flag(INVALID, text, OTHERS)

    def _harm(self, one: Seen, two: Seen) -> str:
        """Say how much more one of them is off the truth; '' where chance explains it."""
        k = len(self._victim.classes)
        true, labels = self._truth.outputs, self._truth.labels
        true = np.eye(k)[labels] if true is None else true
        lost = []
        for told in (one.told, two.told):
            off = np.abs(told[:, 1:] - true).sum(axis=1)
            lost.append(np.where(np.isnan(off), WITHHELD * (told[:, 0] != labels), off))
        gap = lost[0] - lost[1]
        error = gap.std(ddof=1) / len(gap) ** 0.5
        if abs(gap.mean()) <= max(ERRORS * error, LEAST):
            return ""
        return f"off by {lost[0].mean():.3g} and {lost[1].mean():.3g} on average"

    def _ask(self, account: str, batch: int, before: Sequence[str] = ()) -> Seen:
        """Ask all rows; others ask `before`: the first all rows, the next some between these."""
        deployment = self._copy()
        for place, other in enumerate(before):
            deployment.told(self._x if not place else self._x[:batch], other, batch)
        told = deployment.told(self._x, account, batch, between="".join(before[1:2]))
        return Seen(told, evidence_of(deployment.defense).alarms.get(account, 0))

    def _copy(self) -> "_ByHeart":
        """Copy what is deployed, cheaper than to deploy; deploy anew what cannot be copied."""
        try:
            kept = self._victim, self._fresh.owned
            return deepcopy(self._fresh, {id(one): one for one in kept})
        except Exception:  # a lock, an open file: a defense may be anybody's code
            return self._deployed()

    def _deployed(self) -> "_ByHeart":
        rng = stream_of(self._layer, self._seed, "selfcheck")
        return _ByHeart(self._victim, deepcopy(self._layer), rng, self._x, self._truth)


class _ByHeart(Deployment):
    """Knows the victim's answers to some rows by heart: no batch sways their last digits."""

    def __init__(
        self, victim: Victim, defense: Defense, rng: Generator, x: Array, truth: Reply
    ) -> None:
        self.owned = to_defend(victim)
        super().__init__(self.owned, defense, rng)
        self.victim = victim
        self._truth, self._place = truth, {row.tobytes(): place for place, row in enumerate(x)}

    def predict(self, x: Array) -> Reply:
        """Return what is known; copies, for a defense may keep them, or have changed the rows."""
        if any(row.tobytes() not in self._place for row in x):
            return super().predict(x)
        return deepcopy(self._truth.take(np.array([self._place[row.tobytes()] for row in x])))

    def told(self, x: Array, account: str, batch: int, between: str = "") -> Array:
        """(n, 1 + k) the label and the outputs of each row; NaN for what was not told.

        Another account asks the same `between` the batches, where there is one.
        """
        out = np.full((len(x), 1 + len(self.victim.classes)), np.nan)
        for start in range(0, len(x), batch):
            if between:
                self.serve(x[start : start + batch].copy(), between)
            answers, _ = self.serve(x[start : start + batch].copy(), account)
            out[start + answers.rows, 0] = answers.labels
            if answers.outputs is not None:
                out[start + answers.rows, 1:] = answers.outputs
        return out


def _gap(one: Seen, two: Seen) -> str:
    """Say in how much the same account was treated otherwise; '' where in nothing."""
    wrong = int((~same(one.told, two.told, SAME)).sum())
    if wrong:
        return f"{wrong} of {len(one.told)} rows differ"
    if one.alarm != two.alarm:
        return f"the first alarm is at query {one.alarm or 'none'} and {two.alarm or 'none'}"
    return ""
