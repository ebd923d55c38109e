"""Customers whose inputs are unlike most: the cluster of the data that lies farthest out."""

import numpy as np

from moatbench.numerics.k_means import k_means, nearest
from moatbench.types import Generator, Rows
from moatbench.victim import Shares

CLUSTERS = 4
LEAST = 0.05  # of the rows: a few outliers are no population
MOST_ROWS = 2000  # that k-means is fitted to; the others join the nearest centre


def far_cluster(shares: Shares, rng: Generator) -> Rows:
    """Find the rows of the test data that make up the cluster farthest from the training data.

    The columns are standardised by the training data's mean and spread (a constant one counts for
    nothing; a raw categorical code is spread over columns first), so that a centre's distance from
    the training data's mean is in units of spread. The victim was trained on rows like these too,
    but on few: it is the customers that are unusual, not the model that is new to them.

    Args:
        shares: of the victim.
        rng: draws the rows that k-means is fitted to, and its starts.
    """
    train, test = shares.space.encode(shares.x_train), shares.space.encode(shares.x_test)
    spread = train.std(axis=0)
    varied = spread > 0
    z = (test[:, varied] - train[:, varied].mean(axis=0)) / spread[varied]
    fitted = z if len(z) <= MOST_ROWS else z[rng.permutation(len(z))[:MOST_ROWS]]
    clusters = min(CLUSTERS, len(np.unique(fitted, axis=0)))
    centers = k_means(fitted, clusters, int(rng.integers(2**31)))
    member = nearest(z, centers)
    large = np.bincount(member, minlength=clusters) >= LEAST * len(z)
    distance = np.linalg.norm(centers, axis=1)
    return np.flatnonzero(member == np.argmax(np.where(large, distance, -1.0)))
