"""Intervals of a mean over victims, and over attack seeds within each."""

from collections.abc import Sequence
from functools import cache, lru_cache
from math import inf, nan, sqrt

import numpy as np

from moatbench.report.measure.statistics import Interval, t_interval, t_quantile
from moatbench.types import Array

ENOUGH = 5  # victims: of fewer, resampling sees too few different means
RESAMPLES = 9_999
SEED = 0  # the same report from the same runs


def clustered_interval(
    groups: Sequence[Sequence[float]], low: float = -inf, high: float = inf
) -> Interval:
    """95 % interval of the mean of the victims' means, cut at the ends of the scale.

    Values of one victim share its data split and its weights: they are no independent seeds. From
    five victims on, a hierarchical bootstrap: victims are drawn with replacement, then within each
    its seeds. Of two to four, Student's t over the victims' means. Of a single victim, Student's t
    over its seeds, which says nothing of other victims.

    Args:
        groups: the values of each victim; NaN are left out.
        low: least possible value.
        high: largest possible value.

    Source: Davison and Hinkley 1997, "Bootstrap Methods and their Application", sec. 3.8.
    """
    kept = _known(groups)
    if len(kept) < 2:
        return t_interval(kept[0] if kept else [], low, high)
    means = np.array([g.mean() for g in kept])
    n = sum(map(len, kept))
    if len(kept) < ENOUGH:
        return t_interval(means, low, high)._replace(n=n)
    resampled = weights(tuple(map(len, kept))) @ np.concatenate(kept)
    place = max(1, int(expanded_tail(len(kept)) * (RESAMPLES + 1)))  # from either end
    ranked = np.partition(resampled, (place - 1, RESAMPLES - place))
    ends = float(ranked[place - 1]), float(ranked[RESAMPLES - place])
    return Interval(float(means.mean()), max(low, ends[0]), min(high, ends[1]), n)


def mean_of_means(groups: Sequence[Sequence[float]]) -> float:
    """Mean of the groups' means, each of as much weight; NaN are left out, and of nothing NaN."""
    kept = _known(groups)
    return float(np.mean([g.mean() for g in kept])) if kept else nan


def _known(groups: Sequence[Sequence[float]]) -> list[Array]:
    arrays = (np.asarray(group, np.float64) for group in groups)
    return [known for a in arrays if len(known := a[~np.isnan(a)])]


@cache
def expanded_tail(victims: int) -> float:
    """Probability below the lower end, and above the upper.

    The plain percentiles, 2.5 % and 97.5 %, are too narrow for few victims: the spread of the
    resampled means lacks a factor of sqrt((n-1)/n), and a normal tail stands where Student's
    belongs. So the percentiles move out, by what makes both right for normal means.

    Source: Hesterberg 2015, "What Teachers Should Know About the Bootstrap", The American
    Statistician 69(4), 371-386, expanded percentile interval.
    """
    from scipy.stats import norm

    return float(norm.cdf(-sqrt(victims / (victims - 1)) * t_quantile(victims)))


@lru_cache(maxsize=64)
def weights(sizes: tuple[int, ...]) -> Array:
    """(RESAMPLES, sum(sizes)) weight of each value in each resampled mean of means.

    Args:
        sizes: values of each victim.
    """
    rng = np.random.default_rng(SEED)
    count, ends = len(sizes), np.cumsum(sizes)
    drawn = rng.integers(count, size=(RESAMPLES, count))
    out = np.zeros((RESAMPLES, int(ends[-1])))
    for slot in range(count):  # a victim that is drawn twice draws its seeds anew
        for victim, (size, end) in enumerate(zip(sizes, ends, strict=True)):
            rows = np.flatnonzero(drawn[:, slot] == victim)
            seeds = rng.multinomial(size, np.full(size, 1 / size), size=len(rows))
            out[rows, end - size : end] += seeds / size / count
    return out
