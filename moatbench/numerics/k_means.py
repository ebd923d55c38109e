"""k-means: rows in groups around their means.

scikit-learn's, with its draws and its rules (k-means++ with a few trials a centre, Lloyd's steps),
but without importing it: that takes longer than a small run.
"""

import numpy as np

from moatbench.types import Array, Labels

STEPS = 300  # of Lloyd at most
STILL = 1e-4  # of the mean variance: centres that move by less, squared, are found


def k_means(x: Array, clusters: int, seed: int) -> Array:
    """Find the (clusters, d) means of the groups of x (n, d).

    Args:
        x: at least as many distinct rows as clusters.
        clusters: how many groups.
        seed: of the starts.

    Source: Lloyd 1982; Arthur & Vassilvitskii 2007, k-means++, greedy.
    """
    middle, enough = x.mean(axis=0), STILL * x.var(axis=0).mean()
    x = x - middle  # distances to means are then exact to more digits
    centers = x[_starts(x, clusters, np.random.RandomState(seed))]
    before: Labels = np.full(len(x), -1)
    for _ in range(STEPS):
        member = nearest(x, centers)
        centers, old = _means(x, member, centers), centers
        if np.array_equal(member, before) or ((centers - old) ** 2).sum() <= enough:
            break
        before = member
    found: Array = centers + middle
    return found


def nearest(x: Array, centers: Array) -> Labels:
    """(n,) the centre nearest to each row of x (n, d); of equals the first."""
    closest: Labels = (_norms(centers) - 2 * (x @ centers.T)).argmin(axis=1)
    return closest


def _starts(x: Array, clusters: int, rng: np.random.RandomState) -> list[int]:
    """Choose the rows that centres start from: each the best of a few drawn by their distance."""
    trials = 2 + int(np.log(clusters))
    even, ones = np.full(len(x), 1 / len(x)), np.ones(len(x))
    chosen = [int(rng.choice(len(x), p=even))]
    closest = _squares(x[chosen], x)[0]
    for _ in range(1, clusters):
        drawn = np.searchsorted(np.cumsum(closest), rng.uniform(size=trials) * (closest @ ones))
        drawn = drawn.clip(max=len(x) - 1)
        left = np.minimum(closest, _squares(x[drawn], x))
        best = int((left @ ones).argmin())
        chosen.append(int(drawn[best]))
        closest = left[best]
    return chosen


def _squares(rows: Array, x: Array) -> Array:
    """(m, n) squared distances of rows (m, d) to those of x (n, d)."""
    squares: Array = -2 * (rows @ x.T) + _norms(rows)[:, None] + _norms(x)
    return np.maximum(squares, 0.0)


def _norms(x: Array) -> Array:
    """(n,) squared lengths."""
    lengths: Array = np.einsum("ij,ij->i", x, x)
    return lengths


def _means(x: Array, member: Labels, centers: Array) -> Array:
    """Average each group; one that is empty gets the row that lies farthest from its own mean."""
    sums, count = np.zeros_like(centers), np.bincount(member, minlength=len(centers))
    np.add.at(sums, member, x)
    empty = np.flatnonzero(count == 0)
    far = ((x - centers[member]) ** 2).sum(axis=1)
    for group, row in zip(empty, np.argsort(-far, kind="stable"), strict=False):
        sums[member[row]] -= x[row]
        sums[group] = x[row]
        count[member[row]] -= 1
        count[group] = 1
    return sums / np.maximum(count, 1)[:, None]
