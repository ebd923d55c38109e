"""Fit a model with linear log-odds to answers of which some entries stand, and nobody knows which.

With z = x W the log of a true answer is z plus an offset of its row. A perturbation that moves some
entries leaves the others on such a line. So the offset is sought on which most entries of a row
agree, an entry counts the less the farther it lies from it, and the scale that says what is far
shrinks round by round.

Source: redescending M-estimation (Geman and McClure 1987) by reweighted least squares.
"""

import numpy as np

from moatbench.types import Array, Mask

ROUNDS = 160
WIDEST, NEAR, NARROWEST = 3.0, 0.05, 1e-7  # scale of the residuals, in log-odds
SHRINKING = 0.93  # of the scale, a round
CAUTION, AGREED = 10.0, 0.9  # times the residual that most of the standing entries have
AGREEING = 3  # entries of a row at least: two lie on every line
FREE = 20  # rounds in which fewer will do
POLISHING = 4  # rounds at the narrowest scale
MANY = 20  # entries of a row, beyond which they are sorted
RIDGE = 1e-3, 1e-9  # in the free rounds, and later


def standing(
    a: Array, logs: Array, usable: Mask, w: Array, widest: float = WIDEST
) -> tuple[Array, Mask]:
    """Return the weights (d, k) with which most entries agree, and which entries (n, k) do.

    Args:
        a: (n, d) inputs, with a column of ones.
        logs: (n, k) logs of the answers.
        usable: (n, k) entries that may stand.
        w: (d, k) weights to start from.
        widest: scale to start with, in log-odds.
    """
    scale, weights, last = widest, np.zeros_like(logs), 0
    for turn in range(ROUNDS):
        gaps = np.where(usable, logs - a @ w, np.nan)
        offset = agreed(gaps, scale)[:, None]
        weights = np.nan_to_num(weights_of((gaps - offset) / scale))
        free = turn < FREE and widest == WIDEST
        if not free:
            weights[weights.sum(axis=1) <= AGREEING - 1] = 0
        total = np.maximum(weights.sum(axis=1, keepdims=True), 1e-12)
        offset = (weights * np.nan_to_num(gaps)).sum(axis=1, keepdims=True) / total
        w = _solved(a, np.where(usable, logs - offset, 0.0), weights, w, RIDGE[not free])
        scale *= SHRINKING
        if scale < NEAR and (weights > 0.5).any():
            left = np.abs(gaps - offset)[weights > 0.5]
            scale = min(scale, CAUTION * float(np.quantile(left, AGREED)))
        last += scale < NARROWEST
        scale = max(scale, NARROWEST)
        if last == POLISHING:
            break
    return w, weights > 0.5


def weights_of(gaps: Array) -> Array:
    """Return what entries count, by their gaps in units of the scale."""
    return np.asarray(1 / (1 + gaps**2) ** 2)


def agreed(gaps: Array, scale: float) -> Array:
    """(n,) of each row the gap that most others are near to."""
    if gaps.shape[1] > MANY:
        return _crowded(gaps, scale)
    near = np.nansum(np.exp(-(((gaps[:, :, None] - gaps[:, None, :]) / scale) ** 2)), axis=2)
    best = np.where(np.isnan(gaps), -1.0, near).argmax(axis=1)
    return np.asarray(np.nan_to_num(gaps[np.arange(len(gaps)), best]))


def _crowded(gaps: Array, scale: float) -> Array:
    """(n,) of each row the gap that most others are within the scale of; by sorting."""
    usable, rows = ~np.isnan(gaps), np.arange(len(gaps))
    if not usable.any():
        return np.zeros(len(gaps))
    least = gaps[usable].min()
    apart = gaps[usable].max() - least + 3 * scale  # each row in a stretch of its own
    flat = np.sort(np.where(usable, gaps - least, apart - scale), axis=1) + rows[:, None] * apart
    ends = (np.searchsorted(flat.ravel(), flat + side) for side in (scale, -scale))
    near = next(ends) - next(ends)
    near[np.arange(gaps.shape[1]) >= usable.sum(axis=1)[:, None]] = -1
    best = flat[rows, near.argmax(axis=1)] - rows * apart + least
    return np.asarray(np.where(usable.any(axis=1), best, 0.0))


def _solved(a: Array, targets: Array, weights: Array, w: Array, ridge: float) -> Array:
    """(d, k) least squares, a class at a time, with a ridge around the weights so far."""
    found = np.empty_like(w)
    for j in range(w.shape[1]):
        weighted = a * weights[:, [j]]
        normal = a.T @ weighted
        normal[np.diag_indices(len(normal))] += ridge
        found[:, j] = np.linalg.solve(normal, weighted.T @ targets[:, j] + ridge * w[:, j])
    return found
