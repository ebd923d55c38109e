"""Thresholds to the last bit: one answer tells the sides of several values in their gaps."""

from itertools import product

import numpy as np

from moatbench.solvers.expansion.book import Book, Term
from moatbench.solvers.expansion.switches import NUMBER
from moatbench.types import Array, Generator

MOST = 6  # gaps that one question asks about
TRIED = 8  # terms of a threshold, at which a question about it is tried
FINEST = 2.0**-53  # share of inputs in a gap that counts as none: beside 0 there are always bits
APART = 4.0  # times what is as good as zero, between answers that must be told apart


Gap = tuple[int, float, float]  # a threshold, and between what it lies


def _gap(book: Book, v: int) -> Gap:
    return v, book.switches.low[v], book.switches.high[v]


def _open(book: Book, done: set[Gap]) -> list[int]:
    """Name the thresholds whose gaps still hold an input, those that hold most first."""
    gaps: dict[int, float] = {}
    for v, name in enumerate(book.switches.name):
        gap = _gap(book, v)
        if name != NUMBER or gap in done:
            continue
        share = book.at.share(book.switches.feature[v], *gap[1:])
        if share <= FINEST or book.at.between(book.switches.feature[v], *gap[1:]) is None:
            done.add(gap)
        else:
            gaps[v] = share
    return sorted(gaps, key=lambda v: -gaps[v])


def sharp_questions(book: Book, n: int, done: set[Gap], rng: Generator) -> Array:
    """(m, J) at most n values in gaps, whose answers `Book.settle` turns into narrower gaps.

    Each starts from a term of the gap that holds most and was not asked about, with its other
    switches on; further gaps of other features join while the answer would tell all sides. `done`
    are those that hold nothing, or were asked about as they are; it is added to.
    """
    left = _open(book, done)
    asked: list[Array] = []
    holding: dict[int, list[Term]] = {}
    for term in sorted(book.terms.place, key=len):
        for v in term:
            holding.setdefault(v, []).append(term)
    while left and len(asked) < n:
        first = left.pop(0)
        at, within = _placed(book, first, holding.get(first, []))
        if not within:
            done.add(_gap(book, first))
            continue
        for v in rng.permutation(left).tolist():
            if len(within) == MOST:
                break
            j = book.switches.feature[v]
            if at[j] != book.at.anchor[j]:
                continue
            tried = at.copy()
            tried[j] = book.at.between(j, book.switches.low[v], book.switches.high[v])
            if _told(book, tried, [*within, v]):
                at, within = tried, [*within, v]
                left.remove(v)
        done |= {_gap(book, v) for v in within}
        asked.append(at)
    return np.array(asked).reshape(-1, len(book.at.anchor))


def _placed(book: Book, v: int, terms: list[Term]) -> tuple[Array, list[int]]:
    """(J,) values within one gap, at which its side matters; and which gaps these are."""
    switches = book.switches
    for term in terms[:TRIED]:
        at = book.at.anchor.copy()
        for u in term:
            at[switches.feature[u]] = switches.turned_on(u)
        j = switches.feature[v]
        at[j] = book.at.between(j, switches.low[v], switches.high[v])
        if _told(book, at, [v]):
            return at, [v]
    return book.at.anchor, []


def _told(book: Book, at: Array, asked: list[int]) -> bool:
    """Whether the answer would tell on which side of each of these gaps (J,) values are.

    Whatever the sides are of other gaps that hold them, as where two thresholds are near.
    """
    within = book.switches.within(at)
    if len(within) > MOST or not set(asked) <= set(within):
        return False
    on = np.tile(book.switches.on(at[None]), (2 ** len(within), 1))
    on[:, within] = np.array(list(product((False, True), repeat=len(within))))
    totals, sides = book.terms.total(on), on[:, asked]
    gaps = np.abs(totals[:, None] - totals).max(axis=2)
    apart = (sides[:, None] != sides).any(axis=2)
    return bool(gaps[apart].min() > APART * np.median(book.slack[: book.n]))
