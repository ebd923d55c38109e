"""Intervals and paired tests over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import inf, isnan, nan, sqrt
from typing import NamedTuple

import numpy as np

from moatbench.types import Array

CONFIDENCE = 0.95
RESAMPLES = 9_999  # beyond 13 pairs, where not all sign flips are tried
EXACT = 13  # pairs; 2^13 sign flips


class Interval(NamedTuple):
    """A mean over n seeds with its 95 % interval; one seed has none (NaN)."""

    mean: float
    low: float
    high: float
    n: int


def t_interval(values: Sequence[float] | Array, low: float = -inf, high: float = inf) -> Interval:
    """Student's t-interval of the mean, cut at the ends of the scale; NaN are left out.

    With fewer than two values there is no interval, and both ends are NaN.
    """
    kept = np.asarray(values, dtype=np.float64)
    kept = kept[~np.isnan(kept)]
    if not len(kept):
        return Interval(nan, nan, nan, 0)
    mean = float(kept.mean())
    if len(kept) == 1:
        return Interval(mean, nan, nan, 1)
    half = t_quantile(len(kept)) * float(kept.std(ddof=1)) / sqrt(len(kept))
    return Interval(mean, max(low, mean - half), min(high, mean + half), len(kept))


@cache
def t_quantile(n: int) -> float:
    """Half-width of the 95 % interval of a mean of n values, in standard errors."""
    from scipy.stats import t

    return float(t.ppf((1 + CONFIDENCE) / 2, n - 1))


@dataclass(frozen=True)
class Paired:
    """A paired comparison, a - b.

    Args:
        difference: its mean over the pairs, with the t-interval.
        effect: matched-pairs rank-biserial correlation, in [-1, 1]: the share of the ranks of the
            differences that favours a, less the share that favours b; 0 where all are equal.
        p: two-sided, of the sign-flip permutation test on the mean difference.
        floor: the least p that the test can give: 1/2^(n-1), or 2/10,000 where flips are drawn.
    """

    difference: Interval
    effect: float
    p: float
    floor: float


def paired(a: Sequence[float] | Array, b: Sequence[float] | Array) -> Paired:
    """Compare values of the same seeds (victims, data) under two defenses.

    All 2^n sign flips up to 13 pairs, else 9,999 random ones with a fixed seed (scipy's
    permutation_test, which keeps p above 0). A single pair tests nothing: p = 1.
    """
    differences = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    if not len(differences) or np.isnan(differences).any():
        raise ValueError(f"paired comparison needs pairs without NaN, got {differences.tolist()}")
    n = len(differences)
    p = _sign_flip_p(differences) if n > 1 and differences.any() else 1.0
    return Paired(t_interval(differences), rank_biserial(differences), p, least_p(n))


def least_p(n: int) -> float:
    """The least two-sided p of a sign-flip test on n pairs."""
    return 0.5 ** (n - 1) if n <= EXACT else 2 / (RESAMPLES + 1)


def _sign_flip_p(differences: Array) -> float:
    from scipy.stats import permutation_test

    result = permutation_test(
        (differences,),
        _mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=inf if len(differences) <= EXACT else RESAMPLES,
        alternative="two-sided",
        random_state=np.random.default_rng(0),
    )
    return float(min(result.pvalue, 1.0))


def _mean(x: Array, axis: int = -1) -> Array:
    mean: Array = np.mean(x, axis=axis)
    return mean


def rank_biserial(differences: Array) -> float:
    """Matched-pairs rank-biserial correlation, zeros left out (Kerby 2014, 10.2466/11.IT.3.1)."""
    from scipy.stats import rankdata

    kept = differences[differences != 0]
    if not len(kept):
        return 0.0
    ranks = rankdata(np.abs(kept))
    return float((ranks * np.sign(kept)).sum() / ranks.sum())


def holm(p: Sequence[float]) -> list[float]:
    """Holm's step-down correction of a family of p-values (Holm 1979), in the order given."""
    order = np.argsort(p, kind="stable")
    steps = np.asarray(p, dtype=np.float64)[order] * np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return [float(value) for value in corrected]


def median(values: Sequence[float]) -> float:
    """Median of values that may be infinite (censored); NaN if there are none or one is NaN."""
    ranked = sorted(values)
    if not ranked or any(isnan(v) for v in ranked):
        return nan
    middle = len(ranked) // 2
    if len(ranked) % 2:
        return ranked[middle]
    return (ranked[middle - 1] + ranked[middle]) / 2
