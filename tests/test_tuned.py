"""An attack that searches among its settings, within its budget."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from moatbench.api import BudgetExceeded, Deployment, PredictionAPI
from moatbench.attack import Attack, Purchases, Surrogate, ignorant
from moatbench.attacks.tuned import Tuned
from moatbench.defense import Defense
from moatbench.extract import Extraction
from moatbench.types import Array, Generator
from moatbench.victim import Victim
from moatbench.window import Window


def api_of(victim: Victim, checkpoints: list[int]) -> PredictionAPI:
    return PredictionAPI(Deployment(victim, Defense(), np.random.default_rng(0)), checkpoints)


@dataclass(frozen=True)
class Gifted(Attack):
    """Buys uniform answers; with the right setting, it simply knows the victim."""

    victim: Victim
    setting: str

    def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
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
    points = list(Extraction(toy, Defense(), tuned(toy), [5, 60, 61, 100]))
    assert [p.queries for p in points] == [5, 60, 61, 100]
    assert points[0].metrics["fidelity_test"] < 1
    assert points[-1].metrics["fidelity_test"] == 1
    assert points[-1].note == "right"


def test_a_setting_that_was_better_is_not_given_up(toy: Victim) -> None:
    """The last run is worse than a trial: the trial's surrogate stays."""
    times = []

    def fading(setting: str = "wrong") -> Attack:
        return Gifted(toy, setting)

    class Fading(Gifted):
        def run(self, api: PredictionAPI, pool: Array, rng: Generator) -> Iterator[Surrogate]:
            times.append(self.setting)
            for surrogate in Gifted.run(self, api, pool, rng):
                yield surrogate if len(times) < 3 else ignorant(api.card)

    attack = Tuned(
        lambda setting="wrong": Fading(toy, setting), {"setting": ["wrong", "right"]}, 2, 0.5, 0.2
    )
    (point,) = Extraction(toy, Defense(), attack, [100])
    assert times[-1] == "right"
    assert point.metrics["fidelity_test"] == 1
    assert fading().unmet(api_of(toy, [1]).card, np.empty((0, 4))) == ""


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"space": {}}, "space is empty"),
        ({"space": {"setting": []}}, "space is empty"),
        ({"space": {"colour": ["red"]}}, "names a knob that the attack has not"),
        ({"trials": 1}, "trials must be a whole number from 2 on, got 1"),
        ({"share": 1.0}, "share must lie between 0 and 1, got 1.0"),
        ({"compared": 0.0}, "compared must lie between 0 and 1, got 0.0"),
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
