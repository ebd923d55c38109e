"""The attacker's own copy of the monitors that watch it, deployed on what it owns."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from math import inf

import numpy as np

from moatbench.client import Card
from moatbench.learners.purchases import Purchases
from moatbench.monitor import Monitor
from moatbench.reply import Predict, Reply, from_outputs
from moatbench.types import Array, Generator, Labels
from moatbench.victim import Shares, Victim

Train = Callable[[Purchases, Generator], Predict | None]
FIRST, GROWTH = 32, 4  # answers for a first model, and times as many for each further one


class Shadow:
    """Copies of the monitors, before a model that was trained on the answers bought.

    The pool stands for the defender's data. With more answers the copies are deployed afresh, and
    shown again what every account has asked.

    Args:
        monitors: undeployed, with the defender's knobs.
        card: of the API.
        pool: (n, d) inputs of the attacker's own.
        train: makes a model from the answers; None where they are too few to learn from.
        rng: draws what the copies draw.

    Attributes:
        problem: why there are no copies; '' where there are.
        excess: by how much each account's last score exceeded the threshold.
    """

    def __init__(
        self,
        monitors: Sequence[Monitor],
        card: Card,
        pool: Array,
        train: Train,
        rng: Generator,
    ) -> None:
        self._made, self._card, self._pool = monitors, card, pool
        self._train, self._rng = train, rng
        self._copies: list[Monitor] = []
        self._streams: dict[str, list[tuple[Array, int]]] = {}
        self._due = 0  # answers for the next deployment
        self._predict: Predict = self._ignorant
        self.excess: dict[str, float] = {}
        self.problem = "" if monitors else "the defense has no monitor to copy"
        if not len(pool):
            self.problem = "there is no pool to deploy a copy of the monitors on"

    def learn(self, bought: Purchases) -> bool:
        """Deploy the copies, where enough more is known than at the last time; say whether."""
        if len(bought) < self._due or not self._made or not len(self._pool):
            return False
        self._due = max(FIRST, GROWTH * len(bought))
        self._predict = self._train(bought, self._rng.spawn(1)[0]) or self._ignorant
        victim, self.problem = self._victim(), ""
        self._copies, self.excess = [deepcopy(m) for m in self._made], {}
        try:
            for copy, rng in zip(self._copies, self._rng.spawn(len(self._made)), strict=True):
                copy.deploy(victim, rng)
        except ValueError as reason:
            self._copies, self.problem = [], str(reason)
        for account, asked in self._streams.items():
            x, labels = zip(*asked, strict=True)
            self._show(np.array(x), np.array(labels), account)
        return True

    def labels(self, x: Array) -> Labels:
        """(n,) what the attacker expects the answers to be."""
        return self._predict(x).labels

    def foresee(self, x: Array, label: int, account: str) -> float:
        """By how much the score would exceed the threshold if the account asked this row (d,)."""
        rows, labels = x[None], np.array([label])
        scores = [copy.peek(rows, labels, account)[0] - copy.threshold for copy in self._copies]
        return float(max(scores, default=-inf))

    def observe(self, x: Array, label: int, account: str) -> None:
        """Take down that the account asked this row (d,), and was answered so."""
        self._streams.setdefault(account, []).append((x, label))
        self._show(x[None], np.array([label]), account)

    def _show(self, x: Array, labels: Labels, account: str) -> None:
        scores = np.full(len(x), -inf)
        for copy in self._copies:
            scores = np.maximum(scores, copy.score(x, labels, account) - copy.threshold)
        tested = scores[scores > -inf]
        if len(tested):
            self.excess[account] = float(tested[-1])

    def _victim(self) -> Victim:
        card, pool, y = self._card, self._pool, self.labels(self._pool)
        shares = Shares(card.space, card.classes, pool, y, pool, pool, y)
        return Victim(shares, self._predict, card.family, card.architecture)

    def _ignorant(self, x: Array) -> Reply:
        k = len(self._card.classes)
        return from_outputs(np.full((len(x), k), 1 / k))
