"""Robust steps of all unknowns at once, for models whose scores are not linear in them.

Each row has an offset, the one that most of its entries agree on, and each entry a weight, as where
scores are linear (`agreement`). Steps of a class at a time crawl here: a shift of all classes is
nearly an offset of the rows. So the offsets are solved for together with the unknowns.

Source: Gauss-Newton with the offsets projected out (Golub and Pereyra 1973), reweighted.
"""

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from moatbench.inverses.standing import agreed, weights_of
from moatbench.numerics.minimise import Model
from moatbench.numerics.objectives import spread
from moatbench.types import Array, Mask

NARROWEST, SHRINKING = 1e-7, 0.8  # scale of the residuals, in log-odds, and what is left of it
FREE = 10  # rounds in which one entry of a row will do
DAMPING = 1e-3  # at the widest scale, in units of the mean curvature; it shrinks with the scale
TINY = 1e-12


def jointly_annealed(
    model: Model, logs: Array, usable: Mask, theta: Array, widest: float, least: int
) -> Array:
    """Return the unknowns with which most entries agree, from others to start from.

    Args:
        model: of the rows.
        logs: (n, k) logs of the answers.
        usable: (n, k) entries that may stand.
        theta: to start from.
        widest: scale to start with, in log-odds.
        least: entries of a row that say something by standing together.
    """
    scale, turn = widest, 0
    while scale > NARROWEST:
        gaps = np.where(usable, logs - model.scores(theta), np.nan)
        weights = np.nan_to_num(weights_of((gaps - agreed(gaps, scale)[:, None]) / scale))
        if turn >= FREE:
            weights[weights.sum(axis=1) <= least - 1] = 0
        damping = DAMPING * (scale / widest if turn >= FREE else 1.0)
        step = projected_step(model, np.nan_to_num(gaps), weights, theta, damping)
        if step is None:
            return theta
        theta, turn, scale = theta + step, turn + 1, scale * SHRINKING
    return theta


def projected_step(
    model: Model, gaps: Array, weights: Array, theta: Array, damping: float
) -> Array | None:
    """(m,) a damped step that makes weighted gaps (n, k) alike in a row; None at an end."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), TINY)
    offset = (weights * gaps).sum(axis=1, keepdims=True) / total
    downhill = model.gradient(theta, weights * (gaps - offset))
    normal = model.normal(theta, spread(weights, weights / np.sqrt(total)))
    normal[np.diag_indices(len(normal))] += damping * normal.diagonal().mean() + TINY
    try:
        step = np.asarray(cho_solve(cho_factor(normal, check_finite=False), downhill))
    except (LinAlgError, ValueError):
        return None
    return step if np.isfinite(step).all() else None
