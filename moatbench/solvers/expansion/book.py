"""What was answered, and what a sum of products leaves over of it."""

from dataclasses import dataclass
from itertools import product

import numpy as np

from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.solvers.expansion.scale import Scale
from moatbench.solvers.expansion.switches import NUMBER, Switches
from moatbench.types import Array, Mask, Rows

Term = tuple[int, ...]  # sorted numbers of switches; () is the constant
MOST_GAPS = 8  # of thresholds, that one answer may settle
DEVIATIONS = 3.0  # of a sum of weights, each measured on its own, that are chance
DIVERGED = 1e3  # times the largest answer, that no weight of trees comes to
ENOUGH = 32  # of those that look as if answered by chance, asked again and answered alike
ROWS = 2048  # evaluated at a time


class Terms:
    """A sum of weights; each counts where all switches of its term are on."""

    def __init__(self, k: int) -> None:
        self.place: dict[Term, int] = {}
        self.weights = np.zeros((0, k))
        self.doubts = np.zeros(0)  # squares of what the weights may be off by
        self.members = np.zeros((0, 0), dtype=np.float32)  # (T, V)
        self.sizes = np.zeros(0, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.place)

    def add(self, term: Term, weight: Array, doubt: float, switches: int) -> None:
        """Add (k,) to the weight of a term."""
        if term in self.place:
            self.weights[self.place[term]] += weight
            self.doubts[self.place[term]] += doubt
            return
        self.place[term] = len(self.place)
        row = np.zeros((1, switches), dtype=np.float32)
        row[0, list(term)] = 1
        wider = np.zeros((len(self.members), switches - self.members.shape[1]), dtype=np.float32)
        self.members = np.vstack([np.hstack([self.members, wider]), row])
        self.sizes = np.append(self.sizes, np.float32(len(term)))
        self.weights = np.vstack([self.weights, weight])
        self.doubts = np.append(self.doubts, doubt)

    def total(self, on: Mask) -> Array:
        """(n, k) sums at rows of which (n, V) switches are on."""
        return self.sums(on)[:, :-1]

    def sums(self, on: Mask) -> Array:
        """(n, k + 1) the same, and the squares of what the weights may be off by."""
        known, added = self.members.shape[1], np.column_stack([self.weights, self.doubts])
        parts = [
            (on[i : i + ROWS, :known].astype(np.float32) @ self.members.T == self.sizes) @ added
            for i in range(0, len(on), ROWS)
        ]
        return np.concatenate([np.zeros((0, added.shape[1])), *parts])


@dataclass(frozen=True)
class Sum:
    """A sum as it stood: what a surrogate keeps."""

    switches: Switches
    terms: Terms

    def __call__(self, values: Array) -> Array:
        """(n, k) at (n, J) values."""
        parts = [
            self.terms.total(self.switches.on(values[i : i + ROWS]))
            for i in range(0, len(values), ROWS)
        ]
        return np.concatenate([np.zeros((0, self.terms.weights.shape[1])), *parts])


