"""The error of recovered parameters: what the model's symmetries leave open is no error."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from shop import attack_of, victim_of

from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.judge.recovered import parameter_error
from moatbench.runner.extract import Extraction
from moatbench.space import InputSpace
from moatbench.types import Array

RNG = np.random.default_rng(0)
W1, B1 = RNG.normal(size=(4, 5)), RNG.normal(size=5)
W2, B2 = RNG.normal(size=(5, 3)), RNG.normal(size=3)


def error(found: dict[str, Array], **own: Any) -> float | None:
    knobs = {name: own.pop(name) for name in ("activation", "link") if name in own}
    model = SimpleNamespace(parameters=own, **knobs)
    return parameter_error(found, SimpleNamespace(predict=model, space=InputSpace.box(4)))  # type: ignore[arg-type]


@pytest.mark.parametrize("activation", ["tanh", "logistic", "relu"])
def test_units_in_another_order_turned_or_scaled_are_the_same_network(activation: str) -> None:
    order, sizes = RNG.permutation(5), np.array([2.0, 0.5, 1.0, 3.0, 1.0])
    signs = np.array([1.0, -1.0, -1.0, 1.0, -1.0])
    by = sizes if activation == "relu" else signs
    shift = (W2 * (signs < 0)[:, None]).sum(axis=0) if activation == "logistic" else 0.0
    found = {
        "w1": (W1 * by)[:, order],
        "b1": (B1 * by)[order],
        "w2": (W2 / by[:, None])[order] + 7.0,
        "b2": B2 + shift - 2.0,
    }
    own = {"w1": W1, "b1": B1, "w2": W2, "b2": B2}
    assert error(found, **own, activation=activation) == pytest.approx(0, abs=1e-12)
    off = found | {"b1": found["b1"] + 0.1}
    assert 0.01 < float(error(off, **own, activation=activation) or 0) < 0.2
    assert np.isnan(error({"w1": W1}, **own, activation=activation) or 0)
    few = {name: part[..., :4] if name in ("w1", "b1") else part for name, part in found.items()}
    assert np.isnan(error(few | {"w2": found["w2"][:4]}, **own, activation=activation) or 0)


def test_of_a_softmax_what_all_classes_share_is_left_out_and_of_sigmoids_not() -> None:
    own = {"coef": W2[:4].T, "intercept": B2}
    found = {"coef": own["coef"] + 3.0, "intercept": B2 - 1.0}
    assert error(found, **own, link="softmax") == pytest.approx(0, abs=1e-12)
    assert float(error(found, **own, link="one_vs_rest") or 0) > 1


@pytest.mark.parametrize("knobs", [("softmax", "iris"), ("mlp", "iris", "victim.hidden=3")])
def test_solved_equations_find_the_parameters(knobs: tuple[str, ...]) -> None:
    victim, attack = victim_of(*knobs), attack_of("equation_solving")
    few, enough = Extraction(victim, Defense(), attack, [1, 300])
    assert np.isnan(few.metrics["parameter_error"])
    assert enough.metrics["parameter_error"] < 1e-9


def test_labels_leave_the_length_of_scores_open() -> None:
    victim, attack = victim_of("logistic", "breast_cancer"), attack_of("lowd_meek")
    (point,) = Extraction(victim, LabelOnly(), attack, [50 * 31])
    assert point.metrics["parameter_error"] < 1e-9


def test_of_trees_nothing_is_known() -> None:
    victim, attack = victim_of("tree", "iris"), attack_of("uniform_retraining")
    (point,) = Extraction(victim, Defense(), attack, [20])
    assert "parameter_error" not in point.metrics
