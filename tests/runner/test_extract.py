"""One run: checkpoints, streams, the judge, the suite."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import sleep

import numpy as np
import pytest

from moatbench.attack import Attack, Needs, Target
from moatbench.client import BudgetExceeded, Surrogate
from moatbench.defense import Defense
from moatbench.isolation.held import PROBES
from moatbench.judge.judge import Assessment, Judge
from moatbench.learners.published import ignorant
from moatbench.reply import Reply
from moatbench.runner.extract import BrokenAttack, Extraction, extract
from moatbench.runner.suite import Doubted, Failed, Finished, Point, Skipped, run_attacks
from moatbench.types import Array, Generator, Labels, Rows
from moatbench.victim import NotApplicable, Victim


@dataclass(frozen=True)
class Overspender(Attack):
    """Asks `extra` rows too many before it yields."""

    extra: int

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        for checkpoint in api.checkpoints:
            api.query(api.card.space.sample(checkpoint - api.queries + self.extra, rng))
            yield ignorant(api.card)


@dataclass(frozen=True)
class Perfect(Attack):
    """Was told the model."""

    victim: Victim
    yields: int = 99

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        for checkpoint in api.checkpoints[: self.yields]:
            api.query(api.card.space.sample(checkpoint - api.queries, rng))
            yield Surrogate(self.victim.predict)


class Impossible(Overspender):
    """Needs what no victim has."""

    needs = Needs(families=frozenset({"oracle"}))


def test_the_curve_has_a_point_at_each_checkpoint(toy: Victim) -> None:
    curve = list(extract(toy, Defense(), Perfect(toy), checkpoints=[3, 10]))
    assert [p.queries for p in curve] == [3, 10]


def test_the_victim_itself_is_a_perfect_surrogate(toy: Victim) -> None:
    (point,) = extract(toy, Defense(), Perfect(toy), checkpoints=[3])
    assert point.metrics["fidelity_test"] == point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_test"] == point.metrics["tv_uniform"] == 0


def test_an_attack_that_passes_a_checkpoint_is_broken(toy: Victim) -> None:
    with pytest.raises(BrokenAttack, match=r"yielded at 4 queries.*next is 3"):
        list(extract(toy, Defense(), Overspender(1), checkpoints=[3, 10]))


def test_an_attack_that_ends_early_is_broken(toy: Victim) -> None:
    with pytest.raises(BrokenAttack, match="ended at 3 queries"):
        list(extract(toy, Defense(), Perfect(toy, yields=1), checkpoints=[3, 10]))


def test_nobody_asks_beyond_the_budget(toy: Victim) -> None:
    with pytest.raises(BudgetExceeded, match="asked for 11 queries, but 10 of 10 remain"):
        list(extract(toy, Defense(), Overspender(1), checkpoints=[10]))


def test_an_attack_that_does_not_apply_spends_nothing(toy: Victim) -> None:
    with pytest.raises(NotApplicable, match="needs a model of oracle; the victim's is softmax"):
        list(extract(toy, Defense(), Impossible(0), checkpoints=[10]))


def test_the_judge_uses_ten_thousand_uniform_points(toy: Victim) -> None:
    uniform = Judge(toy, np.random.default_rng(0)).samples[1]
    assert uniform.name == "uniform"
    assert len(uniform.x) >= 10_000
    assert toy.space.valid(uniform.x).all()


class SlowJudge(Judge):
    """Takes its time."""

    def assess(self, surrogate: Surrogate, told: tuple[Rows, Labels]) -> Assessment:
        sleep(0.5)
        return super().assess(surrogate, told)


def test_the_judge_costs_the_attacker_no_time(toy: Victim) -> None:
    judge = SlowJudge(toy, np.random.default_rng(0))
    seconds = [p.seconds for p in Extraction(toy, Defense(), Perfect(toy), [3, 10], judge=judge)]
    assert 0 < seconds[0] < seconds[1] < 0.5


def test_the_judge_asks_a_surrogate_for_each_sample_once(toy: Victim) -> None:
    asked: list[int] = []

    def counted(x: Array) -> Reply:
        asked.append(len(x))
        return toy.predict(x)

    model = replace(toy, predict=counted)
    asked.clear()  # a victim is asked when it is made
    judge = Judge(toy, np.random.default_rng(0))
    points = list(Extraction(toy, Defense(), Perfect(model), [3, 10], judge=judge))
    assert points[-1].metrics["fidelity_defended"] == 1
    assert points[-1].hits.all()
    held = 2 * PROBES  # what is not ours is asked some rows when it yields, and at the end
    assert sum(asked) == 2 * (held + sum(len(sample.x) for sample in judge.samples))


def test_a_suite_survives_what_fails_and_names_what_does_not_apply(toy: Victim) -> None:
    attacks = {"bad": Overspender(1), "never": Impossible(0), "good": Perfect(toy)}
    events = list(run_attacks(toy, Defense(), attacks, checkpoints=[3, 10], seed=0))
    assert [type(e) for e in events] == [Failed, Skipped, Doubted, Point, Point, Finished]
    assert [e.attack for e in events] == ["bad", "never", *4 * ["good"]]


def test_the_seed_decides_the_curve(toy: Victim) -> None:
    def metrics(seed: int) -> list[dict[str, float]]:
        run = extract(toy, Defense(), Perfect(toy), checkpoints=[50, 100], seed=seed)
        return [dict(p.metrics) for p in run]

    assert str(metrics(3)) == str(metrics(3))
    assert str(metrics(3)) != str(metrics(4))


def test_an_attack_is_never_told_the_secrets_of_a_deployment(toy: Victim) -> None:
    told: list[bool] = []

    @dataclass
    class Keyed(Defense):
        def deploy(self, victim: Victim, rng: Generator) -> None:
            self.key = rng.bytes(8)

    @dataclass(frozen=True)
    class Curious(Overspender):
        extra: int = 0

        def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
            told.append(hasattr(target.known.defense, "key"))
            return super().run(target, rng)

    defense = Keyed()
    for _ in range(2):
        list(extract(toy, defense, Curious(), checkpoints=[5]))
    assert told == [False, False]
