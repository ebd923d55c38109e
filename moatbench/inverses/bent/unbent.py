"""What the true answers may have been, before a bump on every confidence."""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.special import expit, logit

from moatbench.inverses.bent.bump import BOTTOM, EDGE, Bump, Table
from moatbench.inverses.bent.search import ALL, BLOCK, TIES, WITHIN, Search
from moatbench.inverses.origins import Origins, joined
from moatbench.types import Array, Mask, Rows

DIGITS = 7  # in which two candidates are one
LOOSE = 6  # halvings of a bump that are undone where answers are known within bounds
FLAT = 1e-6  # a bump that leaves less than that of differences tells nothing

BESIDE = 0.01  # of where f turns, in log-odds, and of the lead: a guess does not tell the side

Again = Callable[[Array], Array]  # what the defense makes of true answers (m, k)


def bent_origins(
    told: Origins, heights: Array, gamma: float, again: Again, guess: Array | None, label: bool
) -> Origins:
    """Return the candidates before a bump, of the first of several heights.

    The others follow from a guard: it halves a bump that would move the top class.
    """
    best = told.low.copy()
    best[np.arange(len(best)), told.labels] = -np.inf
    lead = told.high[np.arange(len(best)), told.labels] - best.max(axis=1)
    exact, parts = (told.low == told.high).all(axis=1), []
    wide = ~exact
    for place, height in enumerate(heights):
        # The top led by less than a bump of twice the height took away
        some = np.ones(len(lead), bool) if place == 0 else lead <= height
        if place > LOOSE:
            parts.append(_widened(told.take(some & wide), height))
            some, wide = some & exact, np.zeros_like(wide)
        if some.any():
            bump = Bump.of_height(float(height), gamma)
            moving = Bump.of_height(float(heights[place - 1]), gamma) if place else None
            parts.append(unbent(told.take(some), bump, again, guess, label, moving))
    return joined([*parts, told.take(np.arange(0))])


def _widened(told: Origins, height: float) -> Origins:
    """Return boxes that hold what was before a bump of at most this height."""
    most = height * (told.k + 1) / 2
    every = np.arange(len(told.rows))
    return told.moved(told.low - most, told.high + most, np.ones(len(every), bool), every)


def unbent(
    told: Origins,
    bump: Bump,
    again: Again,
    guess: Array | None,
    label: bool,
    moving: Bump | None = None,
) -> Origins:
    """Return the candidates before a bump.

    They are exact where the answer is, and nothing was cut off at 0; else one box holds them.
    A guess (n, k) says on which branches most confidences are: of ten classes and fewer but for
    those where f turns, of more but for the nine nearest to that; without one there are boxes alone
    of more than ten.

    Args:
        told: what the defense told.
        bump: what was subtracted.
        again: what the defense makes of true answers (m, k); the certificate.
        guess: of the true answers.
        label: whether the label told is the true one.
        moving: a bump that a guard made smaller, as it would have let another class lead.
    """
    zeros = (told.high <= 0).sum(axis=1)
    point = (told.low == told.high).all(axis=1) & (zeros == 0)
    point &= _slant(bump, told.k) > FLAT
    if told.k > ALL and guess is None:
        point[:] = False
    leads = (told.labels[:, None] == np.arange(told.k)) | (not label)
    if told.k <= ALL and guess is not None:
        near = guess[told.rows]
        leads &= near > near.max(axis=1, keepdims=True) - BESIDE
    tops, sources = np.nonzero((leads & point[:, None]).T)
    wide = loosely(told, np.flatnonzero(~point), bump, label)
    return joined([wide, _exactly(told, sources, tops, (bump, moving), again, guess)])


def _slant(bump: Bump, k: int) -> float:
    """Return how much the weights of confidences differ, where the largest is in the middle."""
    z = np.linspace(BOTTOM, -BOTTOM, 101)
    return float(np.ptp(bump.weight(z, bump.height(np.full(1, (1 + 1 / k) / 2)))))


