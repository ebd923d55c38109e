"""What bought answers show: their decimals, the class left out, whether scores explain them."""

import numpy as np

from moatbench.types import Array

FINEST = 12  # decimals up to which rounding is told from chance in float64
EXACT = 1e-6  # gap in probability that no defense bothers to make
SMALL = 2.0**-14  # a probability, below which 1 - p is too coarse to tell a score
# Numbers of single precision above 2^-7 are multiples of the second, and so are their differences;
# multiples of the first may be of double precision, too
COARSE, FINE = 2.0**-12, 2.0**-30
ON_GRID, MOSTLY = 0.02, 0.8  # how near a multiple is, in steps, and how many differences are
LEAST = 5  # different ones, of which so many tell


def decimals(answers: Array) -> int | None:
    """Count the decimals to which all answers are rounded; None where they are not rounded."""
    answers = answers[~np.isnan(answers)]
    for places in range(FINEST + 1):
        scaled = answers * 10.0**places
        if (np.abs(scaled - np.round(scaled)) <= 1e-15 * 10.0**places).all():
            return places
    return None


def completed(answers: Array) -> Array:
    """Fill in the one class that a row leaves out, where the others do not sum to one."""
    rest = 1 - answers.sum(axis=1, keepdims=True)
    missing = answers == 0
    alone = (missing.sum(axis=1, keepdims=True) == 1) & (rest > EXACT)
    return np.where(missing & alone, rest, answers)


def in_single(answers: Array) -> bool:
    """Whether (n, k) answers are a link's in double precision, of scores in single precision."""
    kept = answers[(answers > SMALL).all(axis=1)]
    gaps = np.unique(np.diff(np.log(kept), axis=1))
    gaps = gaps[_off(gaps, COARSE) > FINE]
    return len(gaps) >= LEAST and bool((_off(gaps, FINE) < ON_GRID * FINE).mean() > MOSTLY)


def _off(values: Array, step: float) -> Array:
    """Return how far values are from a multiple of a step."""
    return np.asarray(np.abs(values - step * np.round(values / step)))


def explained(scores: Array, answers: Array) -> bool:
    """Whether scores reproduce the answers, each row compared over the classes it reports."""
    kept = np.where(answers > 0, scores, -np.inf)
    p = np.exp(kept - kept.max(axis=1, keepdims=True))
    gap = p / p.sum(axis=1, keepdims=True) - answers / answers.sum(axis=1, keepdims=True)
    return bool(np.abs(gap).max() <= EXACT)
