"""An attack that searches among its settings, within its budget."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from moatbench.api import Deployment, MeteredAPI, PredictionAPI
from moatbench.attack import Attack, Target
from moatbench.attacks.tuned import Tuned
from moatbench.attacks.uniform_retraining import UniformRetraining
from moatbench.client import BudgetExceeded, Surrogate
from moatbench.compose.build import build_attacks
from moatbench.defense import Defense
from moatbench.learners.published import ignorant
from moatbench.learners.purchases import Purchases
from moatbench.runner.extract import Extraction
from moatbench.strategies.window import Memory, Resumed, Strayed, Window
from moatbench.types import Generator
from moatbench.victim import NotApplicable, Victim


def api_of(victim: Victim, checkpoints: list[int]) -> PredictionAPI:
    return MeteredAPI(Deployment(victim, Defense(), np.random.default_rng(0)), checkpoints)


class Quiet(Defense):
    """Does nothing, under a name of its own."""


@dataclass(frozen=True)
class Gifted(Attack):
    """Buys uniform answers; with the right setting, it simply knows the victim."""

    victim: Victim
    setting: str

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        for checkpoint in api.checkpoints:
            api.query(api.card.space.sample(checkpoint - api.queries, rng))
            if self.setting == "right":
                yield Surrogate(self.victim.predict, note="right")
            else:
                yield ignorant(api.card)


def tuned(victim: Victim, **changes: Any) -> Tuned:
    knobs = {"space": {"setting": ["wrong", "right"]}, "trials": 2, "share": 0.5, "compared": 0.2}
    return Tuned(lambda setting="wrong": Gifted(victim, setting), **{**knobs, **changes})


def test_the_best_setting_is_found_and_used_and_all_is_paid(toy: Victim) -> None:
    points = list(Extraction(toy, Defense(), tuned(toy), [1, 60, 61, 100]))
    assert [p.queries for p in points] == [1, 60, 61, 100]
    assert points[0].metrics["fidelity_test"] < 1
    assert points[-1].metrics["fidelity_test"] == 1
    assert points[-1].note == "right"


def test_a_setting_that_was_better_is_not_given_up(toy: Victim) -> None:
    """Later runs are worse than the first ones: what those found stays."""
    times = []

    def fading(setting: str = "wrong") -> Attack:
        return Gifted(toy, setting)

    class Fading(Gifted):
        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            times.append(self.setting)
            for surrogate in Gifted.run(self, target, rng):
                yield surrogate if len(times) < 4 else ignorant(target.api.card)

    attack = Tuned(
        lambda setting="wrong": Fading(toy, setting), {"setting": ["wrong", "right"]}, 2, 0.5, 0.2
    )
    (point,) = Extraction(toy, Defense(), attack, [100])
    assert len(times) > 4
    assert "right" in times
    assert point.metrics["fidelity_test"] == 1
    assert fading().unmet(Target(api_of(toy, [1]), np.empty((0, 4)))) == ""


def test_every_attack_that_is_tried_is_told_what_stands_before_the_victim(toy: Victim) -> None:
    defense, told = Quiet(), []

    class Curious(Gifted):
        oracle = True

        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            told.append((self.setting, target.known.defense, target.known.victim))
            return Gifted(toy, "right").run(target, rng)

    def made(setting: str = "wrong") -> Attack:
        return Curious(toy, setting)

    attack = Tuned(made, {"setting": ["one", "two"]}, 2, 0.5, 0.2)
    (point,) = Extraction(toy, defense, attack, [100])
    assert point.note == "right"
    assert {setting for setting, _, _ in told} >= {"one", "two"}
    assert all(isinstance(d, Quiet) and d is not defense for _, d, _ in told)
    assert all(victim is toy for _, _, victim in told)


def test_an_attack_that_does_not_apply_when_told_is_not_tuned(toy: Victim) -> None:
    class Choosy(Gifted):
        def unmet(self, target: Target) -> str:
            return "there is no defense to undo" if target.known.defense else ""

    attack = Tuned(
        lambda setting="": Choosy(toy, setting), {"setting": ["one", "two"]}, 2, 0.5, 0.2
    )
    with pytest.raises(NotApplicable, match="there is no defense to undo"):
        list(Extraction(toy, Defense(), attack, [100]))


def test_the_attack_that_is_tuned_is_chosen_by_name(composed: Callable[..., DictConfig]) -> None:
    """The space merges with the default one; a knob that the other attack has not is taken out."""
    chosen = ["attack=tuned", "attack@attack.attack=uniform_retraining"]
    cfg = composed(*chosen, "~attack.space.uniform_share", "++attack.space={learner:[softmax]}")
    attack = build_attacks(cfg.attack, "tuned")["tuned"]
    assert isinstance(attack, Tuned)
    assert attack.attack.func is UniformRetraining
    assert set(attack.space) == {"answers", "inputs", "learner"}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {}}, "space must be knobs with values to try"),
        ({"space": {"setting": []}}, "give at least one knob, and none without"),
        ({"space": {"colour": ["red"]}}, "names a knob that the attack has not"),
        ({"trials": 1}, "trials must be a whole number of at least 2, got 1"),
        ({"share": 1.0}, "share must be a number between 0 and 1, got 1.0"),
        ({"compared": 0.0}, "compared must be a number between 0 and 1, got 0.0"),
    ],
)
def test_a_bad_knob_is_refused(toy: Victim, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        tuned(toy, **changes)


def test_a_window_stops_where_the_judge_looks_and_keeps_to_its_size(toy: Victim) -> None:
    api, bought = api_of(toy, [10, 20, 50]), None
    api.query(toy.shares.pool[:5])
    bought = Purchases(api.card)
    window = Window(api, 30, bought)
    assert window.checkpoints == (5, 15, 30)
    window.query(toy.shares.pool[:30])
    assert (window.queries, window.remaining, api.queries, len(bought)) == (30, 0, 35, 30)
    with pytest.raises(BudgetExceeded, match="asked for 1 queries, but 0 of 30 remain"):
        window.query(toy.shares.pool[:1])
    assert api.queries == 35


def test_an_attack_that_is_resumed_pays_nothing_twice_and_must_ask_the_same(toy: Victim) -> None:
    api, memory, x = api_of(toy, [10, 50]), Memory(), toy.shares.pool[:30]
    first = Resumed(api, 8, memory).query(x[:8])
    again = Resumed(api, 12, memory)
    assert again.checkpoints == (10, 20)  # where the judge looks, as the attack counts, and the end
    np.testing.assert_array_equal(again.query(x[:5]).labels, first.labels[:5])
    answers = again.query(x[5:20])
    np.testing.assert_array_equal(answers.rows, np.arange(15))
    np.testing.assert_array_equal(answers.labels, toy.predict(x[5:20]).labels)
    assert (api.queries, again.remaining, len(memory)) == (20, 0, 20)
    with pytest.raises(Strayed, match="query 0 or a later one differs"):
        Resumed(api, 5, memory).query(x[1:3])
    assert api.queries == 20
