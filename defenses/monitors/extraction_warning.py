"""The extraction warning: how much of the model would a tree, grown on an account's answers, know.

Source: Kesarwani et al. 2018, "Model Extraction Warning in MLaaS Paradigm", arXiv:1711.07221.
Read: abstract. Rule and constants are from memory of the paper, and unverified.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch, Scaling
from moatbench.types import Array, Generator, Labels, Mask, Rows
from moatbench.victim import NotApplicable, Victim

STRATEGIES = {
    "information_gain": ("information_gain",),
    "coverage": ("coverage",),
    "both": ("information_gain", "coverage"),
}
ROWS = 2000  # of the defender's data, at most
SEEDS = 2**31  # scikit-learn takes a seed of 32 bits


@dataclass
class ExtractionWarning(Monitor):
    """Alarm when what an account has asked would tell more of the model than customers learn.

    Two strategies, alone or together:
    - `information_gain`: a decision tree T is grown on the account's rows and labels. On the
      defender's training rows S, labelled by the victim, IG(T) = H(S) - sum over leaves
      |S_l| / |S| H(S_l), with H the entropy of the labels; the status is IG(T) / IG(reference
      tree). The tests check that IG is 0 for a tree of one leaf, H(S) for one that separates the
      classes, and never beyond.
    - `coverage`: within each leaf of the reference tree, the share of each column's range in the
      leaf that the account's queries span, mean over the columns; leaves of a class count alike,
      and classes by their share of the training data. It lies in [0, 1] and never falls.
    The reference tree is grown on S. Both trees have `leaves` leaves at most: with a leaf a row,
    any tree would gain all there is. Honest accounts for the calibration are drawn from S too; the
    tree of each is judged on the other rows, and at the end of the account alone, as both statuses
    grow with the number of queries (coverage always, the gain on average).

    Departs from the paper: its warning sounds at a status that the operator sets (.8 to .9), and
    coverage is kept over all accounts, against colluders; here the status is calibrated, and an
    account answers for itself alone, so that no thief can have a customer alarmed. A customer who
    asks far beyond the horizon of the calibration has learnt the model too, and is alarmed, as in
    the paper.

    Args:
        strategy: information_gain, coverage, or both (each with half of the false positives).
        leaves: of a tree, at most.
        check_every: queries of an account from one test to the next, at the beginning.
        growth: later, tests are further apart: this share of the queries so far, at least.
        calibration: of the thresholds, on the defender's training data.
    """

    strategy: str
    leaves: int
    check_every: int
    growth: float
    calibration: Calibration

    def __post_init__(self) -> None:
        check_choice("extraction_warning: strategy", self.strategy, STRATEGIES)
        check_whole("extraction_warning: leaves", self.leaves, 2)
        check_whole("extraction_warning: check_every", self.check_every, 1)
        check_number("extraction_warning: growth", self.growth, 0)
        rate, accounts = self.calibration.false_positives, self.calibration.accounts
        parts = len(STRATEGIES[self.strategy])
        self._part = Calibration(rate / parts, self.calibration.horizon, accounts)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; grow the reference tree, and find what customers learn.

        Raises:
            NotApplicable: a regression victim, or one that answers a single class.
        """
        if len(victim.classes) == 1:
            raise NotApplicable(
                "extraction_warning needs classes: regression labels have no entropy"
            )
        self._accounts: dict[str, _Account] = {}
        self._latch = Latch()
        self._filled = Scaling.of(victim.shares.x_train).filled
        self._scaled = victim.space.scaled  # trees are grown in single precision
        x = self._filled(victim.shares.x_train)
        x = x[rng.permutation(len(x))[:ROWS]]
        self._judged = self._scaled(x), victim.predict(x).labels
        grown = tree(*self._judged, self.leaves)
        low, high = self._scaled(np.stack([victim.space.low, victim.space.high]))
        self._leaves = Leaves.of(grown, low, high)
        self._gain = information_gain(grown, *self._judged)
        if not self._gain > 0:
            raise NotApplicable(
                "extraction_warning: a tree on the victim's labels of its training data learns "
                "nothing of them; there is no information to be gained"
            )
        self.thresholds = self._calibrated(rng)

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        if account in self._latch.alarmed:  # it lasts, and nothing more need be known
            return np.ones(len(x), dtype=bool)
        return self._latch(self.score(x, labels, account) > 0, account)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) by how much a status exceeds its threshold, at most; -inf where no test is due."""
        known = self._accounts.setdefault(account, _Account(self._leaves, self.check_every))
        scores = np.full(len(x), -inf)
        for end, status in self._tests(self._scaled(self._filled(x)), labels, known):
            scores[end - 1] = max(status[name] - limit for name, limit in self.thresholds.items())
        return scores

    def _tests(
        self, x: Array, labels: Labels, known: "_Account"
    ) -> Iterator[tuple[int, dict[str, float]]]:
        """Add the rows to what is known; wherever a test is due, yield the row and the status."""
        start = 0
        while known.asked + len(x) - start >= known.due:
            end = start + known.due - known.asked
            known.add(x[start:end], labels[start:end])
            known.due += max(self.check_every, int(self.growth * known.due))
            yield end, self._status(known, *self._judged)
            start = end
        known.add(x[start:], labels[start:])

    def _status(self, known: "_Account", x: Array, labels: Labels) -> dict[str, float]:
        """Return the status by each strategy; the tree's gain is judged on (n, d) rows."""
        status = {}
        if "coverage" in STRATEGIES[self.strategy]:
            status["coverage"] = self._leaves.coverage(known.low, known.high)
        if "information_gain" in STRATEGIES[self.strategy]:
            grown = tree(*known.answers(), self.leaves)
            status["information_gain"] = information_gain(grown, x, labels) / self._gain
        return status

    def _calibrated(self, rng: Generator) -> dict[str, float]:
        """Return the threshold of each strategy."""
        x, labels = self._judged
        reached = []
        for rows in self._part.draw(len(x), rng, repeats=False):
            known = _Account(self._leaves, self.check_every)
            known.add(x[rows], labels[rows])
            others = np.delete(np.arange(len(x)), rows)
            reached.append(self._status(known, x[others], labels[others]))
        return {
            name: self._part.threshold([status[name] for status in reached])
            for name in STRATEGIES[self.strategy]
        }


