"""Attackers know what the owner knows: the family behind a pipeline, if it is one of the inputs."""

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

from moatbench.formats.family import family_of
from moatbench.formats.readers.estimator import estimator

RNG = np.random.default_rng(0)
X, Y = np.abs(np.rint(RNG.normal(size=(60, 3)) * 3)), RNG.integers(3, size=60)
LINE, TREE = LogisticRegression(), DecisionTreeClassifier(max_depth=2)


def hot(columns: list[int]) -> ColumnTransformer:
    return ColumnTransformer([("c", OneHotEncoder(), columns)], remainder="passthrough")


@pytest.mark.parametrize(
    ("model", "family"),
    [
        (LINE, "softmax"),
        (make_pipeline(StandardScaler(), PCA(2), LINE), "softmax"),
        (make_pipeline(FeatureUnion([("s", MinMaxScaler())]), LINE), "softmax"),
        (GridSearchCV(make_pipeline(StandardScaler(), LINE), {}, cv=2), "softmax"),
        (make_pipeline(PolynomialFeatures(), LINE), None),
        (make_pipeline(MinMaxScaler(clip=True), LINE), None),
        (make_pipeline(hot([0]), LINE), None),  # of numbers, it is no linear function of them
        (LinearDiscriminantAnalysis(), "softmax"),
        (OneVsRestClassifier(LINE), "one_vs_rest"),
        (SGDClassifier(loss="log_loss"), "one_vs_rest"),
        (LinearSVC(), "linear_svm"),
        (RidgeClassifier(), "linear_svm"),
        (make_pipeline(StandardScaler(), SVC()), None),  # its kernel is of the scaled inputs
        (SVC(kernel="rbf"), "rbf_svm"),
        (TREE, "tree"),
        (make_pipeline(QuantileTransformer(n_quantiles=9), TREE), "tree"),
        (make_pipeline(KBinsDiscretizer(quantile_method="linear"), TREE), "tree"),
        (make_pipeline(hot([0]), TREE), "tree"),
        (make_pipeline(PCA(2), TREE), None),
        (RandomForestClassifier(2), "random_forest"),
        (GradientBoostingClassifier(n_estimators=1), "gradient_boosting"),
        (GaussianNB(), None),
        (CalibratedClassifierCV(LINE, cv=2), None),
    ],
    ids=lambda v: str(v)[:40],
)
def test_the_family_behind_a_pipeline(model: Any, family: str | None) -> None:
    assert family_of(model.fit(X, Y))[0] == family


@pytest.mark.needs("xgboost")
def test_a_forest_of_xgboost_in_a_pipeline_adds_log_odds_as_one_alone_does() -> None:
    import xgboost

    forest = xgboost.XGBRFClassifier(n_estimators=2, max_depth=2, n_jobs=1)
    model = make_pipeline(StandardScaler(), forest).fit(X, Y == 0)
    assert family_of(model)[0] == "gradient_boosting" == estimator(forest, {}).family


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("layers", "found"),
    [((5,), ("mlp", {"hidden": 5, "activation": "tanh"})), ((5, 5), (None, {}))],
)
def test_a_network_of_one_hidden_layer_is_published_with_it(
    layers: tuple[int, ...], found: Any
) -> None:
    model = make_pipeline(StandardScaler(), MLPClassifier(layers, activation="tanh", max_iter=1))
    assert family_of(model.fit(X, Y)) == found


def test_a_polynomial_kernel_is_published_with_its_degree() -> None:
    model = SVC(kernel="poly", degree=2, coef0=1.0).fit(X, Y)
    assert family_of(model) == ("poly_svm", {"degree": 2, "coef0": 1.0})


def test_names_in_one_hot_columns_leave_a_linear_model_linear() -> None:
    names = np.array(["a", "b", "c"], dtype=object)[Y][:, None]
    assert family_of(make_pipeline(OneHotEncoder(), LINE).fit(names, Y))[0] == "softmax"
