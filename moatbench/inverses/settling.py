"""Choose among what the answers may have been."""

import numpy as np

from moatbench.inverses.origins import Origins
from moatbench.types import Array, Mask

LEAST, FARTHEST, HALVINGS = 1e-20, 50.0, 50


def settled(origins: Origins, guess: Array | None) -> Array:
    """(n, k) answers as they may best be believed to have been; NaN where nothing is possible.

    That is the candidate nearest to a guess (n, k), and in it the nearest point. Without a guess,
    it is the mean of the middles of the candidates.
    """
    if guess is not None:
        return nearest(origins, guess)[0]
    outputs, counts = np.full((origins.n, origins.k), np.nan), origins.counts
    outputs[counts > 0] = 0.0
    np.add.at(outputs, origins.rows, _middles(origins))
    return np.asarray(outputs / np.maximum(counts, 1)[:, None])


def nearest(origins: Origins, guess: Array) -> tuple[Array, Mask]:
    """(n, k) the points of the candidates that are nearest to a guess (n, k), in Hellinger's sense.

    Returns:
        The points, NaN where nothing is possible, and (n, k) which of their confidences are known
        exactly, if that candidate is the right one and the guess is near.
    """
    outputs, known = np.full((origins.n, origins.k), np.nan), np.zeros((origins.n, origins.k), bool)
    rows = origins.rows
    if len(rows):
        near = _nearest(origins, guess[rows])
        far = ((np.sqrt(near) - np.sqrt(guess[rows])) ** 2).sum(axis=1)
        order = np.lexsort((far, rows))
        best = order[np.unique(rows[order], return_index=True)[1]]
        outputs[rows[best]] = near[best]
        known[rows[best]] = (origins.low == origins.high)[best]
    return outputs, known


def farthest(origins: Origins, guess: Array) -> Array:
    """(n, k) the points of the candidates that are least like a guess (n, k), as above.

    A choice as good as any, if nothing but the guess speaks for the nearest ones.
    """
    near = _nearest(origins, guess[origins.rows])
    far = ((np.sqrt(near) - np.sqrt(guess[origins.rows])) ** 2).sum(axis=1)
    order = np.lexsort((-far, origins.rows))
    best = order[np.unique(origins.rows[order], return_index=True)[1]]
    outputs = np.full((origins.n, origins.k), np.nan)
    outputs[origins.rows[best]] = near[best]
    return outputs


def _middles(origins: Origins) -> Array:
    """(m, k) a point in the midst of each candidate; mixed classes share their sum."""
    mixed, middle = origins.mixed, (origins.low + origins.high) / 2
    shared = (middle * mixed).sum(axis=1) / np.maximum(mixed.sum(axis=1), 1)
    middle = np.where(mixed, shared[:, None], middle)
    low = np.where(mixed, middle, origins.low)
    high = np.where(mixed, middle, origins.high)
    return _scaled(middle, low, high)


def _nearest(origins: Origins, guess: Array) -> Array:
    """(m, k) the point of each candidate that is most like a guess; mixed values take its order."""
    low, high = (_in_order(v, origins.mixed, guess) for v in (origins.low, origins.high))
    return _scaled(guess, low, high)


def _in_order(values: Array, mixed: Mask, guess: Array) -> Array:
    """Give the mixed values to the mixed classes in the order of a guess."""
    if not mixed.any():
        return values
    # Mixed ones first, by size; what is not mixed stays in its place
    places = np.argsort(np.where(mixed, guess, np.inf), axis=1, kind="stable")
    sorted_values = np.sort(np.where(mixed, values, np.inf), axis=1)
    found = np.empty_like(values)
    np.put_along_axis(found, places, sorted_values, axis=1)
    return np.where(mixed, found, values)


def _scaled(guess: Array, low: Array, high: Array) -> Array:
    """(m, k) the guess times a factor, within bounds, that adds up to 1: nearest in divergence."""
    free = (low < high).any(axis=1)
    found = low.copy()
    if free.any():
        at, least, most = guess[free].clip(LEAST), low[free], high[free]
        down, up = np.full(len(at), -FARTHEST), np.full(len(at), FARTHEST)
        for _ in range(HALVINGS):
            middle = (down + up) / 2
            total = np.clip(at * np.exp(middle)[:, None], least, most).sum(axis=1)
            down, up = np.where(total < 1, middle, down), np.where(total < 1, up, middle)
        found[free] = np.clip(at * np.exp((down + up) / 2)[:, None], least, most)
    return found
