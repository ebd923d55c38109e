"""Frechet distances between sets of points, as if each set were of a Gaussian."""

from dataclasses import dataclass

import numpy as np

from moatbench.types import Array, Labels


@dataclass(frozen=True)
class Gaussian:
    """A mean (d,), a covariance (d, d), and its root."""

    mean: Array
    covariance: Array
    root: Array

    @classmethod
    def of(cls, z: Array) -> "Gaussian":
        """Measure (n, d) points, one at least; the covariance is the population's."""
        mean = z.mean(axis=0)
        covariance = (z - mean).T @ (z - mean) / len(z)
        values, vectors = np.linalg.eigh(covariance)
        return cls(mean, covariance, (vectors * np.sqrt(values.clip(0))) @ vectors.T)

    def distances(self, means: Array, away: Array) -> Array:
        """(m,) |m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2)) to sets of points.

        With S2 = A'A and R the root of S1, the last trace is the sum of the singular values of A R.

        Args:
            means: (m, d) of the sets.
            away: (m, w, d) A: the points' distances from the means over the root of their number,
                and rows of 0.
        """
        apart = ((means - self.mean) ** 2).sum(axis=1)
        traces = (away**2).sum(axis=(1, 2)) + np.trace(self.covariance)
        return np.asarray(apart + traces - 2 * np.linalg.svd(away @ self.root, False, False).sum(1))


@dataclass(frozen=True)
class Gaussians:
    """One for each class, and one of all points for classes that none was of."""

    classes: tuple[Gaussian | None, ...]
    fallback: Gaussian

    @classmethod
    def of(cls, z: Array, labels: Labels, classes: int) -> "Gaussians":
        """Measure (n, d) points, one at least, by their labels (n,)."""
        of_class = (z[labels == label] for label in range(classes))
        return cls(
            tuple(Gaussian.of(own) if len(own) else None for own in of_class), Gaussian.of(z)
        )

    def distances(self, windows: Array, labels: Labels) -> Array:
        """(m,) by class, weighted by its share: windows (m, w, d) whose points have labels (m, w).

        The covariance of a class with one point in a window is 0.
        """
        found = np.zeros(len(windows))
        for label, own in enumerate(self.classes):
            rows = np.flatnonzero((labels == label).any(axis=1))
            if not len(rows):
                continue
            of_class = (labels[rows] == label)[:, :, None]
            n = of_class.sum(axis=1)
            means = (windows[rows] * of_class).sum(axis=1) / n
            away = (windows[rows] - means[:, None]) * of_class / np.sqrt(n)[:, :, None]
            distances = (own or self.fallback).distances(means, away)
            found[rows] += n[:, 0] / labels.shape[1] * distances
        return found
