"""The tests that are known of a model, as switches: off at the anchor, on across a threshold."""

from dataclasses import dataclass, field

import numpy as np

from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.types import Array, Mask

NUMBER, OTHERS = -2, -1  # in place of a name: a threshold, and any name but the anchor's


@dataclass
class Switches:
    """Thresholds and names that a model was found to test.

    A threshold lies above `low` and at most at `high`; between them it is not known which side a
    value is on, and the middle is taken for the threshold.
    """

    at: Coordinates
    feature: list[int] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    name: list[int] = field(default_factory=list)
    of: list[list[int]] = field(init=False)  # by feature; thresholds from the nearest

    def __post_init__(self) -> None:
        self.of = [[] for _ in self.at.anchor]
        self._arrays: tuple[Array, ...] | None = None

    def __len__(self) -> int:
        return len(self.feature)

    def add(self, j: int, low: float, high: float, name: int = NUMBER) -> int:
        """Return the number of a switch: a known name's, or a new one."""
        for v in self.of[j]:
            if self.name[v] == name != NUMBER:
                return v
        v = len(self)
        self.feature.append(j)
        self.low.append(low)
        self.high.append(high)
        self.name.append(name)
        self.of[j].append(v)
        if name == NUMBER:
            self.of[j].sort(key=lambda u: abs(self.cut(u) - self.at.anchor[j]))
        self._arrays = None
        return v

    def narrow(self, v: int, low: float, high: float) -> None:
        """Put a threshold into a smaller gap."""
        self.low[v], self.high[v] = max(self.low[v], low), min(self.high[v], high)
        self._arrays = None

    def cut(self, v: int) -> float:
        """Return the least value that is taken to lie above a threshold."""
        low, high = self.low[v], self.high[v]
        middle = low + (high - low) / 2
        return middle if low < middle else high

    @property
    def cuts(self) -> list[Array]:
        """Of each feature, the thresholds; of a name, nothing of use."""
        return [np.array([self.cut(v) for v in of]) for of in self.of]

    def near(self, v: int) -> float:
        """Return the value next to the anchor at which a threshold is surely crossed."""
        return self.high[v] if self.high[v] > self.at.anchor[self.feature[v]] else self.low[v]

    def turned_on(self, v: int) -> float:
        """Return a value at which a switch is surely on, and few others of its feature are."""
        name, j = self.name[v], self.feature[v]
        if name == NUMBER:
            return self.near(v)
        return float(name if name >= 0 else self.at.anchor[j] == 0)

    def before(self, v: int) -> float:
        """Return the value furthest from the anchor at which it is surely not."""
        return self.low[v] if self.high[v] > self.at.anchor[self.feature[v]] else self.high[v]

    def within(self, values: Array) -> list[int]:
        """Name the thresholds of which it is not known whether (J,) values cross them."""
        feature, low, high, _, _ = self._as_arrays()
        at = values[feature]
        return [int(v) for v in np.flatnonzero((low < at) & (at < high))]

    def on(self, values: Array) -> Mask:
        """(n, V) which switches are on at (n, J) values."""
        feature, _, _, cut, name = self._as_arrays()
        at, anchor = values[:, feature], self.at.anchor[feature]
        crossed = (at >= cut) != (anchor >= cut)
        named = np.where(name == OTHERS, at != anchor, at == name)
        return np.asarray(np.where(name == NUMBER, crossed, named))

    def _as_arrays(self) -> tuple[Array, ...]:
        if self._arrays is None:
            cut = [self.cut(v) if n == NUMBER else 0.0 for v, n in enumerate(self.name)]
            low, high = np.array(self.low), np.array(self.high)
            self._arrays = (
                np.array(self.feature, dtype=np.intp),
                low,
                high,
                np.array(cut),
                np.array(self.name, dtype=np.int64),
            )
        return self._arrays