class Book:
    """Answers in the order in which they came, and their residuals: answer minus sum.

    Args:
        at: coordinates of the inputs.
        scale: on which the answers add up.

    Attributes:
        switches: that are known.
        terms: that are known.
        changes: how often either was changed.
        places: where the answer to values stands, by their bytes; None where none came.
        values: (capacity, J), `outputs` (capacity, classes) as answered, `targets` and `residual`
            (capacity, k), `slack` (capacity,) what an answer may be off by, `spread` (capacity,)
            the square of what the sum may be, `on` (capacity, V); the first `n` rows count.
        bare: values and label of each answer that does not tell all confidences.
    """

    def __init__(self, at: Coordinates, scale: Scale) -> None:
        self.at, self.scale = at, scale
        self.switches, self.terms = Switches(at), Terms(scale.width)
        self.n = self.changes = 0
        self.values = np.empty((1024, len(at.anchor)))
        self.outputs = np.empty((1024, scale.k))
        self.targets, self.residual = np.empty((2, 1024, scale.width))
        self.slack, self.spread = np.empty((2, 1024))
        self._partial: Mask = np.zeros(1024, dtype=bool)  # of which entries were made up
        self.on: Mask = np.zeros((1024, 64), dtype=bool)
        self.places: dict[bytes, int | None] = {}
        self.bare: list[tuple[Array, int]] = []
        self._before: dict[bytes, int] = {}  # places of what is asked again
        self.varies = False  # whether something was answered otherwise then
        self._alike = 0  # answers that were the same

    def place(self, values: Array) -> int | None:
        """Return where the answer to (J,) values stands; None where none came."""
        return self.places.get(values.tobytes())

    def __contains__(self, values: Array) -> bool:
        return values.tobytes() in self.places

    def note(self, asked: Array, place: int | None) -> None:
        """Note where the answer to (J,) values stands, if it was answered as other ones."""
        self.places.setdefault(asked.tobytes(), place)

    def whole(self, values: bytes) -> bool:
        """Whether the answer to values, by their bytes, tells all confidences."""
        place = self.places.get(values)
        if place is None or self._partial[place]:
            return False
        return bool(np.isfinite(self.slack[place]))

    def add(self, values: Array, outputs: Array) -> None:
        """Take in (m, J) values and the (m, classes) outputs answered."""
        start, stop = self.n, self.n + len(values)
        if stop > len(self.slack):
            self._grow(max(stop, 2 * len(self.slack)))
        on = self.switches.on(values)
        self.values[start:stop], self.outputs[start:stop] = values, outputs
        self.targets[start:stop], self.slack[start:stop] = self.scale.read(outputs)
        self._partial[start:stop] = self.scale.partial(outputs)
        self.on[start:stop, : on.shape[1]] = on
        self.n = stop
        self._sum(slice(start, stop))
        for i, row in enumerate(values, start):
            self.places[row.tobytes()] = i
            if (first := self._before.pop(row.tobytes(), None)) is not None:
                gap = np.abs(self.targets[i] - self.targets[first]).max()
                self.varies |= bool(gap > self.slack[i] + self.slack[first])
                self._alike += 1

    def again(self, values: Array) -> None:
        """Let (J,) values that were answered be asked as if they were new, until enough were."""
        place = self.places.pop(values.tobytes(), None) if self._alike < ENOUGH else None
        if place is not None:
            self._before[values.tobytes()] = place

    def rescale(self, scale: Scale) -> None:
        """Read the answers anew."""
        self.scale = scale
        self.targets[: self.n], self.slack[: self.n] = scale.read(self.outputs[: self.n])
        self._partial[: self.n] = scale.partial(self.outputs[: self.n])
        self._sum(slice(0, self.n))

    def _sum(self, rows: slice | Rows) -> None:
        """Sum anew at some of the answers."""
        sums = self.terms.sums(self.on[rows, : len(self.switches)])
        self.residual[rows], self.spread[rows] = self.targets[rows] - sums[:, :-1], sums[:, -1]

    def open(self, i: int) -> bool:
        """Whether something of an answer is left over."""
        return bool(np.abs(self.residual[i]).max() > self.limit(i))

    def limit(self, rows: int | slice) -> Array:
        """Return what is as good as zero at some of the answers."""
        return np.asarray(self.slack[rows] + DEVIATIONS * np.sqrt(self.spread[rows]))

    @property
    def left(self) -> Mask:
        """(n,) of which answers something is left over."""
        known = slice(0, self.n)
        return np.asarray(np.abs(self.residual[known]).max(axis=1) > self.limit(known))

    @property
    def belied(self) -> int:
        """How many of the bare labels are others than the sum's: it lacks terms there, too."""
        if not self.bare or self.scale.k == 1:
            return 0
        values, labels = zip(*self.bare, strict=True)
        sums = self.terms.sums(self.switches.on(np.array(values)))
        scores = self.scale.scores(sums[:, :-1])
        behind = scores.max(axis=1) - scores[np.arange(len(scores)), labels]
        slack = self.slack[: self.n]
        usual = float(np.median(slack[np.isfinite(slack)]))
        return int((behind > 2 * (usual + DEVIATIONS * np.sqrt(sums[:, -1]))).sum())

    @property
    def diverges(self) -> bool:
        """Whether weights outgrow what trees can add up to, as they do where answers contradict."""
        known, weights = self.targets[: self.n], self.terms.weights
        return bool(self.n and len(weights)) and not (
            np.abs(weights).max() <= DIVERGED * np.abs(known).max()
        )

    def add_term(self, term: Term, place: int) -> None:
        """Let a term explain an answer, and take it off the residuals."""
        self.changes += 1
        weight, doubt = self.residual[place].copy(), float(self.slack[place] ** 2)
        self.terms.add(term, weight, doubt, len(self.switches))
        here = self._all_on(term)
        self.residual[: self.n][here] -= weight
        self.spread[: self.n][here] += doubt

    def add_switch(self, j: int, low: float, high: float, name: int = NUMBER) -> int:
        """Note a test of the model; return its number."""
        known = len(self.switches)
        v = self.switches.add(j, low, high, name)
        if v == known:
            if v == self.on.shape[1]:
                self.on = np.hstack([self.on, np.zeros_like(self.on)])
            self.on[: self.n, v] = self._recoded(v)
        return v

    def narrow(self, v: int, low: float, high: float) -> None:
        """Put a threshold into a smaller gap; answers whose side that changes are gone over."""
        self.changes += 1
        self.switches.narrow(v, low, high)
        new = self._recoded(v)
        changed = np.flatnonzero(new != self.on[: self.n, v])
        self.on[changed, v] = new[changed]
        if len(changed):
            self._sum(changed)

    def settle(self, i: int) -> bool:
        """Whether nothing is left over, once thresholds are moved whose side this answer tells."""
        gaps = self.switches.within(self.values[i])
        if not 0 < len(gaps) <= MOST_GAPS:
            return not self.open(i)
        on = np.tile(self.on[i, : len(self.switches)], (2 ** len(gaps), 1))
        on[:, gaps] = np.array(list(product((False, True), repeat=len(gaps))))
        off = np.abs(self.targets[i] - self.terms.total(on)).max(axis=1)
        fits = on[off <= self.limit(i)]
        for v in gaps:
            sides = set(fits[:, v].tolist())
            if len(sides) == 1:  # of others, this answer does not tell
                j, at = self.switches.feature[v], float(self.values[i, self.switches.feature[v]])
                above = sides.pop() != (self.at.anchor[j] >= self.switches.cut(v))
                self.narrow(v, -np.inf, at) if above else self.narrow(v, at, np.inf)
        return not self.open(i)

    def _recoded(self, v: int) -> Mask:
        j, name, anchor = self.switches.feature[v], self.switches.name[v], self.at.anchor
        at = self.values[: self.n, j]
        if name != NUMBER:
            return np.asarray(at != anchor[j] if name < 0 else at == name)
        cut = self.switches.cut(v)
        return np.asarray((at >= cut) != (anchor[j] >= cut))

    def _all_on(self, term: Term) -> Mask:
        mask = np.ones(self.n, dtype=bool)
        for v in term:
            mask &= self.on[: self.n, v]
        return mask

    def _grow(self, capacity: int) -> None:
        for name in (
            "values",
            "outputs",
            "targets",
            "residual",
            "slack",
            "spread",
            "_partial",
            "on",
        ):
            old = getattr(self, name)
            new = np.zeros((capacity, *old.shape[1:]), dtype=old.dtype)
            new[: self.n] = old[: self.n]
            setattr(self, name, new)
