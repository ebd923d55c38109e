"""Attacks and treatments for pictures keep the contract, with networks that hardly train."""

import numpy as np
import pytest
from shop import attack_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.attacks.averaging import Averaged, views
from moatbench.defense import Defense
from moatbench.defenses.rounding import Rounding
from moatbench.learners.deep.recipes import Recipe
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace, Numeric
from moatbench.testing import check_run
from moatbench.types import Array
from moatbench.victim import Shares, Victim

SPACE = InputSpace(tuple(Numeric(f"p{i}", 0, 255, 1) for i in range(36)), (1, 6, 6))
TEACHER = np.random.default_rng(0).normal(size=(36, 3)) / 3


@pytest.fixture(scope="module")
def victim() -> Victim:
    x = SPACE.sample(260, np.random.default_rng(0))

    def predict(rows: Array) -> Reply:
        return from_outputs(softmax(SPACE.encode(rows) @ TEACHER))

    y = predict(x).labels
    shares = Shares(SPACE, ("a", "b", "c"), x[:60], y[:60], x[60:200], x[200:], y[200:])
    return Victim(shares, predict, "net", {"net": "cnn", "width": 2, "hidden": 8})


@pytest.mark.parametrize("attack", ["jbda", "jbda_tr", "s4l", "smoothing"])
def test_what_trains_on_pictures_keeps_the_contract(
    attack: str, victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recipe, "steps_for", lambda recipe, n: 3)
    assert check_run(victim, Rounding(1), attack_of(attack), (8, 40)) == ""


def test_smoothing_is_for_answers_that_are_touched(victim: Victim) -> None:
    attack, pool = attack_of("smoothing"), victim.shares.pool
    for defense, reason in (Defense(), "nothing touches the confidences"), (Rounding(1), ""):
        api = MeteredAPI(Deployment(victim, defense, stream(0, "d")), (9,))
        assert attack.unmet(Target(api, pool, Known(defense))) == reason


def test_views_are_the_picture_moved_by_a_pixel_and_are_paid_for(victim: Victim) -> None:
    x = SPACE.sample(200, np.random.default_rng(0))
    moved = views(x, SPACE, -1.0, np.random.default_rng(1)).reshape(-1, 6, 6)
    inner = x.reshape(-1, 6, 6)[:, 1:5, 1:5]
    ways = [(i, j) for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    found = [(moved[:, i : i + 4, j : j + 4] == inner).all(axis=(1, 2)) for i, j in ways]
    assert (np.sum(found, axis=0) == 1).all()
    api = MeteredAPI(Deployment(victim, Defense(), stream(0, "d")), (9,))
    assert len(Averaged(api, 3, -1.0, np.random.default_rng(0)).query(x[:3]).labels) == 3
    assert api.queries == 9
