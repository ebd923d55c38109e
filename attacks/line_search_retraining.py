"""Search the victim's own boundary, and train on all that was asked on the way."""

from collections.abc import Generator as Coroutine
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from moatbench.attack import Target
from moatbench.client import Surrogate
from moatbench.knobs import check_number
from moatbench.search.boundary import Segments, opposites
from moatbench.strategies.retraining import REFUSED, Retraining, Trainer, check_knobs
from moatbench.types import Array, Generator, Labels

FEWEST, FRACTION = 8, 50  # searches at a time: so many, or a fraction of the queries so far


@dataclass(frozen=True)
class LineSearchRetraining(Trainer):
    """Bisect between uniform inputs of different answered labels; train on every answer.

    Args:
        answers: what to train on: `confidences` (the label where there are none) or `labels`.
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        inputs: the raw `cube`, as in the paper's released code, or `valid` inputs only.
        width: a search ends when its ends are as near as this, on columns in [-1, 1].
        uniform_share: of the queries, those that are uniform, between which searches start.

    Source: Tramèr et al. 2016, sec. 6.1, "line-search retraining"; width 0.1 is its code's.
    """

    answers: str
    learner: str
    inputs: str
    width: float
    uniform_share: float

    against: ClassVar[frozenset[str]] = frozenset({"withholds"})

    def __post_init__(self) -> None:
        check_knobs(self.answers, self.learner, self.inputs)
        name = "line_search_retraining"
        check_number(f"{name}: width", self.width, 0, above=True)
        check_number(f"{name}: uniform_share", self.uniform_share, 0, 1, above=True)

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Scatter inputs and search between them in turn."""
        api = target.api
        retraining = Retraining(api, self.answers, self.learner, self.inputs, rng, target.pool)
        ends = Ends(retraining.uniform(0), np.empty(0, np.int64))
        scattered, searches = 0, None
        while retraining.open:
            wave = max(FEWEST, api.queries // FRACTION)
            if searches is None and scattered >= self.uniform_share * api.queries > 0:
                searches = Searches.between(ends, wave, retraining)
            if searches is not None:
                searches = yield from searches.step(retraining, self.width)
                continue
            x = retraining.scattered(wave)
            ends = ends.with_answers(x, (yield from retraining.buy(x)))
            scattered += wave


class Ends(NamedTuple):
    """Scattered inputs (n, d) and their labels (n,), between which searches start."""

    x: Array
    labels: Labels

    def with_answers(self, x: Array, labels: Labels) -> "Ends":
        """Add what was answered."""
        told = labels != REFUSED
        return Ends(np.vstack([self.x, x[told]]), np.append(self.labels, labels[told]))


@dataclass(frozen=True)
class Searches:
    """Open searches along segments: the boundary lies between `near` and `far`, both (m,)."""

    segments: Segments
    labels: Labels  # (m,) at the segments' starts
    near: Array
    far: Array

    @classmethod
    def between(cls, ends: Ends, m: int, retraining: Retraining) -> "Searches | None":
        """Open m searches between random ends; None while all of them bear one label."""
        n = len(ends.labels)
        rows = retraining.rng.integers(n, size=m) if n else np.empty(0, np.intp)
        start, end = opposites(ends.labels, rows, retraining.rng)
        if not len(start):
            return None
        segments = retraining.segments(ends.x[start], ends.x[end])
        return cls(segments, ends.labels[start], np.zeros(len(start)), np.ones(len(start)))

    def step(self, retraining: Retraining, width: float) -> "Stepping":
        """Halve all; close what is narrow or was refused an answer."""
        middle = (self.near + self.far) / 2
        labels = yield from retraining.buy(self.segments.at(middle))
        same = labels == self.labels
        near, far = np.where(same, middle, self.near), np.where(same, self.far, middle)
        wide = (labels != REFUSED) & (self.segments.lengths * (far - near) > width)
        if not wide.any():
            return None
        return Searches(self.segments.take(wide), self.labels[wide], near[wide], far[wide])


Stepping = Coroutine[Surrogate, None, Searches | None]
