"""Attacks and treatments for pictures keep the contract, with networks that hardly train."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shop import attack_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Known, Target
from moatbench.attacks.averaging import Averaged, views
from moatbench.defense import Defense
from moatbench.defenses.rounding import Rounding
from moatbench.learners.deep import training
from moatbench.learners.deep.learner import NetLearner
from moatbench.learners.deep.recipes import Recipe
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Extraction
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


@pytest.mark.parametrize("attack", ["active", "jbda"])
def test_what_polishes_keeps_the_contract(
    attack: str, victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Recipe, "steps_for", lambda recipe, n: 3)
    monkeypatch.setattr("moatbench.learners.deep.polish.ITERATIONS", 3)
    polishing: Any = replace(attack_of(attack), polish=True)  # type: ignore[type-var]
    assert check_run(victim, Defense(), polishing, (8, 40)) == ""


def failing_from(fit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all trainings from that one on end without a number."""
    done = iter(range(10**6))

    def trained(*args: Any) -> Any:
        if next(done) >= fit:
            raise training.Diverged("training must have a finite loss, got none by step 100")
        return trained_before(*args)

    trained_before = training.train
    monkeypatch.setattr(Recipe, "steps_for", lambda recipe, n: 3)
    monkeypatch.setattr(training, "train", trained)


def test_a_loss_that_is_no_number_leaves_the_points_before_it(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing_from(4, monkeypatch)  # a guide, a surrogate, a guide, a surrogate
    curve = iter(Extraction(victim, Defense(), attack_of("jbda"), [10, 12, 160]))
    assert next(curve).queries == 10
    with pytest.raises(training.Diverged, match="finite loss"):
        list(curve)


def test_a_network_that_diverges_is_trained_once_more_with_smaller_steps(
    victim: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = []

    def trained(net: Any, z: Array, targets: Array, recipe: Recipe, rng: Any) -> Any:
        rates.append(recipe.rate)
        if len(rates) == 1:
            raise training.Diverged("no")
        return net.eval()

    monkeypatch.setattr(training, "train", trained)
    learner = NetLearner(SPACE, 3, "cnn", {"width": 2, "hidden": 8})
    x = victim.shares.pool
    learner.fit(x, np.eye(3)[np.arange(len(x)) % 3], np.random.default_rng(0), brief=True)
    rate = learner.recipe.rate
    assert rates == [rate, pytest.approx(rate / 10)]


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
