"""Whether a defense treats all alike: in whatever batches, whoever asks, and whoever asked before.

A defense that does not can spare customers and lie to attackers, whom it tells apart by what no
real service could go by: the name of an account, the size of a batch, the order of arrival.
"""

from collections.abc import Iterator
from copy import deepcopy
from typing import NamedTuple

import numpy as np

from moatbench.api import Deployment
from moatbench.compose.origin import ours
from moatbench.defense import Defense, evidence_of
from moatbench.judge.accounts import Accounts
from moatbench.randomness import stream
from moatbench.record.flag import BATCHES, INVALID, NAMES, OTHERS, Flag
from moatbench.reply import Reply
from moatbench.runner.secret import stream_of
from moatbench.runner.twin import SAME, same
from moatbench.types import Array, Generator
from moatbench.victim import Victim

FEW, MANY = 20, 300  # rows asked of a defense of ours, which the contract knows, and of others
BATCH = 10  # as customers ask
KNOWN_NAMES = ("honest-0", "shifted-0", "adversary", "selfcheck")  # that a run never uses
TOKENS = 4  # other accounts as a run names them


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
            return
        for name in self._others:
            if gap := _gap(usual, self._ask(name, BATCH)):
                text = f"answers depend on the account: {gap}, asked as {self._someone} and {name}"
                yield Flag(INVALID, text, NAMES)
                break
        if repeats and not self._layer.traits.shared:
            after = self._ask(self._someone, BATCH, before=self._others[0])
            if gap := _gap(usual, after):
                text = f"answers depend on who asked before: {gap}, and it does not say `shared`"
                yield Flag(INVALID, text, OTHERS)

    def _ask(self, account: str, batch: int, before: str = "") -> Seen:
        """Ask all rows; another account asks them `before`, where there is one."""
        deployment = self._copy()
        if before:
            deployment.told(self._x, before, batch)
        told = deployment.told(self._x, account, batch)
        return Seen(told, evidence_of(deployment.defense).alarms.get(account, 0))

    def _copy(self) -> "_ByHeart":
        """Copy what is deployed, cheaper than to deploy; deploy anew what cannot be copied."""
        try:
            return deepcopy(self._fresh, {id(self._victim): self._victim})
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
        super().__init__(victim, defense, rng)
        self._truth, self._place = truth, {row.tobytes(): place for place, row in enumerate(x)}

    def predict(self, x: Array) -> Reply:
        """Return what is known; copies, for a defense may keep them."""
        return deepcopy(self._truth.take(np.array([self._place[row.tobytes()] for row in x])))

    def told(self, x: Array, account: str, batch: int) -> Array:
        """(n, 1 + k) the label and the outputs of each row; NaN for what was not told."""
        out = np.full((len(x), 1 + len(self.victim.classes)), np.nan)
        for start in range(0, len(x), batch):
            answers, _ = self.serve(x[start : start + batch], account)
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
