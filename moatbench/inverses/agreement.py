"""Find the model that most entries of perturbed answers agree on, without any knob of a defense.

The log of a true answer is the log of a class's weight plus an offset of its row. A perturbation
that moves some entries leaves the others on such a line. The offset is sought on which most entries
of a row agree; an entry counts the less the farther it lies from it; and the scale that says what
is far shrinks round by round (`standing`). More entries agree to seven digits than the model has
unknowns: that is the certificate, for nothing else makes them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy.special import log_expit

from moatbench.inverses.joint import jointly_annealed
from moatbench.inverses.standing import MANY, agreed, weights_of
from moatbench.models.linear import cross_entropy
from moatbench.models.one_vs_rest import SHIFTS, OneVsRest
from moatbench.types import Array, Labels, Mask, Rows

WIDEST, NARROWEST, SHRINKING = 3.0, 1e-7, 0.88  # scale of the residuals, in log-odds, a round
POLISHING = 1e-5  # scale from which a solution is found again
FREE = 20  # rounds in which two entries of a row will do, and a ridge holds them
RIDGE = 1e-3, 1e-9  # in the free rounds, and later
EXACT = 1e-6  # residual of an entry that stands
AGREEING = 3  # entries of a row at least: two lie on every line
FAINT = 1e-10  # a confidence below carries rounding errors in its log
TIED = 3e-4  # nearer to the largest, and a class may have been raised to it
PILE, ALIKE = (0.2, 0.5), 1.3  # shares of many classes between which all are told alike
RAISED = 3.0  # times as much as these, what is told of others that may have been raised with them
REDUNDANT = 1.25  # times as many entries of a class as unknowns, and at least so many more:
SPARE = 4
ENDS, ALONE = 4, 1.0  # a quarter of the answers, and the scale, where a class is sought alone
MOST = 0.75  # of the classes
MODELS = 3  # that may answer in turn
NEAR, NEARLY = 0.03, 0.65  # of sigmoids that nothing certifies: gap in log-odds, share of entries
BENT, TELLING = -3.0, 1.5  # score from which a sigmoid is far from linear, and entries an unknown


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

    def gaps(self, w: Array) -> Array:
        """(n, k) logs of the answers less those of the model; NaN where nothing is usable."""
        return np.where(self.usable, self.logs - self.scores(w), np.nan)

    def offsets(self, gaps: Array, scale: float) -> Array:
        """(n, 1) the offset that most entries of a row are near to."""
        alone = self.logs.shape[1] == 1
        return np.zeros((len(gaps), 1)) if alone else agreed(gaps, scale)[:, None]


class Agreement(NamedTuple):
    """What equations agree on: weights (d, k), and which entries (n, k) stand exactly.

    Where it isn't `exact`, nothing certifies the weights, and entries stand nearly.
    """

    w: Array
    stands: Mask
    exact: bool = True

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


def agreements(equations: Equations, labels: Labels, k: int) -> list[Agreement]:
    """Return the models that explain answers exactly, each of them some; the best first.

    Where a defense answers for the victim, two models do. Each is looked for among the answers that
    no other explains. Of sigmoids that no solution explains exactly, one may that is near to most.

    Args:
        equations: in any order.
        labels: (n,) that were told.
        k: classes.
    """
    found: list[Agreement] = []
    left = np.asarray(equations.usable.any(axis=1))
    while len(found) < MODELS and left.sum() * equations.usable.shape[1] > equations.a.shape[1]:
        one = _agreement(equations.among(left), labels[left], k)
        if one is None:
            break
        if not one.exact:
            return found or [one]
        found.append(Agreement(one.w, standing_entries(equations, one.w)))
        left &= ~found[-1].rows
    return sorted(found, key=lambda one: -int(one.stands.sum()))


def _piled(told: Array) -> Mask:
    """(n, k) entries that may have been raised with many others, where most answers show a pile."""
    if told.shape[1] <= MANY or not len(told):
        return np.zeros(told.shape, bool)
    low, high = np.quantile(told, PILE, axis=1)[:, :, None]
    if np.median(high / np.maximum(low, FAINT)) > ALIKE:
        return np.zeros(told.shape, bool)
    near = (told > low / ALIKE) & (told < RAISED * low)
    return np.asarray(near | (told == told.max(axis=1, keepdims=True)))


def standing_entries(equations: Equations, w: Array) -> Mask:
    """(n, k) the entries that a model explains, with others of their row, to the last digits."""
    gaps = equations.gaps(w)
    near = np.abs(gaps - equations.offsets(gaps, EXACT)) < EXACT
    return np.asarray(near & (near.sum(axis=1, keepdims=True) >= equations.least))


def nearly(equations: Equations, labels: Labels, k: int) -> Agreement | None:
    """Return a solution that is certain of some classes, most of them if possible."""
    if not equations.usable.any():
        return None
    found = []
    for start in _starts(equations, labels, k):
        w = _annealed(equations, start, WIDEST)
        found.append(Agreement(w, standing_entries(equations, w)))
        if found[-1].certain.mean() >= MOST:
            break
    best = max(found, key=lambda one: int(one.certain.sum()))
    return best if best.certain.sum() >= AGREEING else None


def _agreement(equations: Equations, labels: Labels, k: int) -> Agreement | None:
    """Return the first solution that is certain of all classes; None where there is none."""
    if (equations.usable.sum(axis=0) < len(equations.a.T)).any():
        return None
    tried = []
    for start in _starts(equations, labels, k):
        w = _annealed(equations, start, WIDEST)
        one = Agreement(w, standing_entries(equations, w))
        if one.certain.any() and not one.certain.all() and not equations.sigmoids:
            one = _completed(equations, one)
        if _certified(equations, one):
            return one
        tried.append(one.w)
    return _close(equations, tried) if equations.sigmoids else None


def _close(equations: Equations, tried: list[Array]) -> Agreement | None:
    """Return the weights that most entries are near to; None where too few are."""
    found = []
    for w in tried:
        gaps = equations.gaps(w)
        found.append(Agreement(w, np.abs(gaps - equations.offsets(gaps, NEAR)) < NEAR, exact=False))
    best = max(found, key=lambda one: int(one.stands.sum()))
    return best if best.stands.sum() >= NEARLY * equations.usable.sum() else None


def _certified(equations: Equations, one: Agreement) -> bool:
    """Whether more equations stand than weights and offsets could make.

    One odds a row stands by itself: what many answers are told alike, a constant explains, so equal
    odds count once. Of sigmoids, enough of them must stand that tell a shift of all from an offset
    of the row.
    """
    if not one.certain.all():
        return False
    if equations.least == 1:
        return len(np.unique(np.rint(equations.logs[one.stands] / EXACT))) >= one.wanted
    d, k = map(int, one.w.shape)
    net = int(one.stands.sum()) - int(one.rows.sum())
    if not equations.sigmoids:
        return net > d * (k - 1) + SPARE
    bent = one.stands & (equations.a @ one.w > BENT)
    return net > d * k + SPARE and int(bent.sum()) >= TELLING * d


def _starts(equations: Equations, labels: Labels, k: int) -> Iterator[Array]:
    """Yield weights to start from; sigmoids that are small are nearly linear in their logs."""
    for w in _linear_starts(equations, labels, k):
        if equations.sigmoids:
            w[-1] -= SHIFTS[0]
        yield w


def _linear_starts(equations: Equations, labels: Labels, k: int) -> Iterator[Array]:
    """Yield weights of linear scores: of all entries, of the labels, of the surest answers."""
    a, logs, usable = equations.a, equations.logs, equations.usable
    centred = np.where(usable, logs, 0.0)
    if logs.shape[1] > 1:
        total = np.maximum(usable.sum(axis=1, keepdims=True), 1)
        centred -= usable * centred.sum(axis=1, keepdims=True) / total
    yield _lstsq(a, centred, usable)
    hard, _ = cross_entropy(a[:, :-1], np.eye(k)[labels], RIDGE[0], iterations=100)
    yield hard[:, 1:] - hard[:, :1] if k == 2 else hard
    sure = np.abs(centred).max(axis=1)
    yield _lstsq(a, centred, usable & (sure >= np.median(sure))[:, None])


def _annealed(equations: Equations, w: Array, widest: float) -> Array:
    """Solve with weights of the residuals, while the scale that says what is far shrinks."""
    if equations.sigmoids:
        return _jointly(equations, w, widest)
    scale, turn = widest, 0
    while scale > NARROWEST:
        gaps = equations.gaps(w)
        weights = np.nan_to_num(weights_of((gaps - equations.offsets(gaps, scale)) / scale))
        free = turn < FREE and widest == WIDEST
        if not free:
            weights[weights.sum(axis=1) <= equations.least - 1] = 0
        offset = np.zeros((len(gaps), 1))
        if equations.least > 1:
            total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
            offset = (weights * np.nan_to_num(gaps)).sum(axis=1, keepdims=True) / total
        w = _stepped(equations, offset, weights, w, RIDGE[not free])
        turn, scale = turn + 1, scale * SHRINKING
    return w


def _stepped(equations: Equations, offset: Array, weights: Array, w: Array, ridge: float) -> Array:
    """(d, k) a step of weighted least squares, a class at a time, with a ridge around `w`."""
    a = equations.a
    left = np.where(equations.usable, equations.logs - offset - a @ w, 0.0)
    found = w.copy()
    for j in range(w.shape[1]):
        weighted = a * weights[:, [j]]
        normal = a.T @ weighted
        normal[np.diag_indices(len(normal))] += ridge
        found[:, j] += np.linalg.solve(normal, weighted.T @ left[:, j])
    return found


def _jointly(equations: Equations, w: Array, widest: float) -> Array:
    """Solve for all sigmoids and offsets at once."""
    model = OneVsRest(equations.a, w.shape[1])
    theta = jointly_annealed(
        model, equations.logs, equations.usable, w.T.ravel(), widest, equations.least
    )
    return model.coef(theta)


def _completed(equations: Equations, one: Agreement) -> Agreement:
    """Look again for classes of which the others' rows tell too little.

    The offsets of the rows are known by then. A class that is moved most of the time is so where
    it is large, or where it is small: each end of the answers is tried alone, then all.
    """
    w = one.w.copy()
    known = one.stands & one.certain
    count = known.sum(axis=1)
    rows = np.flatnonzero(count >= equations.least)
    gaps = np.where(known, equations.gaps(w), 0.0)[rows]
    logs = equations.logs[rows] - (gaps.sum(axis=1) / count[rows])[:, None]
    for j in np.flatnonzero(~one.certain):
        some = rows[equations.usable[rows, j]]
        column = logs[equations.usable[rows, j]][:, [j]]
        alone = Equations(equations.a[some], column, np.ones_like(column, bool))
        order = np.argsort(alone.a @ w[:, j])
        for end in (order[: len(order) // ENDS], order[-(len(order) // ENDS) :]):
            found = _annealed(alone.among(end), w[:, [j]], ALONE)
            found = _annealed(alone, found, ALONE / 10)
            if Agreement(found, standing_entries(alone, found)).certain.all():
                w[:, [j]] = found
                break
    w = _annealed(equations, w, POLISHING)
    return Agreement(w, standing_entries(equations, w))


def _lstsq(a: Array, targets: Array, usable: Mask) -> Array:
    """(d, k) least squares with a small ridge, a class at a time, on what is usable."""
    found = np.zeros((a.shape[1], targets.shape[1]))
    for j in range(targets.shape[1]):
        some = a[usable[:, j]]
        normal = some.T @ some + RIDGE[0] * np.eye(a.shape[1])
        found[:, j] = np.linalg.solve(normal, some.T @ targets[usable[:, j], j])
    return found
