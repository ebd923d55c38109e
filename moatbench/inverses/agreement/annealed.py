"""Weights from weighted least squares, while the scale that says what is far shrinks."""

from collections.abc import Iterator

import numpy as np

from moatbench.inverses.agreement.joint import jointly_annealed
from moatbench.inverses.agreement.stated import (
    EXACT,
    NEAR,
    Agreement,
    Equations,
    standing_entries,
)
from moatbench.inverses.standing import weights_of
from moatbench.models.linear import cross_entropy
from moatbench.models.one_vs_rest import SHIFTS, OneVsRest
from moatbench.types import Array, Labels, Mask, Rows

WIDEST, NARROWEST, SHRINKING = 3.0, 1e-7, 0.88  # scale of the residuals, in log-odds, a round
POLISHING = 1e-5  # scale from which a solution is found again
AGAIN = 0.5  # the same of sigmoids, of which a shift is left
FREE = 20  # rounds in which two entries of a row will do, and a ridge holds them
RIDGE = 1e-3, 1e-9  # in the free rounds, and later
ENDS, ALONE = (4, 2), 1.0  # a quarter or half of the answers, and the scale, for a class alone


def starts(equations: Equations, labels: Labels, k: int) -> Iterator[Array]:
    """Yield weights to start from; sigmoids that are small are nearly linear in their logs."""
    for w in _linear(equations, labels, k):
        if equations.sigmoids:
            w[-1] -= SHIFTS[0]
        yield w


def annealed(equations: Equations, w: Array, widest: float) -> Array:
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


def completed(equations: Equations, one: Agreement) -> Agreement:
    """Look again for classes of which the others' rows tell too little.

    The offsets of the rows are known by then, and with them each score: of sigmoids nearly so, for
    a shift of all is nearly an offset. What was raised is told as large, what was lowered as small:
    each end of what was told of a class is tried alone, then all.
    """
    w, within = one.w.copy(), NEAR if equations.sigmoids else EXACT
    known = standing_entries(equations, w, within) & one.certain
    count = known.sum(axis=1)
    rows = np.flatnonzero(count >= equations.least)
    if not len(rows):
        return one
    gaps = np.where(known, equations.gaps(w), 0.0)[rows]
    some = equations.among(rows)
    scores, usable = some.scores_told(gaps.sum(axis=1) / count[rows])
    for j in np.flatnonzero(~one.certain):
        column = scores[usable[:, j]][:, [j]]
        alone = Equations(some.a[usable[:, j]], column, np.ones_like(column, bool))
        order = np.argsort(column[:, 0])
        for end in _ends(order):
            found = annealed(alone.among(end), w[:, [j]], ALONE)
            found = annealed(alone, found, ALONE / 10)
            if Agreement(found, standing_entries(alone, found, within)).certain.all():
                w[:, [j]] = found
                break
    w = annealed(equations, w, AGAIN if equations.sigmoids else POLISHING)
    return Agreement(w, standing_entries(equations, w))


def _ends(order: Rows) -> Iterator[Rows]:
    """Yield the first and the last quarter of some rows, then halves."""
    for part in ENDS:
        yield order[: len(order) // part]
        yield order[-(len(order) // part) :]


def _linear(equations: Equations, labels: Labels, k: int) -> Iterator[Array]:
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


def _lstsq(a: Array, targets: Array, usable: Mask) -> Array:
    """(d, k) least squares with a small ridge, a class at a time, on what is usable."""
    found = np.zeros((a.shape[1], targets.shape[1]))
    for j in range(targets.shape[1]):
        some = a[usable[:, j]]
        normal = some.T @ some + RIDGE[0] * np.eye(a.shape[1])
        found[:, j] = np.linalg.solve(normal, some.T @ targets[usable[:, j], j])
    return found
