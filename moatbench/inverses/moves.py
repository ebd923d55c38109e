"""Undo moves of confidence between classes within a budget: ModelGuard-W and GRAD^2.

Both take half of an L1 budget from some classes and give it to others. What the rule left alone is
told exactly, and hardly any class is moved in part. Which were moved, is guessed; each guess that
adds up is a candidate.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import product

import numpy as np

from moatbench.inverses.origins import Origins
from moatbench.types import Array, Mask

TIED = 1e-7  # beyond a lead, what a solver of linear programs calls equal
NOTHING = 1e-14  # what it calls 0
CLOSE = 1e-9  # in sums of confidences
MOST_TIED = 5  # classes of which any may have been raised or lowered

Boxes = tuple[Array, Array]  # (g, k) the least and the most that the true confidences may have been
Guesses = Callable[[Array, int], Boxes]  # from what was told (k,) and its label


def least_likely_moves(told: Origins, epsilon: float, lead: float) -> Origins:
    """Undo the linear program of ModelGuard-W.

    The program gives to the least confidences and takes from the largest. A class that was given
    all it could take ties with the top one, within `lead`. A vertex of the program leaves two
    classes free, the top one among them or not; all others tie, have lost all, or are as they were,
    and those lie between what gave and what took.
    """

    def guesses(row: Array, top: int) -> Boxes:
        low, high = _least_likely(row, top, epsilon / 2, lead)
        keeps = (high[:, top] >= low.max(axis=1) - CLOSE) & (row[top] == row.max())
        return low[keeps], high[keeps]

    return _undone(told, epsilon, guesses)


def _least_likely(told: Array, top: int, half: float, lead: float) -> Boxes:
    tied, others = told[top] - told <= lead + TIED, np.arange(len(told)) != top
    tied &= others
    zero = (told <= NOTHING) & others
    alone = others & ~(tied | zero)
    # Where next to all ties, the budget may not have been spent; or there was no lead to keep
    spent = alone.sum() > 1 or not tied.any()
    if not spent or tied.sum() > MOST_TIED or told[top] - told[others].max() < CLOSE:
        return told[None] - half, told[None] + half
    order = [*np.flatnonzero(tied), *np.flatnonzero(alone), top]
    raised, lost = (
        _placed(kinds, order, len(told)) for kinds in _kinds(int(tied.sum()), int(alone.sum()))
    )
    rest = np.where(alone & ~raised & ~lost, told, np.nan)
    least = np.nan_to_num(np.fmin.reduce(rest, axis=1), nan=1.0)[:, None]
    most = np.nan_to_num(np.fmax.reduce(rest, axis=1), nan=0.0)[:, None]
    low, high = np.tile(told, (len(raised), 1)), np.tile(told, (len(raised), 1))
    low = np.where(raised, told - half, np.where(lost, np.maximum(told, most), low))
    high = np.where(raised & others, np.minimum(told, least), np.where(lost, told + half, high))
    low, high = np.where(zero, 0.0, low), np.where(zero, half, high)
    gave = lost | zero
    up, down = (raised * told).sum(axis=1) - half, (lost * told).sum(axis=1) + half
    return _adding_up(low, high, (raised, up), (gave, down))


def _placed(kinds: Mask, order: list[int], k: int) -> Mask:
    """(g, k) some classes' columns, in an order, where they belong."""
    found = np.zeros((len(kinds), k), bool)
    found[:, order] = kinds
    return found


@lru_cache
def _kinds(ties: int, alone: int) -> tuple[Mask, Mask]:
    """(g, ties + alone + 1) which classes may have been raised, and which lowered but not to 0.

    In this order: those that tie with the top one, all others that are not 0, and the top one.
    """
    top, found = ties + alone, []
    for signs in product((1, -1, 0), repeat=ties):
        if signs.count(0) > 1:
            continue  # a tie with what was not moved is one condition more, and frees one class
        for ups, downs in _free(range(ties, top), top, more=0 in signs):
            moved = [*signs, *[0] * (alone + 1)]
            for place in ups:
                moved[place] = 1
            for place in downs:
                moved[place] = -1
            found.append(moved)
    kinds = np.array(found).reshape(len(found), top + 1)
    return kinds > 0, kinds < 0


