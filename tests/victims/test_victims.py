"""Victims: what scikit-learn trains, and answers that do not depend on the batch."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier

from moatbench.data import Dataset
from moatbench.models import forward
from moatbench.reply import from_outputs
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import logistic, one_vs_rest, softmax
from moatbench.victims.mlp import mlp
from moatbench.victims.own import own_model, skops_model

BATCHES = (1, 2, 7, 64, 100, 333)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return bundled("digits")  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def victims(digits: Dataset) -> dict[str, Victim]:
    def rng() -> np.random.Generator:
        return np.random.default_rng(0)

    return {
        "logistic": logistic(bundled("breast_cancer"), rng()),
        "softmax": softmax(digits, rng()),
        "one_vs_rest": one_vs_rest(digits, rng()),
        "mlp": mlp(digits, rng(), max_iter=1000),
    }


def fresh(victim: Victim, model: Any) -> Any:
    return model.fit(victim.shares.x_train, victim.shares.y_train)


@pytest.mark.parametrize("name", ["logistic", "softmax", "one_vs_rest", "mlp"])
@pytest.mark.parametrize("batch", BATCHES)
def test_the_batch_size_does_not_change_one_bit(
    name: str, batch: int, victims: dict[str, Victim]
) -> None:
    victim = victims[name]
    x = victim.space.sample(1000, np.random.default_rng(1))
    whole = victim.predict(x).outputs
    parts = [victim.predict(x[i : i + batch]).outputs for i in range(0, len(x), batch)]
    assert np.array_equal(np.concatenate(parts), whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_network_as_wide_as_adult_is_as_indifferent_to_batches(batch: int) -> None:
    rng = np.random.default_rng(0)
    w, a = rng.normal(size=(108, 20)), rng.normal(size=(20, 5))
    x = rng.uniform(-1, 1, (1000, 108))

    def outputs(x: Array) -> Array:
        hidden = np.tanh(forward.affine(x, w, np.zeros(20)))
        return forward.softmax(forward.affine(hidden, a, np.zeros(5)))

    parts = [outputs(x[i : i + batch]) for i in range(0, len(x), batch)]
    assert np.array_equal(np.concatenate(parts), outputs(x))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("logistic", LogisticRegression(max_iter=5000)),
        ("softmax", LogisticRegression(max_iter=5000)),
        ("one_vs_rest", OneVsRestClassifier(LogisticRegression(max_iter=5000))),
    ],
)
def test_the_forward_pass_is_scikit_learns(
    name: str, model: Any, victims: dict[str, Victim]
) -> None:
    victim = victims[name]
    x = victim.space.sample(500, np.random.default_rng(1))
    expected = fresh(victim, model).predict_proba(x)
    assert np.abs(victim.predict(x).outputs - expected).max() < 1e-12


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
@pytest.mark.parametrize("data", ["iris", "breast_cancer"])
def test_the_network_is_scikit_learns(data: str, activation: str) -> None:
    victim = mlp(bundled(data), np.random.default_rng(0), activation=activation, max_iter=1500)
    rng = np.random.default_rng(0)
    bundled(data).shares(rng)
    model = MLPClassifier((20,), activation=activation, max_iter=1500, alpha=1e-4)
    fresh(victim, model.set_params(random_state=int(rng.integers(2**31))))
    x = victim.space.sample(500, np.random.default_rng(1))
    assert np.abs(victim.predict(x).outputs - model.predict_proba(x)).max() < 1e-12


def test_a_softmax_of_two_classes_is_the_logistic_model() -> None:
    two = softmax(bundled("breast_cancer"), np.random.default_rng(0))
    one = logistic(bundled("breast_cancer"), np.random.default_rng(0))
    x = two.space.sample(500, np.random.default_rng(1))
    assert np.abs(two.predict(x).outputs - one.predict(x).outputs).max() < 1e-12


def test_victims_are_accurate(victims: dict[str, Victim]) -> None:
    for name, victim in victims.items():
        shares = victim.shares
        accuracy = (victim.predict(shares.x_test).labels == shares.y_test).mean()
        assert accuracy > 0.9, name


def test_the_same_seed_trains_the_same_network() -> None:
    one, two = (mlp(bundled("iris"), np.random.default_rng(3), max_iter=1500) for _ in range(2))
    x = one.shares.x_test
    assert np.array_equal(one.predict(x).outputs, two.predict(x).outputs)


def test_logistic_refuses_more_classes_than_two(digits: Dataset) -> None:
    with pytest.raises(ValueError, match="needs two classes, and digits has 10; use victim=soft"):
        logistic(digits, np.random.default_rng(0))


@pytest.mark.parametrize(("knob", "value"), [("activation", "sine"), ("hidden", 0)])
def test_the_network_refuses_bad_knobs(knob: str, value: Any, digits: Dataset) -> None:
    with pytest.raises(ValueError, match=f"victim.{knob} must be"):
        mlp(digits, np.random.default_rng(0), **{knob: value})


def test_probabilities_that_do_not_sum_to_one_are_refused(toy: Victim) -> None:
    class Unnormalised:
        def predict_proba(self, x: Any) -> Any:
            return np.full((len(x), 3), 0.5)

    with pytest.raises(ValueError, match=r"row 0 with sum 1\.5 .*apply a softmax"):
        own_model(bundled("iris"), np.random.default_rng(0), Unnormalised())


def test_an_own_models_classes_are_put_into_the_datas_order() -> None:
    rng = np.random.default_rng(0)
    shares = bundled("iris").shares(np.random.default_rng(0), units="own")
    names = np.array(shares.classes)[shares.y_train]
    model = LogisticRegression(max_iter=5000).fit(shares.x_train, names)
    model.classes_, model.coef_ = model.classes_[::-1], model.coef_[::-1]
    model.intercept_ = model.intercept_[::-1]
    victim = own_model(bundled("iris"), rng, model)
    assert (victim.predict(shares.x_test).labels == shares.y_test).mean() > 0.9


def test_a_model_for_other_data_is_refused(digits: Dataset) -> None:
    shares = digits.shares(np.random.default_rng(0))
    model = LogisticRegression(max_iter=5000).fit(shares.x_train, shares.y_train)
    with pytest.raises(ValueError, match=r"must take 4 columns, as iris .* got 64"):
        own_model(bundled("iris"), np.random.default_rng(0), model)


def test_an_object_without_predict_proba_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must have predict_proba.* got a list without"):
        own_model(bundled("iris"), np.random.default_rng(0), [])


def test_a_skops_model_answers_as_before_it_was_saved(tmp_path: Path) -> None:
    import skops.io

    shares = bundled("iris").shares(np.random.default_rng(0), units="own")
    model = LogisticRegression(max_iter=5000).fit(shares.x_train, shares.y_train)
    skops.io.dump(model, tmp_path / "m.skops")
    victim = skops_model(bundled("iris"), np.random.default_rng(0), str(tmp_path / "m.skops"))
    answers = victim.predict(shares.x_test).outputs
    assert np.abs(answers - model.predict_proba(shares.x_test)).max() < 1e-12


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.skops").write_text("no zip")
    with pytest.raises(ValueError, match=r"victim\.path must be a file of skops, got"):
        skops_model(bundled("iris"), np.random.default_rng(0), str(tmp_path / "m.skops"))


def test_a_skops_file_with_unknown_types_is_not_loaded(tmp_path: Path) -> None:
    import skops.io
    from sklearn.preprocessing import FunctionTransformer

    skops.io.dump(FunctionTransformer(Path.exists), tmp_path / "m.skops")
    with pytest.raises(ValueError, match=r"must hold trusted types only, got .*victim\.trusted="):
        skops_model(bundled("iris"), np.random.default_rng(0), str(tmp_path / "m.skops"))


def test_the_victim_of_a_space_of_its_own_is_checked(toy: Victim) -> None:
    with pytest.raises(ValueError, match="one a class, got float64"):
        Victim(toy.shares, lambda x: from_outputs(np.full((len(x), 2), 0.5)))
