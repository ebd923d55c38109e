"""SVM victims: what scikit-learn predicts, from labels alone."""

from typing import Any

import numpy as np
import pytest
from sklearn.svm import SVC, LinearSVC

from moatbench.api import Deployment, MeteredAPI
from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.models.kernels import one_vs_one
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.svm import linear_svm, poly_svm, rbf_svm

BUILDERS = {"linear_svm": linear_svm, "poly_svm": poly_svm, "rbf_svm": rbf_svm}


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module", params=["iris", "breast_cancer", "digits"])
def data(request: pytest.FixtureRequest) -> Dataset:
    return bundled(request.param)  # type: ignore[no-any-return]


def reference(victim: Victim) -> Any:
    """Train the same with scikit-learn alone."""
    models = {
        "linear_svm": LinearSVC(max_iter=10000, dual="auto", random_state=0),
        "poly_svm": SVC(kernel="poly", degree=2, coef0=1.0, gamma="auto"),
        "rbf_svm": SVC(gamma="auto"),
    }
    return models[str(victim.family)].fit(victim.shares.x_train, victim.shares.y_train)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_labels_are_scikit_learns(name: str, data: Dataset) -> None:
    victim = BUILDERS[name](data, rng())
    x = victim.space.sample(3000, np.random.default_rng(1))
    assert np.array_equal(victim.predict(x).labels, reference(victim).predict(x))


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("batch", [1, 7, 64, 100])
def test_the_batch_size_does_not_change_a_label(name: str, batch: int) -> None:
    victim = BUILDERS[name](bundled("iris"), rng())
    x = victim.space.sample(500, np.random.default_rng(1))
    parts = [victim.predict(x[i : i + batch]).labels for i in range(0, len(x), batch)]
    assert np.array_equal(np.concatenate(parts), victim.predict(x).labels)


@pytest.mark.parametrize("name", BUILDERS)
def test_the_card_says_that_there_are_labels_only(name: str) -> None:
    victim = BUILDERS[name](bundled("iris"), rng())
    api = MeteredAPI(Deployment(victim, Defense(), rng()), [10])
    assert not api.card.confidences
    assert api.card.family == name
    assert api.query(victim.shares.pool[:5]).outputs is None


def test_a_three_way_tie_goes_to_the_first_class() -> None:
    circle = np.array([[1.0, -1.0, 1.0]])  # 0 beats 1, 2 beats 0, 1 beats 2
    assert one_vs_one(circle, 3).tolist() == [0]


def test_the_polynomial_kernel_publishes_degree_and_coef0_but_not_gamma() -> None:
    victim = poly_svm(bundled("iris"), rng(), degree=3, coef0=0.5)
    assert dict(victim.architecture) == {"degree": 3, "coef0": 0.5}
    assert not rbf_svm(bundled("iris"), rng()).architecture


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"C": 0.0}, "victim.C must be a number above 0, got 0.0"),
        ({"gamma": "wide"}, "victim.gamma must be a number above 0, or scale or auto, got 'wide'"),
        ({"gamma": -1.0}, "victim.gamma must be"),
        ({"degree": 0}, "victim.degree must be a whole number of at least 1, got 0"),
        ({"coef0": -1.0}, "victim.coef0 must be a number of at least 0"),
    ],
)
def test_bad_knobs_are_refused(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        poly_svm(bundled("iris"), rng(), **knobs)