def _free(alone: range, top: int, more: bool) -> Iterator[tuple[list[int], list[int]]]:
    """Yield which classes were raised in part, and lowered in part: two, or three with the top."""
    for one in alone:
        yield [one], [top]
        yield [top], [one]
        yield [], [one, top]
        for other in alone:
            if one != other:
                yield [one], [other]
                if more:
                    yield [one], [other, top]
                    yield [one, top], [other]


def redirected_moves(told: Origins, epsilon: float, lead: float, guard: bool) -> Origins:
    """Undo the greedy moves of GRAD^2.

    One class gains epsilon / 2, or becomes certain. Others lost all that they had, in turn, and the
    last of these lost in part. Under the guard less was moved where the top class leads by `lead`.
    """

    def guesses(row: Array, top: int) -> Boxes:
        parts = [_redirected(row, epsilon / 2)]
        if guard and row[top] - np.delete(row, top).max() <= lead + CLOSE:
            parts.append(_cut(row, epsilon / 2))
        low, high = map(np.concatenate, zip(*parts, strict=True))
        if guard:
            keeps = high[:, top] >= low.max(axis=1, initial=0.0) - CLOSE
            low, high = low[keeps], high[keeps]
        return low, high

    found = _undone(told, epsilon, guesses)
    return found if guard else found.relabelled()


def _redirected(told: Array, half: float) -> Boxes:
    zero, k = told == 0, len(told)
    gained, part = (c.ravel() for c in np.indices((k, k)))
    kept = (told[gained] >= half - CLOSE) & ~zero[part] & (gained != part)
    gained, part = np.eye(k, dtype=bool)[gained[kept]], np.eye(k, dtype=bool)[part[kept]]
    low = np.where(gained, told - half, told)
    high = np.where(zero, half, np.where(part, told + half, low))
    total = (part * told).sum(axis=1) + half
    low, high = _adding_up(low, high, (part | zero, total))
    if told.max() < 1 - CLOSE:
        return low, high
    sure = (told == told.max())[None]  # it may have taken less than its share
    return np.concatenate([low, sure * (1 - half)]), np.concatenate([high, np.where(sure, 1, half)])


def _cut(told: Array, half: float) -> Boxes:
    """Bound the truth where the guard cut the budget, by which class gained."""
    gained = np.eye(len(told), dtype=bool)
    return np.where(gained, told - half, told), np.where(gained, told, told + half)


def _adding_up(low: Array, high: Array, *sums: tuple[Mask, Array]) -> Boxes:
    """Bound classes by what the others of theirs can be, and leave out what cannot add up.

    Args:
        low: (g, k) the least.
        high: (g, k) the most.
        sums: (g, k) classes, and (g,) what they add up to.
    """
    low, high = low.clip(0), high.clip(None, 1)
    possible = (low <= high + CLOSE).all(axis=1)
    for classes, total in sums:
        least, most = ((classes * v).sum(axis=1) for v in (low, high))
        possible &= (least - CLOSE <= total) & (total <= most + CLOSE)
        lower = total[:, None] - (most[:, None] - high)
        upper = total[:, None] - (least[:, None] - low)
        low, high = (
            np.where(classes, np.maximum(low, lower), low),
            np.where(classes, np.minimum(high, upper), high),
        )
    return low[possible], high[possible]


def _undone(told: Origins, epsilon: float, guesses: Guesses) -> Origins:
    """Collect the guesses for each answer; of one known within bounds, all within the budget."""
    if epsilon == 0:
        return told
    lows, highs = [np.zeros((0, told.k))], [np.zeros((0, told.k))]
    exact = (told.low == told.high).all(axis=1)
    for row, point in enumerate(exact):
        low, high = told.low[[row]] - epsilon / 2, told.high[[row]] + epsilon / 2
        if point:
            low, high = guesses(told.low[row], int(told.labels[row]))
        lows.append(low)
        highs.append(high)
    sources = np.repeat(np.arange(len(exact)), [len(low) for low in lows[1:]])
    low, high = np.concatenate(lows), np.concatenate(highs)
    return told.moved(low, high, np.ones(len(low), bool), sources)
