"""Attacks that ask only points of the grid that a defense moves its inputs to."""

from collections.abc import Callable

import numpy as np
import pytest
from omegaconf import DictConfig

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack
from moatbench.attacks.averaging import Averaged
from moatbench.attacks.on_grid import Snapped
from moatbench.compose.build import build_attacks, build_defense
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def iris() -> Victim:
    victim: Victim = softmax(bundled("iris"), stream(0, "victim"))
    return victim


def parts(composed: Compose, attack: str, defense: str, *knobs: str) -> tuple[Defense, Attack]:
    cfg = composed(f"attack={attack}", f"defense={defense}", *knobs)
    return build_defense(cfg.defense), build_attacks(cfg.attack, attack)[attack]


def error(victim: Victim, defense: Defense, attack: Attack) -> float:
    """Total variation on uniform inputs after 60 queries."""
    *_, last = Extraction(victim, defense, attack, [60], price=0.0)
    return float(last.metrics["tv_uniform"])


@pytest.mark.parametrize("defense", ["grid", "[prada,grid]"])
def test_behind_a_grid_it_is_as_exact_as_before_nothing(
    iris: Victim, composed: Compose, defense: str
) -> None:
    assert error(iris, *parts(composed, "equation_solving", defense)) > 1e-4
    assert error(iris, *parts(composed, "on_grid", defense)) < 1e-9


def test_it_asks_points_of_the_grid_and_says_so(toy: Victim) -> None:
    api = MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), [50])
    answers = Snapped(api, 0.1).query(toy.space.sample(50, stream(0, "x")))
    np.testing.assert_allclose(answers.x, np.rint(answers.x * 5) / 5, atol=1e-12)
    np.testing.assert_array_equal(answers.outputs, toy.predict(answers.x).outputs)
    assert api.queries == 50


def test_means_of_copies_are_told_of_the_points_that_were_asked(toy: Victim) -> None:
    snapped = Snapped(MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), [50]), 0.1)
    x = toy.space.sample(10, stream(0, "x"))
    for jitter in (0.0, 1e-6):
        answers = Averaged(snapped, 2, jitter, stream(0, "copies")).query(x)
        np.testing.assert_array_equal(answers.x, toy.space.snap(x, 0.1))


@pytest.mark.parametrize(("defense", "knobs"), [("none", ()), ("grid", ("defense.grid.step=0",))])
def test_it_does_not_begin_where_there_is_no_grid(
    iris: Victim, composed: Compose, defense: str, knobs: tuple[str, ...]
) -> None:
    with pytest.raises(NotApplicable, match="moves no inputs to a grid"):
        error(iris, *parts(composed, "on_grid", defense, *knobs))


def test_what_the_other_attack_cannot_do_it_cannot(iris: Victim, composed: Compose) -> None:
    alone = "attack@attack.attack=equation_solving"
    with pytest.raises(NotApplicable, match="labels only"):
        error(iris, *parts(composed, "on_grid", "[grid,label_only]", alone))


def test_of_labels_alone_it_trains(iris: Victim, composed: Compose) -> None:
    assert error(iris, *parts(composed, "on_grid", "[grid,label_only]")) < 0.3
