"""A kernel is told in units that an attack can use, whatever scales what it is given."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

from moatbench.attacks.adaptive_retraining import AdaptiveRetraining
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.models.kernels import Kernel, measured
from moatbench.randomness import stream
from moatbench.runner.extract import extract
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.metric import metric_of
from moatbench.victims.own import own_model

SPACE = InputSpace((Numeric("a", 0.0, 900.0, 1.0), Numeric("b", -0.02, 0.05), Numeric("c", 3, 4)))
NAMED = InputSpace((Numeric("a", 0.0, 900.0), Categorical("n", ("x", "y", "z"), one_hot=False)))
X = SPACE.sample(50, np.random.default_rng(0))
MIXED = NAMED.sample(50, np.random.default_rng(0))


def as_given(x: Array) -> Array:
    return x


@pytest.mark.parametrize(
    "steps",
    [
        [],
        [StandardScaler()],
        [MinMaxScaler((0, 7)), StandardScaler()],
        [StandardScaler(), PCA(2)],
        [FunctionTransformer()],
    ],
)
def test_distances_are_those_of_the_model_in_the_units_of_the_space(steps: list[Any]) -> None:
    model = make_pipeline(*steps, SVC()).fit(X, np.arange(50) % 2)
    inner = X
    for step in steps:
        inner = step.transform(inner)
    metric = metric_of(model, as_given, SPACE)
    assert metric is not None
    seen = measured(SPACE.encode(X), metric)
    gamma = 1 / inner.shape[1]
    assert Kernel("rbf", gamma)(seen, seen) == pytest.approx(rbf_kernel(inner, gamma=gamma))


def test_names_are_measured_as_their_encoder_spells_them() -> None:
    columns = ColumnTransformer([("a", StandardScaler(), [0]), ("n", OneHotEncoder(), [1])])
    model = make_pipeline(columns, SVC()).fit(MIXED, np.arange(50) % 2)
    metric = metric_of(model, as_given, NAMED)
    assert metric is not None
    inner, seen = columns.transform(MIXED), measured(NAMED.encode(MIXED), metric)
    assert Kernel("rbf", 0.3)(seen, seen) == pytest.approx(rbf_kernel(inner, gamma=0.3))


def test_what_is_not_linear_has_no_metric() -> None:
    bent = make_pipeline(FunctionTransformer(np.cbrt), SVC()).fit(X, np.arange(50) % 2)
    assert metric_of(bent, as_given, SPACE) is None


@cache
def moons(*sides: float) -> Dataset:
    """Two half circles, on columns so many times wider."""
    from sklearn.datasets import make_moons

    x, y = make_moons(300, noise=0.1, random_state=0)
    columns = [Column(f"x{i}", side * (1 + x[:, i])) for i, side in enumerate(sides)]
    return Dataset(Table("moons", tuple(columns), y.astype(np.int64), ("a", "b")))


def served(model: Any, *sides: float) -> Victim:
    data = moons(*sides)
    shares = data.shares(stream(0, "victim"), units="own")
    fitted = clone(model).fit(shares.x_train, shares.y_train)
    victim: Victim = own_model(data, stream(0, "victim"), fitted)
    return victim


def fidelity(victim: Victim, attack: Any, queries: int) -> float:
    *_, last = extract(victim, Defense(), attack, checkpoints=(queries,))
    return float(last.metrics["fidelity_uniform"])


def test_a_machine_behind_a_scaler_falls_whatever_the_units() -> None:
    machine = make_pipeline(StandardScaler(), SVC(C=10.0))
    attack = AdaptiveRetraining("confidences", "published", "cube", 0.25, 0.2, 0.05)
    plain, raw = served(machine, 1.0, 1.0), served(machine, 1000.0, 0.02)
    assert raw.family == "rbf_svm"
    assert raw.architecture["gamma"] == pytest.approx(0.5)
    assert raw.architecture["metric"] == pytest.approx(plain.architecture["metric"])
    told = [fidelity(victim, attack, 60) for victim in (plain, raw)]
    assert told[0] == pytest.approx(told[1], abs=0.005)
    hidden = replace(raw, family=None, architecture={})
    assert told[1] > max(0.97, fidelity(hidden, attack, 60))


def test_kernel_logistic_regression_behind_a_scaler_is_solved_in_raw_units() -> None:
    lift = Nystroem(gamma=0.7, n_components=4, random_state=0)
    victim = served(make_pipeline(StandardScaler(), lift, LogisticRegression()), 1000.0, 0.02)
    assert victim.family == "kernel_logistic"
    assert victim.architecture["representers"] == 4
    assert fidelity(victim, EquationSolving(False), 40) == 1.0


def test_a_machine_on_raw_numbers_is_told_in_shares_of_their_range() -> None:
    victim = served(SVC(), 1000.0, 0.02)
    space = victim.space
    assert victim.architecture["metric"] == pytest.approx((space.high - space.low) / 2)


def test_somebody_s_own_code_is_not_taken_apart() -> None:
    class Own:
        def predict(self, x: Array) -> Array:
            return (x[:, 0] > 0).astype(np.int64)

    data = moons(1.0, 1.0)
    victim = own_model(data, stream(0, "victim"), Own(), family="kernel_logistic")
    assert (victim.family, dict(victim.architecture)) == ("kernel_logistic", {})