def _exactly(
    told: Origins,
    sources: Rows,
    tops: Rows,
    bumps: tuple[Bump, Bump | None],
    again: Again,
    guess: Array | None,
) -> Origins:
    """Return the certified candidates of exact answers, if these classes were the largest."""
    (bump, moving), k = bumps, told.k
    size = max(1, BLOCK // (len(bump.grid(k)) * k))
    found = [(np.zeros(0, np.intp), np.zeros((0, k)))]
    for at in range(0, len(sources), size):
        some, top = sources[at : at + size], tops[at : at + size]
        answers = told.low[some]
        near = None if guess is None else guess[told.rows[some]]
        allowed = _branches(bump, len(some), k, near)
        rows, y = Search(answers, top, bump, allowed, moving).candidates()
        y = _tied(y, answers[rows], top[rows])
        largest = y[np.arange(len(y)), top[rows]] >= y.max(axis=1, initial=0.0) - WITHIN
        whole = (np.abs(y.sum(axis=1) - 1) < k * WITHIN) & largest
        rows, y = rows[whole], y[whole]
        right = np.abs(again(y) - answers[rows]).max(axis=1, initial=0.0) < WITHIN
        key = np.column_stack([rows[right], y[right].round(DIGITS)])
        one = np.unique(key, axis=0, return_index=True)[1]
        found.append((some[rows[right][one]], y[right][one]))
    rows, y = (np.concatenate(v) for v in zip(*found, strict=True))
    edge = ((y <= 2 * EDGE) | (y >= 1 - 2 * EDGE)).any(axis=1)
    blur = np.where(edge, k * EDGE, 0.0)[:, None]
    return told.moved(y - blur, y + blur, np.ones(len(y), bool), rows)


def _tied(y: Array, told: Array, top: Rows) -> Array:
    """(m, k) candidates, in which what was told alike and is alike but for rounding errors ties.

    A guard lets no class lead by a rounding error that didn't before.
    """
    rows = np.arange(len(y))
    largest, at_top = y[rows, top][:, None], told[rows, top][:, None]
    alike = (np.abs(told - at_top) < TIES) & (np.abs(y - largest) < WITHIN)
    return np.where(alike, largest, y)


def _branches(bump: Bump, n: int, k: int, guess: Array | None) -> Mask:
    """(2, n, k) branches to try: all, or by a guess all but those that it leaves open."""
    if guess is None:
        return np.ones((2, n, k), bool)
    turn = Table.of(bump, float(bump.height(np.full(1, 0.5))[0])).at_turn
    gap = logit(guess.clip(EDGE, 1 - EDGE)) - turn
    open_ = np.abs(gap) < BESIDE
    if k > ALL:
        open_ = np.argsort(np.argsort(np.abs(gap), axis=1), axis=1) < ALL - 1
    return np.stack([(gap <= 0) | open_, (gap > 0) | open_])


def loosely(told: Origins, sources: Rows, bump: Bump, label: bool) -> Origins:
    """Return a box for each of some answers, which may be known within bounds alone."""
    if not len(sources):
        return told.take(sources)
    low, high = told.low[sources], told.high[sources]
    m = bump.grid(told.k)
    h = bump.height(expit(m))
    at_top = np.stack([bump.weight(m[:-1], h[:-1]), bump.weight(m[1:], h[1:])])
    least, most = np.full(low.shape, np.inf), np.full(high.shape, -np.inf)
    tabulated = {height: Table.of(bump, float(height)) for height in np.unique(h)}
    for g in range(len(m) - 1):
        tables = [tabulated[height] for height in sorted({h[g], h[g + 1]})]
        for top in range(told.k):
            box = _box(low, high, tables, top, at_top[:, g], expit(m[g : g + 2]))
            fits = (box[0].sum(axis=1) <= 1 + WITHIN) & (box[1].sum(axis=1) >= 1 - WITHIN)
            fits &= (told.labels[sources] == top) | (not label)
            least = np.where(fits[:, None], np.minimum(least, box[0]), least)
            most = np.where(fits[:, None], np.maximum(most, box[1]), most)
    possible = np.isfinite(least).all(axis=1)
    return told.moved(np.nan_to_num(least), np.nan_to_num(most), possible, sources)


def _box(
    low: Array, high: Array, tables: Sequence[Table], top: int, at_top: Array, m: Array
) -> tuple[Array, Array]:
    """(n, k) the least and the most, where class `top` is the largest, and between m (2,)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = at_top.min().clip(0) / high[:, top], at_top.max() / low[:, top]
        scale[1][low[:, top] <= 0] = np.inf  # cut off, perhaps
        weights = [np.nan_to_num(v * s[:, None]) for v, s in zip((low, high), scale, strict=True)]
    least, most = np.full(low.shape, np.inf), np.full(low.shape, -np.inf)
    for table in tables:
        for (f, z), (start, end) in zip(table.branches(), table.ends, strict=True):
            on = (weights[1] >= start - WITHIN) & (weights[0] <= end + WITHIN)
            ends = [expit(np.interp(v, f, z)) for v in weights]
            if np.ptp(table.f) < FLAT:  # each confidence may be any
                ends = [np.full_like(weights[0], end) for end in expit(z[[0, -1]])]
            least = np.where(on, np.minimum(least, np.minimum(*ends)), least)
            most = np.where(on, np.maximum(most, np.maximum(*ends)), most)
    least[:, top], most[:, top] = m
    least[least <= 2 * EDGE] = 0
    return least, np.minimum(most, m[1])
