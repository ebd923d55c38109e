"""How unlike a window of points is to sets of points: maximum mean discrepancies (MMD)."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.spatial.distance import cdist, pdist

from moatbench.types import Array, Rows

WIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of the five Gaussians, in median distances
DECIMALS = 12  # windows are summed in another order where rows come in other batches


@dataclass(frozen=True)
class Discrepancy:
    """The squared MMD of a window Z to each of some references, under a kernel k.

    MMD2(Z, P) = mean k(Z, Z) + mean k(P, P) - 2 mean k(Z, P), means over all pairs; k(a, b) is the
    sum of exp(-gamma |a - b|^2) over `gammas`.

    Args:
        references: (m, d) points of each.
        gammas: of the kernel.
        within: (references,) mean kernel within each.
    """

    references: tuple[Array, ...]
    gammas: tuple[float, ...]
    within: Array

    @classmethod
    def ratio(cls, usual: Array, strange: Array) -> "Discrepancy":
        """Compare with both, under one Gaussian of the median squared distance between all."""
        median = float(np.median(pdist(np.concatenate([usual, strange]), "sqeuclidean")))
        return cls._of((usual, strange), (1 / median if median > 0 else 1.0,))

    @classmethod
    def distance(cls, usual: Array) -> "Discrepancy":
        """Compare with one, under five Gaussians, deviations `WIDTHS` of the median distance."""
        median = float(np.median(pdist(usual))) if len(usual) > 1 else 0.0
        sigmas = [width * (median if median > 0 else 1.0) for width in WIDTHS]
        return cls._of((usual,), tuple(1 / (2 * sigma**2) for sigma in sigmas))

    @classmethod
    def _of(cls, references: tuple[Array, ...], gammas: tuple[float, ...]) -> "Discrepancy":
        found = cls(references, gammas, np.zeros(len(references)))
        within = np.array([found.kernel(r, r).mean() for r in references])
        return cls(references, gammas, within)

    def kernel(self, one: Array, two: Array) -> Array:
        """(n, m) between two sets of points."""
        apart = cdist(one, two, "sqeuclidean")
        return np.asarray(sum(np.exp(-gamma * apart) for gamma in self.gammas))

    def to_references(self, z: Array) -> Array:
        """(n, references) the mean kernel of each point with each reference."""
        return np.stack([self.kernel(z, r).mean(axis=1) for r in self.references], 1)

    def scores(self, kernel: Array, to: Array, ends: Sequence[int], window: int) -> Array:
        """(m,) the score of the `window` points before each end.

        With one reference the root of MMD2; with two the share of the first in the sum of both,
        which lies in [0, 1]: 0 where Z is the first, 1 where it is the second.

        Args:
            kernel: (n, n) between all points.
            to: (n, references) as `to_references` tells.
            ends: of windows, from `window` to n.
            window: points in each.
        """
        last = np.asarray(ends, dtype=np.intp)
        own, means = _blocks(kernel, last, window), _means(to, last, window)
        squared = np.maximum(own[:, None] + self.within - 2 * means, 0.0)
        if len(self.references) == 1:
            return np.sqrt(squared[:, 0]).round(DECIMALS)
        total = squared.sum(axis=1)
        share = np.divide(squared[:, 0], total, out=np.zeros(len(last)), where=total > 0)
        return np.asarray(share.round(DECIMALS))


def _blocks(kernel: Array, last: Rows, window: int) -> Array:
    """(m,) the means of the square blocks on the diagonal that end before `last`."""
    sums = np.zeros((len(kernel) + 1, len(kernel) + 1))
    np.cumsum(np.cumsum(kernel, axis=0), axis=1, out=sums[1:, 1:])
    first = last - window
    block = sums[last, last] - sums[first, last] - sums[last, first] + sums[first, first]
    return np.asarray(block / window**2)


def _means(to: Array, last: Rows, window: int) -> Array:
    """(m, references) the means of the rows before each of `last`."""
    sums = np.vstack([np.zeros((1, to.shape[1])), np.cumsum(to, axis=0)])
    return np.asarray((sums[last] - sums[last - window]) / window)