def tree(x: Array, labels: Labels, leaves: int) -> Any:
    """Grow a decision tree of so many leaves at most; return scikit-learn's `tree_`."""
    from sklearn.tree import DecisionTreeClassifier

    model = DecisionTreeClassifier(criterion="entropy", max_leaf_nodes=leaves, random_state=0)
    # Most of the time would go into checks of an input that is known to be sound
    return model.fit(_single(x), labels, check_input=False).tree_


def information_gain(grown: Any, x: Array, labels: Labels) -> float:
    """Bits that the leaf of a row tells of its label, on average over (n, d) rows."""
    counts = np.zeros((grown.node_count, int(labels.max()) + 1))
    np.add.at(counts, (grown.apply(_single(x)), labels), 1.0)
    sizes = counts.sum(axis=1)
    met = sizes > 0
    return float(entropy(counts.sum(axis=0)) - sizes[met] @ entropy(counts[met]) / len(x))


def _single(x: Array) -> NDArray[np.float32]:
    """(n, d) in the precision of scikit-learn's trees."""
    return np.ascontiguousarray(x, dtype=np.float32)


def entropy(counts: Array) -> Array:
    """(...) bits, of (..., k) counts."""
    share = counts / counts.sum(axis=-1, keepdims=True)
    return -np.asarray((share * np.log2(share, out=np.zeros_like(share), where=share > 0)).sum(-1))


@dataclass(frozen=True)
class Leaves:
    """The leaves of a tree, as boxes.

    Args:
        apply: (n, d) rows to the places of their leaves.
        low: (leaves, d).
        high: (leaves, d).
        weight: (leaves,) share of the leaf's class in what the tree was grown on, divided by the
            number of leaves of the class; their sum is 1.
    """

    apply: Callable[[Array], Rows]
    low: Array
    high: Array
    weight: Array

    @classmethod
    def of(cls, grown: Any, low: Array, high: Array) -> "Leaves":
        """Cut the box from `low` to `high` by the splits of a tree."""
        boxes, waiting = {}, [(0, low, high)]
        while waiting:
            node, low, high = waiting.pop()
            left, right = grown.children_left[node], grown.children_right[node]
            if left < 0:
                boxes[node] = low, high
                continue
            cut_high, cut_low = high.copy(), low.copy()
            cut_high[grown.feature[node]] = cut_low[grown.feature[node]] = grown.threshold[node]
            waiting += [(left, low, cut_high), (right, cut_low, high)]
        nodes = np.array(sorted(boxes))
        lows, highs = (np.array([boxes[node][side] for node in nodes]) for side in (0, 1))
        shares = grown.value[:, 0, :] / grown.value[:, 0, :].sum(axis=1, keepdims=True)
        classes = shares[nodes].argmax(axis=1)
        # A class that has no leaf cannot be covered; the others stand for all
        prior = np.where(np.isin(np.arange(shares.shape[1]), classes), shares[0], 0.0)
        weight = (prior / prior.sum())[classes] / np.bincount(classes)[classes]
        return cls(lambda x: np.searchsorted(nodes, grown.apply(_single(x))), lows, highs, weight)

    def coverage(self, low: Array, high: Array) -> float:
        """Return the share of the leaves' ranges between what was seen least and most in each.

        Args:
            low: (leaves, d) least value of the queries in a leaf; above `high` where there is none.
            high: (leaves, d) greatest.
        """
        seen = (high - low).clip(0)
        whole = self.high - self.low
        share = np.divide(seen, whole, out=np.zeros_like(seen), where=whole > 0)
        return float(self.weight @ share.mean(axis=1))


class _Account:
    """What is known of an account."""

    def __init__(self, leaves: Leaves, due: int) -> None:
        self.asked, self.due = 0, due
        self.low, self.high = np.full(leaves.low.shape, inf), np.full(leaves.low.shape, -inf)
        self._leaves = leaves
        self._x: list[Array] = []
        self._labels: list[Labels] = []

    def add(self, x: Array, labels: Labels) -> None:
        """Keep some rows and their labels."""
        if not len(x):
            return
        self.asked += len(x)
        self._x.append(x.copy())  # the client may write over its rows
        self._labels.append(labels.copy())
        leaf = self._leaves.apply(x)
        np.minimum.at(self.low, leaf, x)
        np.maximum.at(self.high, leaf, x)

    def answers(self) -> tuple[Array, Labels]:
        """All rows so far, and their labels."""
        return np.concatenate(self._x), np.concatenate(self._labels)
