"""Thresholds to the last bit: one answer tells the sides of several values in their gaps."""

from itertools import product

import numpy as np

from moatbench.solvers.expansion.book import Book, Term
from moatbench.solvers.expansion.switches import NUMBER
from moatbench.types import Array, Generator

MOST = 6  # gaps that one question asks about
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
        if book.at.between(book.switches.feature[v], *gap[1:]) is None:
            done.add(gap)
        else:
            gaps[v] = book.at.share(book.switches.feature[v], *gap[1:])
    return sorted(gaps, key=lambda v: -gaps[v])


def sharp_questions(book: Book, n: int, done: set[Gap], rng: Generator) -> Array:
    """(m, J) at most n values in gaps, whose answers `Book.settle` turns into narrower gaps.

    Each starts from a term of the gap that holds most and was not asked about, with its other
    switches on; further gaps of other features join while all answers would differ. `done` are
    those that hold nothing, or were asked about as they are; it is added to.
    """
    left = _open(book, done)
    asked: list[Array] = []
    smallest: dict[int, Term] = {}
    for term in sorted(book.terms.place, key=len):
        for v in term:
            smallest.setdefault(v, term)
    while left and len(asked) < n:
        first = left.pop(0)
        at, within = _placed(book, first, smallest)
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
            if _distinct(book, tried, [*within, v]):
                at, within = tried, [*within, v]
                left.remove(v)
        done |= {_gap(book, v) for v in within}
        asked.append(at)
    return np.array(asked).reshape(-1, len(book.at.anchor))


def _placed(book: Book, v: int, smallest: dict[int, Term]) -> tuple[Array, list[int]]:
    """(J,) values within one gap, at which its side matters; and which gaps these are."""
    switches, at = book.switches, book.at.anchor.copy()
    if v not in smallest:
        return at, []
    for u in smallest[v]:
        j, name = switches.feature[u], switches.name[u]
        others = [c for c in range(book.at.sizes[j]) if c != book.at.anchor[j]]
        at[j] = switches.near(u) if name == NUMBER else name if name >= 0 else others[0]
    j = switches.feature[v]
    at[j] = book.at.between(j, switches.low[v], switches.high[v])
    return at, [v] if _distinct(book, at, [v]) else []


def _distinct(book: Book, at: Array, within: list[int]) -> bool:
    """Whether the answer would tell on which side of each of these gaps (J,) values are."""
    if book.switches.within(at) != sorted(within):
        return False
    on = np.tile(book.switches.on(at[None]), (2 ** len(within), 1))
    on[:, sorted(within)] = np.array(list(product((False, True), repeat=len(within))))
    totals = book.terms.total(on)
    gaps = np.abs(totals[:, None] - totals).max(axis=2)[~np.eye(len(totals), dtype=bool)]
    return bool(gaps.min() > APART * np.median(book.slack[: book.n]))
