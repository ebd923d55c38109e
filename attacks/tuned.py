"""Try several settings of an attack before most of the budget is spent; then go on with the best.

An attack that is tuned to the defense is the honest one (Carlini et al. 2019, "On Evaluating
Adversarial Robustness", sec. 4). The search has no other data than an attacker has: each trial
buys its own answers, settings are compared on answers bought for the purpose, and all of it counts.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from math import ceil, prod
from typing import Any

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.attack import Attack
from moatbench.client import Answers, Card, Surrogate, ignorant
from moatbench.defense import Defense
from moatbench.knobs import check_number, check_whole
from moatbench.strategies.window import Window
from moatbench.types import Array, Generator
from moatbench.victim import Victim


@dataclass(frozen=True)
class Tuned(Attack):
    """Search at random among the settings of another attack.

    Args:
        attack: makes the attack from its knobs.
        space: the values to try, for some of its knobs.
        trials: settings that are tried, at most.
        share: of the budget, what the search costs, comparison included.
        compared: of the search's share, the uniform queries that settings are compared on.
    """

    attack: Callable[..., Attack]
    space: Mapping[str, Sequence[Any]]
    trials: int
    share: float
    compared: float
    _told: tuple[Defense, Victim | None] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.space or not all(self.space.values()):
            raise ValueError(
                "tuned: space must be knobs with values to try for each, got "
                f"{dict(self.space)!r}; give at least one knob, and none without values"
            )
        check_whole("tuned: trials", self.trials, 2)
        for knob, value in (("share", self.share), ("compared", self.compared)):
            check_number(f"tuned: {knob}", value, 0, 1, above=True, below=True)
        for setting in self._settings(np.random.default_rng(0)):
            self._made(setting)

    @property
    def aware(self) -> frozenset[str]:  # type: ignore[override]
        """What the attack that is tuned was made for."""
        return self._made({}).aware

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the attack that is tuned is shown the victim."""
        return self._made({}).oracle

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether the attack that is tuned uses nothing but labels, whatever its setting."""
        return self._made({}).labels_only

    def informed(self, defense: Defense, victim: Victim | None) -> Attack:
        """Return a search that tells each attack that it makes."""
        told = replace(self)
        object.__setattr__(told, "_told", (defense, victim))
        return told

    def unmet(self, card: Card, pool: Array) -> str:
        """Say why the attack that is tuned does not apply."""
        return self._made({}).unmet(card, pool)

    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
        """Yield the best that was found so far; after the search, what its winner finds."""
        settings = [s for s in self._settings(rng) if not self._made(s).unmet(api.card, pool)]
        search = Trials(api, ceil(self.share * api.budget))
        yield from search.compare_on(ceil(self.compared * self.share * api.budget), rng)
        for left, setting in zip(range(len(settings), 0, -1), settings, strict=True):
            room = (search.end - api.queries) // left
            if room > 0:
                yield from search.play(self._made(setting), setting, room, pool, rng.spawn(1)[0])
        if api.remaining:
            winner = search.setting if search.setting is not None else {}
            attack = self._made(winner)
            yield from search.play(attack, winner, api.remaining, pool, rng.spawn(1)[0])

    def _settings(self, rng: Generator) -> list[dict[str, Any]]:
        """Draw settings without repetition."""
        total = prod(len(values) for values in self.space.values())
        grid = [dict(zip(self.space, v, strict=True)) for v in product(*self.space.values())]
        order = rng.permutation(total)[: self.trials]
        return [grid[place] for place in order]

    def _made(self, setting: Mapping[str, Any]) -> Attack:
        try:
            attack = self.attack(**setting)
        except TypeError as error:
            raise ValueError(
                f"tuned: space names a knob that the attack has not: {error}"
            ) from error
        return attack if self._told is None else attack.informed(*self._told)


class Trials:
    """The best surrogate so far, by its answers to questions whose answers were bought.

    Args:
        api: what is asked.
        end: the number of queries at which the search is over.
    """

    def __init__(self, api: PredictionAPI, end: int) -> None:
        self.end = end
        self.setting: dict[str, Any] | None = None
        self._api = api
        self._best = ignorant(api.card)
        self._error = np.inf
        self._truth: Answers | None = None

    def compare_on(self, n: int, rng: Generator) -> Iterator[Surrogate]:
        """Buy the answers to n uniform questions."""
        window = Window(self._api, n)
        parts = []
        for checkpoint in window.checkpoints:
            parts.append(
                window.query(self._api.card.space.sample(checkpoint - window.queries, rng))
            )
            if self._api.queries in self._api.checkpoints:
                yield self._best
        self._truth = Answers.joined(parts)

    def play(
        self,
        attack: Attack,
        setting: Mapping[str, Any],
        size: int,
        pool: Array,
        rng: Generator,
    ) -> Iterator[Surrogate]:
        """Run an attack on the next queries; keep what it finds if that is better."""
        window = Window(self._api, size)
        for surrogate in attack.run(window, pool, rng):
            error = self._wrong(surrogate)
            if error <= self._error:
                self._best, self._error, self.setting = surrogate, error, dict(setting)
            if self._api.queries in self._api.checkpoints:
                yield self._best
            if not window.remaining:
                return

    def _wrong(self, surrogate: Surrogate) -> float:
        """Total variation from the answers; from the labels where nothing else was told."""
        if self._truth is None or not len(self._truth.x):
            return np.inf
        reply, truth = surrogate.predict(self._truth.x), self._truth
        wrong: Array = (reply.labels != truth.labels).astype(np.float64)
        if reply.outputs is not None and truth.outputs is not None:
            apart = np.abs(reply.outputs - truth.outputs).sum(axis=1) / 2
            wrong = np.where(np.isnan(apart), wrong, apart)
        return float(wrong.mean())
