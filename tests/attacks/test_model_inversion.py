"""A prototype of each class, through an extracted model or straight through the API."""

from typing import Any

import numpy as np
import pytest

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.model_inversion import ModelInversion
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.search.ascent import Inversion
from moatbench.space import InputSpace
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax


@pytest.fixture(scope="module")
def digits() -> Victim:
    victim: Victim = softmax(bundled("digits"), stream(0, "victim"))
    return victim


def attack(mode: str, **knobs: Any) -> ModelInversion:
    return ModelInversion(
        **{"mode": mode, "step": 0.01, "length": 0.2, "goal": 0.99, "rounds": 60, **knobs}
    )


def surrogates(victim: Victim, mode: str, checkpoints: list[int]) -> list[Surrogate]:
    deployment = Deployment(victim, Defense(), stream(0, "defense"))
    api = MeteredAPI(deployment, checkpoints)
    found: list[Surrogate] = []
    for surrogate in attack(mode).run(Target(api, victim.shares.pool), stream(0, "attack")):
        assert api.queries == checkpoints[len(found)]
        found.append(surrogate)
    return found


def confidences(victim: Victim, surrogate: Surrogate) -> Array:
    """(k,) what the victim itself says of the prototypes, off the meter."""
    outputs = victim.predict(surrogate.parameters["prototypes"]).outputs
    assert outputs is not None
    return np.asarray(outputs.diagonal())


def test_65_queries_through_extraction_show_all_ten_digits(digits: Victim) -> None:
    (surrogate,) = surrogates(digits, "extraction", [65])
    assert confidences(digits, surrogate).min() > 0.9


def test_as_many_do_not_in_black_box_mode(digits: Victim) -> None:
    (surrogate,) = surrogates(digits, "black_box", [65])
    assert confidences(digits, surrogate).min() < 0.9


def test_black_box_mode_gets_there_in_the_end(digits: Victim) -> None:
    surrogate = surrogates(digits, "black_box", [20, 100, 650])[-1]
    assert confidences(digits, surrogate).min() > 0.9


def test_prototypes_resemble_their_class(digits: Victim) -> None:
    (surrogate,) = surrogates(digits, "extraction", [65])
    x, y = digits.shares.x_train, digits.shares.y_train
    means = np.array([x[y == c].mean(axis=0) for c in range(10)])
    table = np.corrcoef(surrogate.parameters["prototypes"], means - means.mean(axis=0))[:10, 10:]
    assert (table.argmax(axis=1) == np.arange(10)).mean() >= 0.9


def test_prototypes_are_inputs_that_the_api_accepts(digits: Victim) -> None:
    for mode in ("extraction", "black_box"):
        (surrogate,) = surrogates(digits, mode, [200])
        assert digits.space.problem(surrogate.parameters["prototypes"], partial=False) == ""


def test_an_unanswered_climb_stays_where_it_is() -> None:
    inversion = Inversion(InputSpace.box(2), 3, 0.01, 0.2, 0.9, 5)
    while not inversion.done:
        inversion.learn(np.full((len(inversion.questions()), 3), np.nan))
    assert np.array_equal(inversion.prototypes, np.zeros((3, 2)))


def test_neighbours_are_asked_only_where_a_point_is_not_yet_the_goal() -> None:
    inversion = Inversion(InputSpace.box(3), 2, 0.01, 0.5, 0.9, 50)
    sizes = []
    while not inversion.done:
        z = 9 * (inversion.questions() - [0.0, 0.0, 0.2])[:, 2]
        sizes.append(len(z))
        p = 1 / (1 + np.exp(-z))
        inversion.learn(np.column_stack([1 - p, p]))
    assert sizes == [1 + 3, 2]


def test_a_climb_ends_at_its_goal() -> None:
    inversion = Inversion(InputSpace.box(2), 2, 0.01, 0.2, 0.9, 50)
    while not inversion.done:
        z = 3 * inversion.questions()[:, 0]
        p = 1 / (1 + np.exp(-z))
        inversion.learn(np.column_stack([1 - p, p]))
    first, second = inversion.prototypes[:, 0]
    assert first < -np.log(9) / 3
    assert second > np.log(9) / 3


@pytest.mark.parametrize(
    ("knob", "value"), [("mode", "white_box"), ("step", 0.0), ("goal", 1.5), ("rounds", 0)]
)
def test_bad_knobs_are_refused(knob: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{knob} must be "):
        attack(**{"mode": "extraction", knob: value})
