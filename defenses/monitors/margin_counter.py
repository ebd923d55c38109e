"""The margin counter: who asks close to the boundary too often is searching for it.

Source: Quiring et al. 2018, "Forgotten Siblings: Unifying Attacks on Machine Learning and Digital
Watermarking", which counts queries in a security margin around a tree's boundary, as detectors of
watermarks count the searches of an oracle attack.
Read: authors' code, abstract.
"""

from dataclasses import dataclass, field
from hashlib import blake2b
from math import inf

import numpy as np

from moatbench.defenses.monitors.leaf_margin import LeafMargins, tree_of
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch
from moatbench.reply import Predict
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import NotApplicable, Victim

MARGINS = ("auto", "leaf", "label")
ROWS = 1000  # of the defender's data, at most, to calibrate on
BLOCK = 8192  # probes at a time: bounds memory
LEAST_IN_LEAF, CHECK_EVERY = 6, 10  # queries before a leaf counts, and from test to test


@dataclass
class MarginCounter(Monitor):
    """Alarm when an account's queries lie in the margin of the boundary as customers' do not.

    `leaf`, as released, for trees: a query lies in the margins of its leaf, as in `leaf_margin.py`.
    The status is the mean over all leaves of the share of queries inside, 0 for a leaf with fewer
    than 6 queries, at each 10th query; the alarm sounds above .3.

    `label`, which is ours, for any classifier: a query lies in the margin where moving one
    real-valued column by `width` of its range, up or down and not beyond the bounds, changes the
    victim's label. For a tree that is a split on the way within the margin, if another label lies
    behind it; for a linear victim with scores w.x + b it is |w.x + b| < step max|w_i|. The tests
    verify both. The status, inside / asked, is judged from the `least`-th query on. One query costs
    the defender 2d + 1 of its own model's answers.

    Departs from the paper: the calibration may raise tau, never lower it, since a victim keeps the
    rows that it was trained on further from its boundary than customers' rows are.

    Args:
        margin: `leaf`, `label`, or `auto`: leaf for a tree whose splits are known, else label.
        width: half the margin of `label`, as a share of a column's range, in (0, 1).
        tau: alarm where the status exceeds it, in [0, 1].
        least: queries before the status of `label` is judged.
        calibration: raises tau to what the defender's training data demand.
    """

    margin: str
    width: float
    tau: float
    least: int
    calibration: Calibration

    def __post_init__(self) -> None:
        check_choice("margin_counter: margin", self.margin, MARGINS)
        self._rule = self.margin
        check_number("margin_counter: width", self.width, 0, 1, above=True, below=True)
        check_number("margin_counter: tau", self.tau, 0, 1)
        check_whole("margin_counter: least", self.least, 1)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; find the status that customers do not exceed.

        Raises:
            NotApplicable: a regression victim; by `label` a space of categorical codes only, by
                `leaf` a victim that is no tree whose splits are known.
        """
        if len(victim.classes) == 1:
            raise NotApplicable("margin_counter needs classes: a regression victim has no boundary")
        self._accounts: dict[str, _Count] = {}
        self._latch = Latch()
        x = victim.shares.x_train
        x = x[rng.permutation(len(x))[:ROWS]]
        self._rule = _fitting(victim) if self.margin == "auto" else self.margin
        if self._rule == "leaf":
            self._leaves = LeafMargins.of(victim, rng)
            self._parts = len(self._leaves.leaves)
        else:
            self._near = Margin(victim.predict, victim.space, self.width)
            self._parts = 1
        at, inside = self._placed(x)
        drawn = self.calibration.draw(len(inside), rng, repeats=True)
        calibrated = self.calibration.threshold(
            [float(self._statuses(at[r], inside[r], self._nothing()).max()) for r in drawn]
        )
        self.threshold = max(self.tau, calibrated)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        return self._latch(self.score(x, labels, account) > self.threshold, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the account's status; -inf where it is not judged."""
        count = self._accounts.setdefault(account, self._nothing())
        at, inside = self._placed(x)
        found = self._statuses(at, inside, count)
        count.asked += np.bincount(at[at >= 0], minlength=self._parts)
        count.inside += np.bincount(at[inside], minlength=self._parts)
        count.queries += len(x)
        return found

    def _placed(self, x: Array) -> tuple[Rows, Mask]:
        """(n,) the part that a row counts for, -1 for none; (n,) whether it lies in the margin."""
        if self._rule == "leaf":
            at, inside = self._leaves(x)
            return at, inside
        return np.zeros(len(x), np.intp), self._near(x)

    def _statuses(self, at: Rows, inside: Mask, before: "_Count") -> Array:
        """(n,) the status after each query; -inf where it is not judged."""
        queries = before.queries + np.arange(1, len(at) + 1)
        parts = at[:, None] == np.arange(self._parts)
        asked = before.asked + np.cumsum(parts, axis=0)
        within = before.inside + np.cumsum(parts & inside[:, None], axis=0)
        if self._rule == "label":
            return np.where(queries < self.least, -inf, within[:, 0] / asked[:, 0])
        counts = asked >= LEAST_IN_LEAF
        share = np.divide(within, asked, out=np.zeros(asked.shape), where=counts)
        return np.where(queries % CHECK_EVERY, -inf, share.mean(axis=1))

    def _nothing(self) -> "_Count":
        return _Count(0, np.zeros(self._parts, np.intp), np.zeros(self._parts, np.intp))


def _fitting(victim: Victim) -> str:
    """Name the rule for a victim: leaf where it is a tree whose splits are known."""
    try:
        tree_of(victim)
    except NotApplicable:
        return "label"
    return "leaf"


@dataclass
class _Count:
    """What is known of an account: (parts,) queries asked in each leaf, or in all, and inside."""

    queries: int
    asked: Rows
    inside: Rows


@dataclass
class Margin:
    """Tells which rows lie in the margin; what is known of a row is kept, as customers share rows.

    Args:
        predict: the victim's.
        space: of its inputs.
        width: as in `MarginCounter`.

    Raises:
        NotApplicable: there is no real-valued column.
    """

    predict: Predict
    space: InputSpace
    width: float
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
        reach = np.maximum(self.width * (self.space.high - self.space.low), self.space.steps)
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
