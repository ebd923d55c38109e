"""What the owner sees of the monitors: each account's scores over time, and its alarms."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from math import isfinite, nan
from typing import Any, NamedTuple

import numpy as np

from moatbench.defense import Defense
from moatbench.monitor import Monitor
from moatbench.types import Array, Labels

POINTS = 400  # of a line that are kept
MOST = 1000  # accounts whose lines are kept


class Point(NamedTuple):
    """The greatest score of a request's rows: when, after how many queries."""

    time: float
    queries: int
    score: float


class Watching:
    """Listens to the monitors of a deployed defense; what they decide stays as it is.

    Attributes:
        at: the time of what is observed, in a replay; None is now.
    """

    def __init__(self, defense: Defense) -> None:
        self.at: float | None = None
        self.monitors: Sequence[Monitor] = defense.monitors
        self._watchers = [part for part in defense.parts() if part.monitors]
        self._lines: dict[str, list[deque[Point]]] = {}
        self._asked: dict[str, list[int]] = {}
        for place, monitor in enumerate(self.monitors):
            _listen(monitor, partial(self._heard, place))

    def alarm(self, token: str) -> int | None:
        """Return the number of the query at which an account raised its first alarm."""
        found = [part.evidence().alarms.get(token) for part in self._watchers]
        return min((queries for queries in found if queries is not None), default=None)

    def lines(self, token: str) -> list[dict[str, Any]]:
        """Return each monitor's name, threshold and points, for one account."""
        lines = self._lines.get(token) or [deque()] * len(self.monitors)
        return [
            {
                "monitor": type(monitor).__name__,
                "threshold": _finite(float(monitor.threshold)),
                "points": [point._asdict() for point in line],
            }
            for monitor, line in zip(self.monitors, lines, strict=True)
        ]

    def _heard(self, place: int, token: str, scores: Array) -> None:
        if token not in self._lines:
            if len(self._lines) == MOST:
                return
            self._lines[token] = [deque(maxlen=POINTS) for _ in self.monitors]
            self._asked[token] = [0] * len(self.monitors)
        self._asked[token][place] += len(scores)
        top = float(scores[0]) if len(scores) == 1 else _greatest(scores)
        if isfinite(top):
            now = time.time() if self.at is None else self.at
            self._lines[token][place].append(Point(now, self._asked[token][place], top))


def _listen(monitor: Monitor, heard: Callable[[str, Array], None]) -> None:
    """Have a monitor tell its scores as it makes them; a copy of it tells as well."""
    kind = type(monitor)

    def score(self: Monitor, x: Array, labels: Labels, account: str) -> Array:
        scores: Array = kind.score(self, x, labels, account)
        heard(account, scores)
        return scores

    listening = type(kind.__name__, (kind,), {"score": score, "__module__": kind.__module__})
    object.__setattr__(monitor, "__class__", listening)  # a dataclass may be frozen


def _greatest(scores: Array) -> float:
    """Return the greatest score of those that are finite; NaN where none is."""
    tested = scores[np.isfinite(scores)]
    return float(tested.max()) if len(tested) else nan


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None
