"""Victims that are deep networks: trained once, kept as data, computed once a row."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moatbench.compose.archive import dump, load
from moatbench.data import Dataset
from moatbench.learners.deep.nets import Net
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims import nets
from moatbench.victims.datasets import bundled
from moatbench.victims.pictures import photos

QUICK = {"steps": 300, "epochs": 0}


def made(data: Dataset | None = None, **knobs: Any) -> Victim:
    given = {"net": None, "knobs": {}, "recipe": "ours", "training": QUICK}
    rest = {"outlier_exposure": 0.0, "device": "cpu"}
    data = data or bundled("digits")
    victim: Victim = nets.net(data, np.random.default_rng(0), **{**given, **rest, **knobs})
    return victim


@pytest.fixture(scope="module")
def victim() -> Victim:
    return made()


def test_a_small_network_learns_digits(victim: Victim) -> None:
    right = victim.predict(victim.shares.x_test).labels == victim.shares.y_test
    assert right.mean() > 0.93
    assert (victim.family, victim.architecture["net"]) == ("net", "cnn")


def test_it_is_kept_as_plain_data_and_answers_the_same_bits(victim: Victim, tmp_path: Path) -> None:
    dump(victim, tmp_path / "v.npz")
    again = load(tmp_path / "v.npz")
    x = victim.shares.x_test
    assert (again.predict(x).outputs == victim.predict(x).outputs).all()


def test_stages_of_its_training_are_kept_where_they_are_asked_for(tmp_path: Path) -> None:
    few = {"steps": 100, "epochs": 0}
    victim, staged = made(training=few), made(training=few, stages=3)
    dump(staged, tmp_path / "v.npz")
    kept = load(tmp_path / "v.npz").predict.stages
    x = victim.shares.x_test
    z = victim.space.encode(x)
    whole = victim.predict(x).outputs
    assert whole is not None
    assert np.array_equal(staged.predict.net.outputs(z), whole)  # type: ignore[attr-defined]
    assert np.array_equal(kept[-1].outputs(z), whole)
    right = [(net.outputs(z).argmax(axis=1) == victim.shares.y_test).mean() for net in kept]
    assert right[0] < 0.6 < right[1] < right[2]
    assert victim.predict.stages == ()  # type: ignore[attr-defined]


def test_equal_rows_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    victim, computed = made(), []
    outputs = Net.outputs

    def counted(self: Net, z: Array) -> Array:
        computed.append(len(z))
        return outputs(self, z)

    monkeypatch.setattr(Net, "outputs", counted)
    x = victim.space.sample(40, np.random.default_rng(1))
    first = victim.predict(np.vstack([x, x]))
    again = victim.predict(x[::-1])
    assert sum(computed) == 40
    assert first.outputs is not None
    assert again.outputs is not None
    assert (first.outputs[:40] == again.outputs[::-1]).all()
    assert victim.predict(x[:0]).labels.shape == (0,)


def test_a_table_is_learnt_by_an_mlp() -> None:
    assert made(bundled("iris")).architecture["net"] == "mlp"


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ({"net": "lenet"}, "lenet needs pictures of at least 12 x 12"),
        ({"net": "resnet9"}, "net must be one of mlp, cnn"),
        ({"knobs": {"depth": 3}}, "net cnn has the knobs width, hidden, got depth"),
        ({"knobs": {"width": 0}}, "net cnn: width must be a whole number of at least 1, got 0"),
        ({"knobs": {"hidden": "many"}}, "net cnn: hidden must be a whole number"),
        ({"knobs": {"width": [8, 8]}}, "net cnn: width must be a whole number"),
        ({"net": "mlp", "knobs": {"hidden": [8, 1.5]}}, "net mlp: hidden must be a whole number"),
        ({"recipe": "magic"}, "victim.recipe must be ours"),
        ({"training": {"step": 1}}, "victim.training must hold steps"),
        ({"training": {"device": "cpu"}}, "victim.training.device must be left out; say victim."),
        ({"outlier_exposure": 1.0}, "needs outliers; name some with data@outliers"),
        ({"outlier_exposure": -1.0}, "outlier_exposure"),
        ({"stages": 301}, "victim.stages must be at most the 300 steps of its training, got 301"),
    ],
)
def test_what_does_not_fit_is_told_before_training(knobs: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        made(**knobs)


def test_outliers_leave_a_network_undecided() -> None:
    digits = bundled("digits")
    data = digits.with_others(None, photos(300, 0, (1, 8, 8)))
    sure = []
    for weight in (0.0, 1.0):
        victim = made(data, outlier_exposure=weight)
        assert victim.shares.outliers is not None
        outputs = victim.predict(victim.shares.outliers).outputs
        assert outputs is not None
        sure.append(outputs.max(axis=1).mean())
    assert sure[1] < sure[0] - 0.2
