"""What each raw feature adds to a model's scores, and the search for the edges of its bins.

A service that bins and one-hot encodes its inputs before a linear model has scores that are a sum
over the features: tables over the categories, step functions of the numeric ones. Measured from one
base point, a query that changes a feature tells that feature's effect. Where both levels beside an
edge are known, one query moves an edge of every feature: its sum tells which feature took which.
"""

from bisect import insort
from collections.abc import Generator
from copy import copy, deepcopy
from itertools import pairwise, product

import numpy as np
from scipy.special import softmax

from moatbench.space import InputSpace
from moatbench.types import Array

SAME = 1e-9  # between effects that exact answers tell; those of an edge differ by far more
GROUP = 8  # features moved by one query: 2^8 sums to tell apart
TRIES = 3  # of a row that is refused
MOST_LEVELS = 60  # steps of a feature, from which on the answers must be noisy
Steps = Generator[Array, Array | None, None]


class Effects:
    """Sums over the features; an effect is (k,), scores beyond those of the base.

    Args:
        base: (d,) where all effects are zero; NaN leaves a feature out.
        space: of the raw features.
        k: classes.
    """

    def __init__(self, base: Array, space: InputSpace, k: int) -> None:
        self.base, self.space, self._k = base, space, k
        self.origin = np.zeros(k)  # scores at the base
        self.half = 0.0  # half the unit of rounding; 0 is exact
        self.coded = set(space.coded.tolist())
        self.middle = np.where(np.isnan(base), (space.low + space.high) / 2, base)
        self.known: list[dict[float, Array]] = [{} for _ in base]
        self.points: list[list[float]] = [[] for _ in base]  # sorted
        for column, value in enumerate(base):
            if not np.isnan(value):
                self.learn(column, float(value), np.zeros(k))

    def copy(self) -> "Effects":
        """Return what is known at this moment."""
        twin = copy(self)
        twin.known, twin.points = deepcopy(self.known), deepcopy(self.points)
        return twin

    def parameters(self) -> dict[str, Array]:
        """Scores of the base, and the edges of each feature that has some."""
        found = {"origin": self.origin}
        for column in range(len(self.base)):
            if brackets := self.brackets(column):
                points = self.points[column]
                edges = dict(zip(points, self._edges(column), strict=False))
                found[f"edges_{column}"] = np.array([edges[low] for low, _ in brackets])
        return found

    def learn(self, column: int, value: float, effect: Array) -> None:
        """Keep the effect of a value."""
        if value not in self.known[column]:
            insort(self.points[column], value)
        self.known[column][value] = effect

    def same(self, one: Array, other: Array) -> bool:
        """Whether two effects are equal, as far as the answers can tell."""
        if self.half:
            p, q = (softmax(self.origin + e) for e in (one, other))
            return bool(np.abs(p - q).max() <= 2.2 * self.half)
        return bool(np.abs(one - other).max() <= SAME * (1 + np.abs(one).max()))

    def linear(self, column: int) -> bool:
        """Whether nothing contradicts that the feature enters as it is, a missing one as zero."""
        ends, centre = self.points[column], self.middle[column]
        if column in self.coded:
            return False
        seen = [self.known[column][p] for p in ends if p != centre]
        return len(ends) < 4 and (len(seen) < 2 or self.same(seen[0], -seen[1]))

    def brackets(self, column: int) -> list[tuple[float, float]]:
        """Pairs of neighbouring points between which there is an edge."""
        if column in self.coded or self.linear(column):
            return []
        points, known = self.points[column], self.known[column]
        return [(a, b) for a, b in pairwise(points) if not self.same(known[a], known[b])]

    def scores(self, x: Array) -> Array:
        """(n, k) scores of the rows of x (n, d), each edge taken to lie amid its bracket."""
        scores: Array = np.tile(self.origin, (len(x), 1))
        for column in range(x.shape[1]):
            scores += self.of(column, x[:, column])
        return scores

    def of(self, column: int, values: Array) -> Array:
        """(n, k) effects of a feature's values; those of a category not met are zero."""
        points, known = self.points[column], self.known[column]
        effects = np.zeros((len(values), self._k))
        given = ~np.isnan(values)
        if column in self.coded:
            for code, effect in known.items():
                effects[values == code] = effect
        elif self.linear(column) and (ends := [p for p in points if p != self.middle[column]]):
            slope = known[ends[-1]] / (ends[-1] - self.middle[column])
            effects[given] = (values[given, None] - self.middle[column]) * slope
        elif points and not self.linear(column):
            table = np.array([known[p] for p in points])
            effects[given] = table[np.searchsorted(self._edges(column), values[given], "right")]
        return effects

    def indicators(self, x: Array) -> Array:
        """(n, m) features as the service may extract them: bins, categories, plain numbers."""
        return np.hstack([self._extracted(column, x[:, column]) for column in range(x.shape[1])])

    def _extracted(self, column: int, values: Array) -> Array:
        if self.linear(column):
            return np.asarray(np.nan_to_num(values - self.middle[column])[:, None])
        if column in self.coded:
            cuts = np.arange(1.0, self.space.high[column] + 1)
        else:
            cuts = np.array([a + (b - a) / 2 for a, b in self.brackets(column)])
        hot = np.searchsorted(cuts, values, "right")[:, None] == np.arange(len(cuts) + 1)
        return np.asarray(hot & ~np.isnan(values)[:, None], dtype=np.float64)

    def _edges(self, column: int) -> Array:
        """(m - 1,) least values that are nearer to the upper of two neighbouring points."""
        points = np.array(self.points[column])
        edges = points[:-1] + np.diff(points) / 2
        # Between neighbours in float64 the middle is one of them: the edge is the upper.
        return np.where(edges > points[:-1], edges, points[1:])


