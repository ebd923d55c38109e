"""Answers as equations in the weights of a model, and what they agree on."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import log_expit

from moatbench.inverses.standing import MANY, agreed
from moatbench.types import Array, Mask, Rows

EXACT = 1e-6  # residual of an entry that stands
NEAR = 0.03  # of one that stands nearly
AGREEING = 3  # entries of a row at least: two lie on every line
FAINT = 1e-10  # a confidence below carries rounding errors in its log
TIED = 3e-4  # nearer to the largest, and a class may have been raised to it
PILE, ALIKE = (0.2, 0.5), 1.3  # shares of many classes between which all are told alike
RAISED = 3.0  # times as much as these, what is told of others that may have been raised with them
REDUNDANT = 1.25  # times as many entries of a class as unknowns, and at least so many more:
SPARE = 4


@dataclass(frozen=True)
class Equations:
    """Answers as equations in the weights of a model.

    Args:
        a: (n, d) features, a column of ones among them.
        logs: (n, k) logs of the answers; of two classes (n, 1), their log-odds.
        usable: (n, k) entries that may stand.
        sigmoids: whether the log of a class's weight is log sigma of its score, as of one-vs-rest
            regression, instead of the score itself.
    """

    a: Array
    logs: Array
    usable: Mask
    sigmoids: bool = False

    @staticmethod
    def of(a: Array, told: Array, sigmoids: bool = False) -> "Equations":
        """Take answers (n, k) for equations; rows of NaN are none.

        What is equal to the largest of its row may have been raised to it, and is left out; so are
        many classes that are told alike, for these may have been raised all at once.
        """
        told = np.nan_to_num(told)
        usable, logs = told > FAINT, np.log(told.clip(1e-300))
        if told.shape[1] == 2:
            odds = np.asarray(usable.all(axis=1))[:, None]
            return Equations(a, np.where(odds, logs[:, 1:] - logs[:, :1], 0.0), odds)
        tied = told >= told.max(axis=1, keepdims=True) - TIED
        usable &= ~(tied & (tied.sum(axis=1, keepdims=True) > 1)) & ~_piled(told)
        return Equations(a, logs, usable, sigmoids)

    @property
    def least(self) -> int:
        """Entries of a row that say something by standing together."""
        return AGREEING if self.logs.shape[1] > 1 else 1

    def among(self, rows: Rows | Mask) -> "Equations":
        """Return those of some rows."""
        return replace(self, a=self.a[rows], logs=self.logs[rows], usable=self.usable[rows])

    def scores(self, w: Array) -> Array:
        """(n, k) logs of the classes' weights."""
        scores = self.a @ w
        return np.asarray(log_expit(scores)) if self.sigmoids else scores

    def scores_told(self, offset: Array) -> tuple[Array, Mask]:
        """(n, k) scores that answers tell, and which they tell, given the rows' offsets (n,)."""
        logs = self.logs - offset[:, None]
        if not self.sigmoids:
            return logs, self.usable
        below = self.usable & (logs < -FAINT)  # no sigmoid is above 1
        logs = np.where(below, logs, -1.0)
        return logs - np.log(-np.expm1(logs)), below

    def gaps(self, w: Array) -> Array:
        """(n, k) logs of the answers less those of the model; NaN where nothing is usable."""
        return np.where(self.usable, self.logs - self.scores(w), np.nan)

    def offsets(self, gaps: Array, scale: float) -> Array:
        """(n, 1) the offset that most entries of a row are near to."""
        alone = self.logs.shape[1] == 1
        return np.zeros((len(gaps), 1)) if alone else agreed(gaps, scale)[:, None]


class Agreement(NamedTuple):
    """What equations agree on: weights (d, k), and which entries (n, k) stand exactly.

    Where it isn't `exact`, nothing certifies the weights, and entries stand nearly. Where it does
    not `span` the features, the rows that stand tell weights in some directions alone: inputs that
    differ in others are guessed at.
    """

    w: Array
    stands: Mask
    exact: bool = True
    spans: bool = True

    @property
    def certain(self) -> Mask:
        """(k,) the classes of which more entries stand than it has unknowns."""
        return np.asarray(self.stands.sum(axis=0) >= self.wanted)

    @property
    def wanted(self) -> float:
        """Entries of a class that make it certain."""
        return max(REDUNDANT * len(self.w), len(self.w) + SPARE)

    @property
    def share(self) -> float:
        """Of the entries, how many were taken for true."""
        return float(self.stands.mean())

    @property
    def rows(self) -> Mask:
        """(n,) the answers of which something stands."""
        return np.asarray(self.stands.any(axis=1))


def standing_entries(equations: Equations, w: Array, within: float = EXACT) -> Mask:
    """(n, k) the entries that a model explains, with others of their row, to the last digits.

    Args:
        equations: to explain.
        w: (d, k) weights of the model.
        within: gap in log-odds that is left.
    """
    gaps = equations.gaps(w)
    near = np.abs(gaps - equations.offsets(gaps, within)) < within
    return np.asarray(near & (near.sum(axis=1, keepdims=True) >= equations.least))


def _piled(told: Array) -> Mask:
    """(n, k) entries that may have been raised with many others, where most answers show a pile."""
    if told.shape[1] <= MANY or not len(told):
        return np.zeros(told.shape, bool)
    low, high = np.quantile(told, PILE, axis=1)[:, :, None]
    if np.median(high / np.maximum(low, FAINT)) > ALIKE:
        return np.zeros(told.shape, bool)
    near = (told > low / ALIKE) & (told < RAISED * low)
    return np.asarray(near | (told == told.max(axis=1, keepdims=True)))
