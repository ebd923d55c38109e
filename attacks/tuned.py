"""Try several settings of an attack on a part of the queries; go on with the best on the others.

An attack that is tuned to the defense is the honest one (Carlini et al. 2019, "On Evaluating
Adversarial Robustness", sec. 4). The search has no other data than an attacker has: each trial
buys its own answers, settings are compared on answers bought for the purpose, and all of it counts.
The search never ends: in stages that grow, each setting goes on a little where it stopped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import product
from math import ceil
from typing import Any

import numpy as np

from moatbench.attack import Attack, Target
from moatbench.client import Answers, Surrogate
from moatbench.knobs import check_number, check_whole
from moatbench.learners.published import ignorant
from moatbench.strategies.window import Memory, Resumed, Strayed, Window
from moatbench.strategies.wrapper import Wrapper
from moatbench.types import Array, Generator

FIRST = 2  # queries of the first stage, for each column and one more
FADING = 0.5  # weight of an earlier stage, beside the next
ALIKE = 1.25  # times the error before: no worse, as few questions tell
CLEAR = 1.25  # times the best error: behind noise, which makes settings seem to differ
STAGE = 1.5  # times as many queries at the end of a stage as at the end of the last


@dataclass(frozen=True)
class Tuned(Wrapper):
    """Search at random among the settings of another attack.

    Args:
        attack: makes the attack from its knobs.
        space: the values to try, for some of its knobs.
        trials: settings that are tried, at most.
        share: of the queries, what the search costs, comparison included.
        compared: of the search's share, the uniform queries that settings are compared on.
    """

    attack: Callable[..., Attack]  # type: ignore[assignment]
    space: Mapping[str, Sequence[Any]]
    trials: int
    share: float
    compared: float

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
    def inner(self) -> Attack:  # type: ignore[override]
        """The attack that is tuned, with its own settings."""
        return self._made({})

    @property
    def against(self) -> frozenset[str]:  # type: ignore[override]
        """What the attack that is tuned was made for."""
        return self.inner.against

    @property
    def labels_only(self) -> bool:  # type: ignore[override]
        """Whether the attack that is tuned uses nothing but labels, whatever its setting."""
        return all(self._made(setting).labels_only for setting in self._grid())

    def unmet(self, target: Target) -> str:
        """Say why the attack that is tuned does not apply."""
        return self.inner.unmet(target)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Yield the best that was found so far; each stage tries all, then goes on with the best.

        Stages grow with what was asked, so that a longer budget begins as a shorter one does.
        Settings are compared after equally many queries: trials, and what is made of their winners,
        are runs apart.
        """
        api, search = target.api, Trials(target)
        comparing, *streams = rng.spawn(1 + self.trials)
        settings = [s for s in self._settings(rng) if not self._made(s).unmet(target)] or [{}]
        tried = [Run(self._made(s), own) for s, own in zip(settings, streams, strict=False)]
        winners: dict[int, Run] = {}
        place: int | None = None
        end = float(FIRST * (api.card.space.d + 1))
        while api.remaining:
            size = ceil(end) - api.queries
            compared = ceil(self.compared * self.share * size)
            yield from search.compare_on(compared, comparing)
            for one in tried:
                yield from search.play(one, int(self.share * size - compared) // len(tried))
            place = search.best_of(tried, place)
            winner = winners.setdefault(place, deepcopy(tried[place]))
            yield from search.play(winner, ceil(end) - api.queries)
            end *= STAGE

    def _settings(self, rng: Generator) -> list[dict[str, Any]]:
        """Draw settings without repetition."""
        grid = self._grid()
        return [grid[place] for place in rng.permutation(len(grid))[: self.trials]]

    def _grid(self) -> list[dict[str, Any]]:
        """Every combination of the values."""
        return [dict(zip(self.space, v, strict=True)) for v in product(*self.space.values())]

    def _made(self, setting: Mapping[str, Any]) -> Attack:
        try:
            return self.attack(**setting)
        except TypeError as error:
            raise ValueError(
                f"tuned: space names a knob that the attack has not: {error}"
            ) from error


@dataclass
class Run:
    """A run of an attack that can be continued: what it draws, has bought, and last found."""

    attack: Attack
    rng: Generator
    memory: Memory = field(default_factory=Memory)
    found: Surrogate | None = None
    error: float = 0.0


class Trials:
    """The best surrogate so far, by its answers to questions whose answers were bought."""

    def __init__(self, target: Target) -> None:
        self._target, self._api = target, target.api
        self._best = ignorant(target.api.card)
        self._error = np.inf
        self._truth: list[Answers] = []
        defense = target.known.defense
        self._clear = CLEAR if defense is not None and "noisy" in defense.traits.kinds else 1.0

    def compare_on(self, n: int, rng: Generator) -> Iterator[Surrogate]:
        """Buy the answers to up to n more uniform questions; judge what was found by them too."""
        if n := min(n, self._api.remaining):
            window = Window(self._api, n)
            x = self._api.card.space.sample(n, rng)
            for checkpoint in window.checkpoints:
                self._truth.append(window.query(x[window.queries : checkpoint]))
                if self._api.queries in self._api.checkpoints:
                    yield self._best
            if np.isfinite(self._error):
                self._error = self._wrong(self._best)

    def best_of(self, runs: Sequence[Run], before: int | None = None) -> int:
        """Place of the run that erred least so far, the last stages above all; of equals, the last.

        Behind noise the run before stays unless it errs clearly more: there settings seem to differ
        for no reason, and each change gives up what the winner had bought.

        Args:
            runs: after equally many queries each.
            before: place of the run that was best at the last stage.
        """
        for run in runs:
            error = np.inf if run.found is None else self._wrong(run.found)
            run.error = FADING * run.error + error
        place = len(runs) - 1 - int(np.argmin([run.error for run in reversed(runs)]))
        if before is not None and runs[before].error < self._clear * runs[place].error:
            return before
        return place

    def play(self, run: Run, size: int) -> Iterator[Surrogate]:
        """Let an attack go on for up to `size` queries; keep what it finds if that is better."""
        size = min(size, self._api.remaining)
        if size < 1:
            return
        try:
            yield from self._play(run, Resumed(self._api, size, run.memory))
        except Strayed:  # nothing was bought yet: it starts anew, on answers of its own
            run.memory = Memory()
            yield from self._play(run, Resumed(self._api, size, run.memory))

    def _play(self, run: Run, window: Window) -> Iterator[Surrogate]:
        target = replace(self._target, api=window)
        for surrogate in run.attack.run(target, deepcopy(run.rng)):
            error, same = self._wrong(surrogate), self._best is run.found
            if error <= self._error * (ALIKE if same else 1):  # more answers, if hardly worse
                self._best, self._error = surrogate, error
            run.found = surrogate
            if self._api.queries in self._api.checkpoints:
                yield self._best
            if not window.remaining:
                return

    def _wrong(self, surrogate: Surrogate) -> float:
        """Total variation from the answers; from the labels where nothing else was told."""
        if not any(len(part.x) for part in self._truth):
            return np.inf
        truth = Answers.joined(self._truth)
        reply = surrogate.predict(truth.x)
        wrong: Array = (reply.labels != truth.labels).astype(np.float64)
        if reply.outputs is not None and truth.outputs is not None:
            apart = np.abs(reply.outputs - truth.outputs).sum(axis=1) / 2
            wrong = np.where(np.isnan(apart), wrong, apart)
        return float(wrong.mean())