class Search:
    """Finds the effects, and the edges to `eps`; `steps` yields one row at a time, is sent scores.

    Args:
        effects: to fill.
        eps: width, as a share of the range, at which a bracket is narrow enough.
    """

    def __init__(self, effects: Effects, eps: float) -> None:
        self.effects, self.eps = effects, eps
        self.noisy = False
        self.finished = False

    def steps(self) -> Steps:
        """Yield (d,) rows; to be sent (k,) scores, or None where there was no answer."""
        effects, space = self.effects, self.effects.space
        columns = range(space.d)
        origin = yield from self._retry(effects.base)
        effects.origin = np.zeros(len(effects.origin)) if origin is None else origin
        for column in columns:
            first = 0.0 if column in effects.coded else space.high[column]
            for value in np.arange(first, space.high[column] + 1):
                if value not in effects.known[column]:
                    yield from self._single(column, float(value))
        if (yield from self._explains_all()):
            self.finished = True
            return
        for column in columns:
            if column not in effects.coded:
                yield from self._single(column, float(space.low[column]))
        yield from self._narrow()
        self.finished = not self.noisy

    def _explains_all(self) -> Generator[Array, Array | None, bool]:
        """Whether features that enter as they are explain a row that moves all of them."""
        effects, space = self.effects, self.effects.space
        row = space.answered((space.low + 0.3 * (space.high - space.low))[None])[0]
        row[space.coded] = space.high[space.coded]
        told = yield from self._retry(row)
        return told is not None and effects.same(
            told - effects.origin, effects.scores(row[None])[0] - effects.origin
        )

    def _narrow(self) -> Steps:
        """Halve the widest bracket of every feature, until all are narrow."""
        effects, scale = self.effects, self.effects.space.high - self.effects.space.low
        while not self.noisy:
            moves: dict[int, tuple[float, float]] = {}
            for column in range(effects.space.d):
                open_ = [
                    b for b in effects.brackets(column) if self._wide(column, b, scale[column])
                ]
                self.noisy |= len(effects.brackets(column)) > MOST_LEVELS
                if open_:
                    moves[column] = max(open_, key=lambda b: b[1] - b[0])
            if not moves:
                return
            columns = list(moves)
            size = 1 if effects.half else GROUP  # rounded sums do not tell their parts
            for start in range(0, len(columns), size):
                part = {c: moves[c] for c in columns[start : start + size]}
                yield from self._halve(part)

    def _wide(self, column: int, bracket: tuple[float, float], scale: float) -> bool:
        low, high = bracket
        return high - low > self.eps * scale and low < self._middle(column, low, high) < high

    def _middle(self, column: int, low: float, high: float) -> float:
        """Return the middle of a bracket, to the column's step."""
        row = np.full((1, self.effects.space.d), low + (high - low) / 2)
        return float(self.effects.space.answered(row)[0, column])

    def _halve(self, moves: dict[int, tuple[float, float]], total: Array | None = None) -> Steps:
        """Learn the effects at the middles of brackets; `total` is their sum, where known."""
        effects, row = self.effects, self.effects.base.copy()
        for column, (low, high) in moves.items():
            row[column] = self._middle(column, low, high)
        if total is None:
            told = yield from self._retry(row)
            if told is None:
                self._skip(moves)
                return
            total = told - effects.origin
        if (found := self._decoded(moves, total)) is not None:
            for column, effect in zip(moves, found, strict=True):
                effects.learn(column, float(row[column]), effect)
            return
        columns = list(moves)
        first, rest = columns[: len(columns) // 2], columns[len(columns) // 2 :]
        yield from self._halve({c: moves[c] for c in first})
        learnt = [effects.known[c].get(float(row[c])) for c in first]
        left = None if any(e is None for e in learnt) else total - sum(learnt)  # type: ignore[arg-type]
        yield from self._halve({c: moves[c] for c in rest}, left)

    def _decoded(self, moves: dict[int, tuple[float, float]], total: Array) -> list[Array] | None:
        """Tell the parts of a sum; None where some part is at neither end of its bracket."""
        if len(moves) == 1:
            (column, ends), known = next(iter(moves.items())), self.effects.known
            same = [known[column][e] for e in ends if self.effects.same(known[column][e], total)]
            return [same[0] if same else total]
        choices = [[self.effects.known[c][e] for e in ends] for c, ends in moves.items()]
        sums = np.array([sum(parts) for parts in product(*choices)])
        gaps = np.abs(sums - total).max(axis=1)
        hits = np.flatnonzero(gaps <= SAME * (1 + np.abs(total).max()))
        if len(hits) != 1:
            return None
        picks = np.unravel_index(hits[0], [2] * len(choices))
        return [choice[pick] for choice, pick in zip(choices, picks, strict=True)]

    def _skip(self, moves: dict[int, tuple[float, float]]) -> None:
        """Let a middle that is never answered be like its lower end; later halves go around it."""
        for column, (low, high) in moves.items():
            effect = self.effects.known[column][low]
            self.effects.learn(column, self._middle(column, low, high), effect)

    def _single(self, column: int, value: float) -> Steps:
        """Learn the effect of one value."""
        row = self.effects.base.copy()
        row[column] = value
        told = yield from self._retry(row)
        if told is not None:
            self.effects.learn(column, value, told - self.effects.origin)

    def _retry(self, row: Array) -> Generator[Array, Array | None, Array | None]:
        for _ in range(TRIES):
            if (told := (yield row)) is not None:
                return told
        return None
