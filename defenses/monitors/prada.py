"""PRADA: benign queries lie at normally distributed distances, synthetic ones do not.

Source: Juuti et al. 2019, "PRADA: Protecting Against DNN Model Stealing Attacks", arXiv:1805.02628,
the detection algorithm, with what the authors' released code adds to it (a test every tenth query,
a minimum of distances per class).
Read: authors' code.
"""

import warnings
from dataclasses import dataclass, field
from math import inf

import numpy as np
from scipy.stats import shapiro

from moatbench.knobs import check_flag, check_number, check_whole
from moatbench.monitor import Monitor
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

CLASS_MINIMUM = 10  # distances that a class needs for its own to be counted
OUTLIER = 3  # standard deviations from the mean


@dataclass
class PRADA(Monitor):
    """Alarm while an account's distances to its own earlier queries are far from normal.

    For each predicted class, an account's queries that lie further from the others than a growing
    threshold form a growing set; the distance of every query to that set is kept. The alarm sounds
    when the Shapiro-Wilk statistic W of all distances (not its p-value) is below `delta`. Every
    number counts by its range; a feature left out is in its middle. One query costs O(size of its
    class's growing set x d).

    Args:
        delta: alarm where W < delta, in [0, 1]; 0 never alarms. The authors' code has 0.9.
        latched: whether an alarm lasts for ever; the authors' ends when a later test passes.
        check_every: queries of the account from one test to the next. At 10, we test the 10th, 20th
            and so on; the authors' code, which counts from 0, the 1st, 11th and so on.
        min_distances: a test needs more distances than this, outliers dropped; at least 3.
    """

    delta: float
    latched: bool
    check_every: int
    min_distances: int

    def __post_init__(self) -> None:
        check_number("prada: delta", self.delta, 0, 1)
        check_flag("prada: latched", self.latched)
        check_whole("prada: check_every", self.check_every, 1)
        check_whole("prada: min_distances", self.min_distances, 3)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account."""
        self._accounts: dict[str, _History] = {}
        self._space = victim.space

    @property
    def threshold(self) -> float:  # type: ignore[override]
        """The score is -W, so that larger is more suspicious."""
        return -float(self.delta)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        alarms = np.empty(len(x), dtype=bool)
        scores = self.score(x, labels, account)
        alarm = self._accounts[account].alarm
        for row, score in enumerate(scores.tolist()):
            if score > -inf:
                alarm = score > self.threshold or (self.latched and alarm)
            alarms[row] = alarm
        self._accounts[account].alarm = alarm
        return alarms

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) -W; -inf where no test is due."""
        history = self._accounts.setdefault(account, _History())
        scores = np.full(len(x), -inf)
        points = self._space.coordinates(x)
        for row, (point, label) in enumerate(zip(points, labels.tolist(), strict=True)):
            history.add(point, label)
            if history.queries % self.check_every == 0:
                w = history.normality(self.min_distances)
                scores[row] = -inf if w is None else -w
        return scores


@dataclass
class _History:
    """What one account has asked."""

    queries: int = 0
    alarm: bool = False
    grown: "dict[int, _GrowingSet]" = field(default_factory=dict)
    distances: "_Rows" = field(default_factory=lambda: _Rows(()))
    owners: "_Rows" = field(default_factory=lambda: _Rows(()))  # the class of each distance

    def add(self, point: Array, label: int) -> None:
        """Keep a query."""
        self.queries += 1
        if label not in self.grown:
            self.grown[label] = _GrowingSet(point)
            return
        self.distances.append(self.grown[label].add(point))
        self.owners.append(label)

    def normality(self, minimum: int) -> float | None:
        """Shapiro-Wilk's W of the distances; None where too few are left without outliers."""
        owners = self.owners.all.astype(np.intp)
        pooled = self.distances.all[np.bincount(owners)[owners] >= CLASS_MINIMUM]
        if len(pooled) <= minimum:
            return None
        pooled = pooled[np.abs(pooled - pooled.mean()) < OUTLIER * pooled.std()]
        if len(pooled) <= minimum:
            return None
        with warnings.catch_warnings():
            # Beyond 5,000 values it is the p-value that SciPy calls inaccurate, and we use only W.
            warnings.filterwarnings("ignore", message=".*p-value may not be accurate")
            return float(shapiro(pooled).statistic)


class _GrowingSet:
    """The queries of one class that lie far from each other (G and D_G in the paper)."""

    def __init__(self, first: Array) -> None:
        self._points, self._gaps = _Rows(first.shape), _Rows(())
        self._points.append(first)
        self._gaps.append(0.0)  # the authors' code keeps it, and so lowers the first thresholds
        self._threshold = 0.0

    def add(self, point: Array) -> float:
        """Return the distance to the set; let the point in if that is above the threshold."""
        away = self._points.all - point
        distance = float(np.sqrt(np.einsum("ij,ij->i", away, away).min()))
        if distance > self._threshold:
            self._points.append(point)
            self._gaps.append(distance)
            gaps = self._gaps.all
            self._threshold = max(self._threshold, float(gaps.mean() - gaps.std()))
        return distance


class _Rows:
    """An array that grows at its end."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._room, self._n = np.empty((16, *shape)), 0

    def append(self, row: Array | float) -> None:
        if self._n == len(self._room):
            self._room = np.concatenate([self._room, np.empty_like(self._room)])
        self._room[self._n] = row
        self._n += 1

    @property
    def all(self) -> Array:
        """A view of what has been appended."""
        return self._room[: self._n]
