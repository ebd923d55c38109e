"""k-means is scikit-learn's, draw by draw."""

import numpy as np
import pytest
from sklearn.cluster import KMeans

from moatbench.numerics.k_means import k_means, nearest


@pytest.mark.parametrize("kind", ["spread", "level", "tied"])
def test_k_means_finds_the_groups_that_scikit_learn_finds(kind: str) -> None:
    rng = np.random.default_rng(0)
    for seed in range(20):
        x = rng.normal(size=(int(rng.integers(20, 300)), 4)) * [1.0, 2.0, 3.0, 4.0]
        x = x if kind == "spread" else np.rint(x) if kind == "level" else np.sign(np.rint(x))
        theirs, ours = KMeans(4, n_init=1, random_state=seed).fit(x), k_means(x, 4, seed)
        assert ours == pytest.approx(theirs.cluster_centers_, abs=1e-9)
        assert np.array_equal(nearest(x, ours), theirs.predict(x))


def test_as_many_groups_as_distinct_rows_are_those_rows() -> None:
    x = np.repeat([[0.0, 0.0], [1.0, 0.0], [0.0, 5.0]], 4, axis=0)
    assert sorted(map(tuple, k_means(x, 3, 0).round(9))) == [(0, 0), (0, 5), (1, 0)]
