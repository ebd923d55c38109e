"""The bundled sets are scikit-learn's, though it is not imported for them."""

import numpy as np
import pytest
import sklearn.datasets

from moatbench.data import bundled
from moatbench.victims.datasets import _loaded


@pytest.mark.parametrize("name", bundled.SETS)
def test_a_bundled_set_is_what_scikit_learn_loads(name: str) -> None:
    ours, theirs = bundled.read(name), _loaded(name)
    assert ours is not None
    assert (ours.features, ours.classes) == (theirs.features, theirs.classes)
    assert np.array_equal(ours.x, theirs.x)
    assert np.array_equal(ours.y, theirs.y)
    assert ours.y.dtype == theirs.y.dtype


def test_a_set_that_is_not_read_here_is_left_to_scikit_learn() -> None:
    assert bundled.read("linnerud") is None
    assert hasattr(sklearn.datasets, "load_linnerud")
