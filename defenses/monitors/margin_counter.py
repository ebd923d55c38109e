"""The margin counter: who asks close to the boundary too often is searching for it.

Source: Quiring et al. 2018, "Forgotten Siblings: Unifying Attacks on Machine Learning and Digital
Watermarking", which counts queries in a security margin around a tree's boundary, as detectors of
watermarks count the searches of an oracle attack. The abstract was read; the
details below are from memory of the paper.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf

import numpy as np

from moatbench.knobs import check_number, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch
from moatbench.reply import Predict
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import NotApplicable, Victim

ROWS = 1000  # of the defender's data, at most, to calibrate on
BLOCK = 8192  # probes at a time: bounds memory


@dataclass
class MarginCounter(Monitor):
    """Alarm when the share of an account's queries that lie in the margin is unlike customers'.

    A query lies in the margin where moving one real-valued column by `margin` of its range, up or
    down and not beyond the bounds, changes the victim's label. For a tree that is a split on the
    way within the margin, if another label lies behind it; for a linear victim with scores w.x + b
    it is |w.x + b| < step max|w_i|, a fixed multiple of the paper's distance |w.x + b| / |w|. The
    tests verify both. The share, inside / asked, is judged from the `least`-th query on.

    Departs from the paper: its margin is of a tree's leaves alone, and its share tau (.3 to .6) is
    set by hand; here the calibration may raise it, never lower it, since a victim keeps the rows
    that it was trained on further from its boundary than customers' rows are. One query costs the
    defender 2d + 1 of its own model's answers.

    Args:
        margin: half its width, as a share of a column's range, in (0, 1).
        tau: alarm where the share exceeds it, in [0, 1].
        least: queries before the share is judged.
        calibration: raises tau to what the defender's training data demand.
    """

    margin: float
    tau: float
    least: int
    calibration: Calibration

    def __post_init__(self) -> None:
        check_number("margin_counter: margin", self.margin, 0, 1, above=True, below=True)
        check_number("margin_counter: tau", self.tau, 0, 1)
        check_whole("margin_counter: least", self.least, 1)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; find the share that customers do not exceed.

        Raises:
            NotApplicable: a regression victim, or a space of categorical codes only.
        """
        if len(victim.classes) == 1:
            raise NotApplicable("margin_counter needs classes: a regression victim has no boundary")
        self._near = Margin(victim.predict, victim.space, self.margin)
        self._accounts: dict[str, _Count] = {}
        self._latch = Latch()
        x = victim.shares.x_train
        inside = self._near(x[rng.permutation(len(x))[:ROWS]])
        drawn = self.calibration.draw(len(inside), rng, repeats=True)
        calibrated = self.calibration.threshold(
            [float(self._shares(inside[rows], _Count()).max()) for rows in drawn]
        )
        self.threshold = max(self.tau, calibrated)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the account's share in the margin; -inf before it is judged."""
        count, inside = self._accounts.setdefault(account, _Count()), self._near(x)
        shares = self._shares(inside, count)
        count.asked += len(x)
        count.inside += int(inside.sum())
        return shares

    def _shares(self, inside: Mask, before: "_Count") -> Array:
        """(n,) the share inside after each query; -inf before it is judged."""
        asked = before.asked + np.arange(1, len(inside) + 1)
        shares: Array = (before.inside + np.cumsum(inside)) / asked
        return np.where(asked < self.least, -inf, shares)


@dataclass
class _Count:
    """What is known of an account."""

    asked: int = 0
    inside: int = 0


@dataclass
class Margin:
    """Tells which rows lie in the margin; what is known of a row is kept, as customers share rows.

    Args:
        predict: the victim's.
        space: of its inputs.
        margin: as in `MarginCounter`.

    Raises:
        NotApplicable: there is no real-valued column.
    """

    predict: Predict
    space: InputSpace
    margin: float
    _steps: Array = field(init=False)  # (1 + 2 columns, d), the first of them none
    _known: dict[bytes, bool] = field(init=False, default_factory=dict)  # by digest of the row

    def __post_init__(self) -> None:
        real = np.setdiff1d(np.arange(self.space.d), self.space.coded)
        if not real.size:
            raise NotApplicable(
                "margin_counter needs a real-valued column to move; all features of this victim "
                "are categorical codes"
            )
        # Less than a step is no other row
        reach = np.maximum(self.margin * (self.space.high - self.space.low), self.space.steps)
        steps = np.diag(reach)[real]
        self._steps = np.concatenate([np.zeros((1, self.space.d)), steps, -steps])

    def __call__(self, x: Array) -> Mask:
        """(n,) whether each row does."""
        rows = max(1, BLOCK // len(self._steps))
        names = [blake2b(row.tobytes(), digest_size=16).digest() for row in x]
        places = {name: row for row, name in enumerate(names) if name not in self._known}
        new = list(places.values())
        for start in range(0, len(new), rows):
            part = new[start : start + rows]
            self._known |= {
                names[row]: bool(v) for row, v in zip(part, self._inside(x[part]), strict=True)
            }
        return np.array([self._known[name] for name in names], dtype=bool)

    def _inside(self, x: Array) -> Mask:
        probes = np.clip(x[:, None] + self._steps, self.space.low, self.space.high)
        labels = self.predict(probes.reshape(-1, x.shape[1])).labels.reshape(len(x), -1)
        return np.asarray((labels != labels[:, :1]).any(axis=1))
