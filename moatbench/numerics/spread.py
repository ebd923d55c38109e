"""Points as far apart as can be."""

import numpy as np

from moatbench.types import Array, Rows

BLOCK = 256  # known points, whose distances are held at once


def k_center(candidates: Array, known: Array, n: int) -> Rows:
    """(n,) candidates, each the farthest from all known points and those chosen before it.

    Args:
        candidates: (m, k) points.
        known: (l, k) points; without any, the first is the one farthest from the mean.
        n: how many; all of them, where there are fewer.

    Source: Gonzalez 1985, "Clustering to minimize the maximum intercluster distance".
    """
    n = min(n, len(candidates))
    norms = (candidates**2).sum(axis=1)

    def gaps(points: Array) -> Array:
        """(m,) squared distance to the nearest of some points."""
        square = norms[:, None] - 2 * candidates @ points.T + (points**2).sum(axis=1)
        return np.asarray(square.min(axis=1))

    if len(known):
        parts = [gaps(known[at : at + BLOCK]) for at in range(0, len(known), BLOCK)]
        far = np.min(parts, axis=0)
    else:
        far = gaps(candidates.mean(axis=0, keepdims=True))
    chosen = np.empty(n, np.intp)
    for i in range(n):
        chosen[i] = best = int(far.argmax())
        far = np.minimum(far, norms - 2 * candidates @ candidates[best] + norms[best])
        far[best] = -np.inf
    return chosen
