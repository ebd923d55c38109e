"""Where a smooth family has too many unknowns, attacks say so before a query is spent."""

import numpy as np
import pytest
from shop import attack_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.defense import Defense
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace, Numeric
from moatbench.types import Array
from moatbench.victim import Shares, Victim

SPACE = InputSpace(tuple(Numeric(f"p{i}", 0, 255, 1) for i in range(3072)), (3, 32, 32))
SMALL = InputSpace.box(64)


def reason(attack: str, family: str, space: InputSpace, *knobs: str) -> str:
    weights = np.random.default_rng(0).normal(size=(space.d, 10)) / 99

    def predict(x: Array) -> Reply:
        return from_outputs(softmax(space.encode(x) @ weights))

    x = space.sample(30, np.random.default_rng(0))
    y = np.arange(30) % 10
    shares = Shares(space, tuple("abcdefghij"), x[:10], y[:10], x[10:20], x[20:], y[20:])
    told_of = {"hidden": 20, "activation": "tanh"} if family == "mlp" else {}
    victim = Victim(shares, predict, family, told_of)
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "d")), (10,))
    told = attack_of(attack, *knobs).unmet(Target(api, shares.pool))
    assert api.queries == 0
    return told


@pytest.mark.parametrize(
    "attack", ["uniform_retraining", "pool_retraining", "equation_solving", "extract_and_test"]
)
@pytest.mark.parametrize(("family", "unknowns"), [("softmax", "27,657"), ("mlp", "61,")])
def test_pictures_in_colour_are_too_many_for_smooth_families(
    attack: str, family: str, unknowns: str
) -> None:
    told = reason(attack, family, SPACE)
    assert "unknowns here, and more than 25,000 take hours" in told
    assert unknowns in told or attack == "extract_and_test"
    assert reason(attack, family, SMALL) == ""


def test_networks_have_none_to_count() -> None:
    assert reason("pool_retraining", "softmax", SPACE, "attack.learner=net") == ""
    assert reason("pool_retraining", "net", SPACE) == ""
    assert "softmax has 27,657 unknowns" in reason(
        "active", "softmax", SPACE, "attack.learner=softmax"
    )
