"""D-ADD: an account's window of queries lies, class by class, far from the training data.

Source: D-ADD (AAAI 2025), arXiv:2503.12497.
Read: authors' code, abstract.
"""

from dataclasses import dataclass
from math import inf

import numpy as np

from moatbench.knobs import check_flag, check_whole
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Latch
from moatbench.numerics.frechet import Gaussians
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

# Of the defender's data, at most. One far row decides a window: with 2,000 that are seldom among
# them on adult_income, 96 % of the customers of one victim were alarmed, at a stated 1 %
ROWS = 20_000
EDGE = 1e-9  # confidences below have no log to speak of


@dataclass
class DADD(Monitor):
    """Alarm when a window of an account is, class by class, no sample of the training data.

    Of each class c the mean and covariance of the training rows' features are kept. Each `window`
    queries of an account, one after the other and each counted once, are grouped by the label
    told: the score is sum_c (n_c / window) F_c, n_c queries of class c, with the Frechet distance
    F = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)); the covariance of one query is 0.

    Departs from the paper, whose features are a network's last hidden layer: here they are the
    centred logs of the victim's confidences, which say as much of a softmax regression. There the
    whole window is answered with random scores, as one call brings it; here rows are answered as
    they come, so that a verdict holds for the next window, from its own last row on. The threshold
    is calibrated; there it is set for each data set (2247 on MNIST to 11.6 on CIFAR-10). A class
    that no training row is told counts as all together. Verified: distances on examples by hand
    and against a matrix root; the score by loops.

    Args:
        window: queries, at least 2; published: 16, 32 for Flower17, 256 for CIFAR-100.
        latched: whether an alarm lasts for ever; as published, until a later window passes.
        calibration: of the threshold, on the defender's training data.
    """

    window: int
    latched: bool
    calibration: Calibration

    def __post_init__(self) -> None:
        check_whole("dadd: window", self.window, 2)
        check_flag("dadd: latched", self.latched)

    def deploy(self, victim: Victim, rng: Generator) -> None:
        """Forget every account; measure the classes, and find how customers' windows vary.

        Raises:
            NotApplicable: a victim without whole distributions, or too few training rows.
        """
        victim.require_probabilities("dadd", full=True)
        victim.require_training_rows("dadd")
        self._accounts: dict[str, _Part] = {}
        self._latch, self._predict = Latch(), victim.predict
        self._width = len(victim.classes)
        x = victim.shares.x_train
        x = x[rng.permutation(len(x))[:ROWS]]
        labels, half = victim.predict(x).labels, len(x) // 2
        z = self._features(x)
        self._classes = Gaussians.of(z[:half], labels[:half], len(victim.classes))
        drawn = self.calibration.draw(len(z) - half, rng, repeats=True)
        self.threshold = self.calibration.threshold(
            [float(self._scores(z[half:][r], labels[half:][r]).max(initial=-inf)) for r in drawn]
        )

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        """(n,) whether the account is in alarm once it has asked each of these rows."""
        scores = self.score(x, labels, account)
        if self.latched:
            return self._latch(scores > self.threshold, account)
        known = self._accounts[account]
        judged = np.flatnonzero(scores > -inf)
        verdicts = np.concatenate([[known.alarm], scores[judged] > self.threshold])
        known.alarm = bool(verdicts[-1])
        latest = np.searchsorted(judged, np.arange(len(x)), side="right")
        return np.asarray(verdicts[latest], dtype=bool)

    def score(self, x: Array, labels: Labels, account: str) -> Array:
        """(n,) the score of the window that a row completes; -inf elsewhere."""
        empty = _Part(np.empty((0, self._width)), np.empty(0, np.int64))
        known = self._accounts.setdefault(account, empty)
        before = len(known.labels)
        z = np.concatenate([known.features, self._features(x)])
        told = np.concatenate([known.labels, labels])
        found = self._scores(z, told)
        scores, whole = np.full(len(x), -inf), len(found) * self.window
        scores[np.arange(1, len(found) + 1) * self.window - before - 1] = found
        known.features, known.labels = z[whole:], told[whole:]
        return scores

    def _scores(self, z: Array, labels: Labels) -> Array:
        """(windows,) the scores of the whole windows, one after the other."""
        m = len(z) // self.window
        windows = z[: m * self.window].reshape(m, self.window, z.shape[1])
        told = labels[: m * self.window].reshape(m, self.window)
        return self._classes.distances(windows, told)

    def _features(self, x: Array) -> Array:
        """(n, k) the centred logs of the victim's confidences."""
        outputs = self._predict(x).outputs if len(x) else np.empty((0, self._width))
        assert outputs is not None
        logs = np.log(outputs.clip(EDGE))
        return np.asarray(logs - logs.mean(axis=1, keepdims=True))


@dataclass
class _Part:
    """What is known of an account: its window so far, and whether the last one raised an alarm."""

    features: Array
    labels: Labels
    alarm: bool = False
