"""Of a public network with a last layer of one's own, that layer is all that there is to steal."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shop import attack_of, defense_of, victim_of

from moatbench.api import Deployment
from moatbench.defense import Defense
from moatbench.learners.learner import Learner
from moatbench.learners.published import learner_for, linear_odds
from moatbench.models.embedding import HiddenLayer
from moatbench.models.scaled import OnScaled, behind
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, extract
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim

EXACT = 1e-9


@pytest.fixture(scope="module")
def digits() -> Victim:
    return victim_of("linear_probe", "digits")


def last(victim: Victim, defense: Defense, attack: str, queries: int) -> Checkpoint:
    *_, point = extract(victim, defense, attack_of(attack), checkpoints=[queries])
    return point


def test_it_publishes_its_hidden_layer_as_plain_numbers(digits: Victim) -> None:
    known = HiddenLayer.of(json.loads(json.dumps(digits.architecture)))
    assert known is not None
    own = digits.predict.parameters  # type: ignore[attr-defined]
    assert np.array_equal(known.weights, own["w1"])
    assert np.array_equal(known.bias, own["b1"])
    assert known.weights.shape == (64, 20)


def test_it_reads_digits(digits: Victim) -> None:
    shares = digits.shares
    assert (digits.predict(shares.x_test).labels == shares.y_test).mean() > 0.9


@pytest.mark.parametrize(("data", "queries"), [("digits", 22), ("breast_cancer", 22), ("iris", 22)])
def test_as_many_answers_as_it_has_units_tell_everything(data: str, queries: int) -> None:
    point = last(victim_of("linear_probe", data), Defense(), "equation_solving", queries)
    assert point.metrics["tv_uniform"] < EXACT
    assert point.metrics["parameter_error"] < 1e-6
    assert set(point.parameters) == {"w1", "b1", "w2", "b2"}


@pytest.mark.parametrize(
    ("defense", "attack"),
    [
        *((d, "robust_equations") for d in ("mad", "modelguard_w", "grad2", "dawn")),
        *((d, "equation_solving") for d in ("mad", "modelguard_w", "grad2")),
    ],
)
def test_equations_that_stand_tell_it_as_well(defense: str, attack: str, digits: Victim) -> None:
    point = last(digits, defense_of(defense), attack, 650)
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < EXACT


@pytest.mark.parametrize("defense", ["mad_argmax", "shuffle", "reverse_sigmoid"])
def test_restored_answers_tell_it(defense: str, digits: Victim) -> None:
    point = last(digits, defense_of(defense), "inversion", 650)
    assert point.metrics["tv_uniform"] < 1e-6


def test_rounded_and_noisy_answers_are_read_on_its_units(digits: Victim) -> None:
    for defense, least in (("rounding", 0.995), ("gaussian_noise", 0.97)):
        point = last(digits, defense_of(defense), "equation_solving", 800)
        assert point.metrics["fidelity_uniform"] > least


def probe(w: Array, b: Array, activation: str) -> Victim:
    """A probe of iris on units of these weights (4, h)."""
    base, rng = victim_of("linear_probe", "iris", "victim.max_iter=1"), np.random.default_rng(1)
    model: Any = base.predict.model if isinstance(base.predict, OnScaled) else base.predict
    network = replace(model, w=w, b=b, v=rng.normal(size=(len(b), 3)), activation=activation)
    layer = HiddenLayer(w, b, activation)
    return Victim(base.shares, behind(base.space, network), "linear_probe", layer.published)


def seldom_on() -> Victim:
    """A probe one unit of which is on near one corner of the cube alone."""
    rng = np.random.default_rng(0)
    w, b = rng.normal(size=(4, 6)), rng.normal(size=6)
    w[:, 0], b[0] = 3, -9.5
    return probe(w, b, "relu")


@pytest.mark.parametrize(("scale", "hidden"), [(0.05, 40), (0.02, 12), (1.0, 12)])
def test_units_that_are_nearly_alike_are_not_called_known(scale: float, hidden: int) -> None:
    """Nearly linear units make up for each other: predictions are exact, and weights are not."""
    rng = np.random.default_rng(2)
    w, b = scale * rng.normal(size=(4, hidden)), scale * rng.normal(size=hidden)
    point = last(probe(w, b, "tanh"), defense_of("dawn"), "robust_equations", 4 * hidden)
    assert point.metrics["tv_uniform"] < 1e-5
    assert not point.parameters or point.metrics["parameter_error"] < 1e-6
    assert bool(point.parameters) == (scale == 1.0)


@pytest.mark.parametrize(
    ("defense", "attack"),
    [("none", "equation_solving"), ("shuffle", "inversion"), ("dawn", "robust_equations")],
)
def test_a_unit_that_was_off_for_all_that_was_asked_is_not_called_solved(
    defense: str, attack: str
) -> None:
    """Its weights are in no equation: what is recovered of them would be made up."""
    victim = seldom_on()
    behind_it = Defense() if defense == "none" else defense_of(defense)
    points = extract(victim, behind_it, attack_of(attack), checkpoints=[40, 3000])
    early, late = (point for point in points)
    for point in (early, late):
        assert not point.parameters or point.metrics["parameter_error"] < 1e-6
    assert not early.parameters
    assert late.parameters or attack == "inversion"  # whose order of values leans on all units


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"w1": [[1.0]], "b1": [0.0]},
        {"w1": None, "b1": None},
        {"w1": "w", "b1": "b"},
        {"w1": [[1.0], [2.0, 3.0]], "b1": [0.0]},
        {"w1": np.ones((64, 20)).tolist(), "b1": [float("nan")] * 20},
        {"w1": np.ones((64, 20)).tolist(), "b1": [0.0]},
        {"w1": np.ones((64, 20)).tolist(), "b1": [0.0] * 20, "activation": "gelu"},
        {"w1": np.ones((64, 20)).tolist(), "b1": [0.0] * 20, "activation": ["tanh"]},
        {"w1": [[10**400] * 20] * 64, "b1": [0.0] * 20},
        {"w1": [[1e308] * 20] * 64, "b1": [0.0] * 20},
        {"w1": [[True] * 20] * 64, "b1": [0.0] * 20},
        {"w1": [[]] * 64, "b1": [], "hidden": 0},
        {"hidden": "x"},
        {"hidden": None},
        {"hidden": -3},
    ],
    ids=[
        *("none", "of others", "null", "texts", "ragged", "nan", "short", "gelu", "list"),
        *("no float", "too large", "truths", "no units", "text", "no number", "negative"),
    ],
)
def test_of_a_layer_that_is_not_published_nothing_is_solved(
    said: dict[str, object], digits: Victim
) -> None:
    known = {"hidden": 20, "activation": "tanh", **said}
    hidden = replace(digits, architecture=known)
    card = Deployment(hidden, Defense(), stream(0, "defense")).card(0.0)
    learner = learner_for("published", card)
    assert not linear_odds(card)
    assert isinstance(learner, Learner)
    assert learner.family == "mlp"
    for attack in ("equation_solving", "robust_equations"):
        with pytest.raises(NotApplicable, match="needs the hidden layer of a linear probe"):
            last(hidden, defense_of("mad"), attack, 100)
    assert last(hidden, defense_of("mad"), "inversion", 60).note


def test_units_that_two_weights_nearly_share_are_not_called_known_undefended() -> None:
    rng = np.random.default_rng(2)
    w, b = rng.normal(size=(4, 6)), rng.normal(size=6)
    w[:, 1], b[1] = w[:, 0] + 1e-10, b[0]
    point = last(probe(w, b, "tanh"), Defense(), "equation_solving", 60)
    assert not point.parameters
    assert point.note == "least solution: what was asked tells nothing in some directions"
    assert point.metrics["tv_uniform"] < 1e-9
