"""Undo a step of known length towards a vertex: MAD and MAD-argmax.

Of y' = y + (epsilon / ||v - y||) (v - y) the direction y' - v is that of y - v, and the step is
epsilon long. So a guess of v gives y = y' + (epsilon / ||y' - v||) (y' - v), which must be an
answer.
"""

import numpy as np

from moatbench.inverses.origins import Origins, joined
from moatbench.inverses.sets import all_sets, likely_sets
from moatbench.types import Array, Mask, Rows

ROUNDING = 1e-13  # of what was told; it grows with what the inverse multiplies it by
VERTEX = 1e-11  # nearer than that the step ended at the vertex
BLOCK = 2**22  # numbers held at once
ALL = 10  # classes up to which a set may be any


def one_hot_step(told: Origins, epsilon: float) -> Origins:
    """Undo a step of L1 length epsilon towards the one-hot answer of some class.

    With v = e_c the length is 2 (1 - y_c): class c rises by epsilon / 2, and the others shrink by
    one factor. With S the sum of the others, y_c = 1 - S - epsilon / 2 and
    y_j = y'_j (S + epsilon / 2) / S. Where S is 0 the step was cut short at e_c, and all that is
    left is y_c >= 1 - epsilon / 2.
    """
    if epsilon == 0:
        return told
    return joined([_one_hot(told, c, epsilon / 2) for c in range(told.k)]).relabelled()


def _one_hot(told: Origins, c: int, half: float) -> Origins:
    """Undo a step towards class c, which rose by half of the budget."""
    others = np.arange(told.k) != c
    least, most = (v[:, others].sum(axis=1) for v in (told.low, told.high))
    wide = ~(told.low == told.high).all(axis=1)
    least = np.where(wide, np.maximum(least, 1 - told.high[:, c]), least)
    most = np.where(wide, np.minimum(most, 1 - told.low[:, c]), most)
    cut = least <= 0  # perhaps at the vertex
    grow, shrink = (1 + half / np.where(s > 0, s, np.inf) for s in (least, most))
    low, high = told.low * shrink[:, None], told.high * grow[:, None]
    high[cut] = half + most[cut, None]
    low[:, c], high[:, c] = 1 - most - half, np.where(cut, 1, 1 - least - half)
    low, high = _snapped(low, ROUNDING), _snapped(high, ROUNDING)
    possible = high[:, c] >= 0
    return told.moved(low, high, possible, np.arange(len(low)))


def _snapped(values: Array, blur: Array | float) -> Array:
    """Make 0 of what is 0 but for rounding errors: other rules leave zeros, and look for them."""
    return np.where(np.abs(values) <= blur, 0.0, values)


def set_step(told: Origins, epsilon: float, lead: float, guess: Array | None) -> Origins:
    """Undo a step of L1 length epsilon towards a uniform answer over a set of classes.

    The set holds the label, which leads the others by `lead` before the answer is normalised. Up to
    ten classes all sets are tried, and those are kept that give an answer with the same top class.
    Beyond, the likeliest are, given a guess (n, k) of the true answers; of an answer that is known
    within bounds alone, there all that is left is that no confidence moves by more than half.
    """
    if epsilon == 0:
        return told
    parts = []
    for label in np.unique(told.labels):
        of = np.flatnonzero(told.labels == label)
        if told.k <= ALL:
            sets = all_sets(told.k, int(label))
            size = max(1, BLOCK // sets.size)
            for start in range(0, len(of), size):
                some = of[start : start + size]
                sources, members = np.repeat(some, len(sets)), np.tile(sets, (len(some), 1))
                parts.append(_sets(told, sources, members, epsilon, lead))
            continue
        wide = (told.low[of] < told.high[of]).any(axis=1)
        parts.append(_anywhere(told, of[wide], epsilon))
        for source in of[~wide]:
            at = None if guess is None else guess[told.rows[source]]
            members = likely_sets(told.high[source], int(label), epsilon, lead, at)
            sources = np.full(len(members), source)
            parts.append(_sets(told, sources, members, epsilon, lead))
    return joined([*parts, told.take(np.arange(0))])


def _anywhere(told: Origins, sources: Rows, epsilon: float) -> Origins:
    """Bound what a step of some length leaves open, whatever it went to."""
    low, high = told.low[sources] - epsilon / 2, told.high[sources] + epsilon / 2
    return told.moved(low, high, np.ones(len(sources), bool), sources)


def _sets(told: Origins, sources: Rows, members: Mask, epsilon: float, lead: float) -> Origins:
    """Undo steps towards sets of which (j, k) `members` are given, a candidate each."""
    rows, top = np.arange(len(sources)), told.labels[sources]
    vertex = members / members.sum(axis=1, keepdims=True)
    vertex[rows, top] += lead
    vertex /= 1 + lead
    low, high = told.low[sources] - vertex, told.high[sources] - vertex
    far = np.maximum(np.abs(low), np.abs(high)).sum(axis=1)
    near = np.maximum(0, np.maximum(low, -high)).sum(axis=1)
    at_vertex = near <= VERTEX
    most, least = (epsilon / np.where(s > 0, s, 1.0) for s in (near, far))
    steps = np.stack([s[:, None] * gap for s in (most, least) for gap in (low, high)])
    from_low, from_high = told.low[sources], told.high[sources]
    down, up = from_low - epsilon / 2, from_high + epsilon / 2  # no entry moves by more
    from_low, from_high = from_low + steps.min(axis=0), from_high + steps.max(axis=0)
    blur = ROUNDING * (1 + most)
    open_ends = at_vertex | (far > near)
    from_low[open_ends] = np.where(at_vertex[:, None], down, np.maximum(down, from_low))[open_ends]
    from_high[open_ends] = np.where(at_vertex[:, None], up, np.minimum(up, from_high))[open_ends]
    positive = (from_high >= -blur[:, None]).all(axis=1)
    leads = from_high[rows, top] >= from_low.max(axis=1) - blur
    nothing = np.where(open_ends, 0.0, blur)[:, None]
    low, high = _snapped(from_low, nothing), _snapped(from_high, nothing)
    return told.moved(low, high, positive & leads, sources)
