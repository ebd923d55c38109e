"""Active learning of a pool: what each selection asks, and that it needs a network or a learner."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from shop import attack_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.active import SELECT, Active
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.search.bandit import Bandit
from moatbench.search.selection import SELECTIONS
from moatbench.space import InputSpace
from moatbench.strategies.restored import Replayed
from moatbench.types import Array, Labels
from moatbench.victim import Shares, Victim

WEIGHTS = np.random.default_rng(1).normal(size=(6, 3))
SPACE = InputSpace.box(6)


class Notes(Defense):
    """Answers the truth, and keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[Array] = []

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        self.asked.append(x)
        return reply


@pytest.fixture(scope="module")
def victim() -> Victim:
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (300, 6)).round(3)

    def predict(rows: Array) -> Reply:
        return from_outputs(softmax(rows @ WEIGHTS * 3))

    y = predict(x).labels
    return Victim(
        Shares(SPACE, ("a", "b", "c"), x[:50], y[:50], x[50:200], x[200:], y[200:]),
        predict,
        "softmax",
    )


def bought(victim: Victim, attack: Active, checkpoints: tuple[int, ...]) -> Array:
    """(n, d) what the attack asks."""
    defense = Notes()
    api = MeteredAPI(Deployment(victim, defense, stream(0, "d")), checkpoints)
    run = attack.run(Target(api, victim.shares.pool), np.random.default_rng(5))
    for _ in zip(checkpoints, run, strict=False):
        pass
    return np.vstack(defense.asked)


def made(select: str, mixed: bool = True, uniform: float = 0.1) -> Active:
    return Active(select, "confidences", "softmax", 4, 0.5, uniform, mixed)


@pytest.mark.parametrize("select", SELECT)
def test_a_larger_budget_begins_with_the_questions_of_a_smaller(
    select: str, victim: Victim
) -> None:
    few, many = (bought(victim, made(select), budget) for budget in ((40,), (20, 60)))
    assert few.shape == (40, 6)
    assert many.shape == (60, 6)
    assert (many[:40] == few).all()
    assert SPACE.valid(many).all()


@pytest.mark.parametrize("select", ["random", "kcenter", "bandit"])
def test_a_row_of_the_pool_is_asked_once(select: str, victim: Victim) -> None:
    asked = bought(victim, made(select, mixed=False, uniform=0), (100,))
    pool = {row.tobytes() for row in victim.shares.pool}
    own = [row.tobytes() for row in asked if row.tobytes() in pool]
    assert len(own) == len(set(own)) == 100


@pytest.mark.parametrize("select", ["entropy", "bandit"])
def test_a_pool_that_is_spent_is_followed_by_uniform_rows(select: str, victim: Victim) -> None:
    """Found: a bandit asked mixes before the pool was spent, and 11 rows of it never."""
    asked = bought(victim, made(select, mixed=False, uniform=0), (400,))
    pool = {row.tobytes() for row in victim.shares.pool}
    own = [row.tobytes() in pool for row in asked]
    assert all(own[:140])  # in the round after, the pool ends
    assert sum(own) == 150


class Certain:
    """A surrogate that tells the first column, and how it slopes."""

    def outputs(self, x: Array) -> Array:
        return softmax(np.stack([x[:, 0], -x[:, 0]], axis=1))

    def slopes(self, x: Array, towards: Labels, away: Labels) -> Array:
        slopes = np.zeros_like(x)
        slopes[:, 0] = 2
        return slopes


@pytest.mark.parametrize("select", ["entropy", "margin", "dfal"])
def test_what_is_in_doubt_comes_first(select: str) -> None:
    x = np.zeros((7, 2))
    x[:, 0] = [3, -0.1, 2, 0.2, -4, 0.01, 1]
    assert SELECTIONS[select](Certain(), x, x[:0], 3).tolist() == [5, 1, 3]


def test_the_most_spread_of_those_in_doubt() -> None:
    x = np.zeros((8, 2))
    x[:, 0] = [0.3, 0.31, -0.3, -0.29, 0.28, 0.05, 5, -5]
    chosen = SELECTIONS["dfal_kcenter"](Certain(), x, np.zeros((1, 2)), 2)
    assert {6, 7}.isdisjoint(chosen.tolist())
    assert x[chosen, 0].prod() < 0


def test_a_bandit_prefers_the_arm_that_pays() -> None:
    rng = np.random.default_rng(0)
    pool = np.vstack([rng.normal(-3, 0.1, (900, 2)), rng.normal(3, 0.1, (900, 2))])
    bandit = Bandit(pool, rng)

    def rounds() -> Iterator[float]:
        for _ in range(10):
            x = bandit.draw(40)
            right = x[:, :1] > 0
            told = np.where(right, [[1.0, 0.0]], [[0.5, 0.5]])  # the right half pays: it is sure
            bandit.learn(x, told, np.array([0.5, 0.5]), np.full((40, 2), 0.5))
            yield float((x[:, 0] > 0).mean())

    shares = list(rounds())
    assert np.mean(shares[-3:]) > 0.6
    assert np.mean(shares[-3:]) > shares[0]


def test_a_bandit_gives_all_rows_however_badly_the_last_have_paid() -> None:
    pool = np.concatenate([np.zeros(30), np.ones(30)])[:, None]
    bandit = Bandit(pool, np.random.default_rng(0))
    bandit._preference = np.array([0.0, 1e4])  # so far apart that the other's odds are 0
    assert len(bandit.draw(20)) == 20
    assert sorted(bandit.draw(50)[:, 0]) == [0.0] * 30 + [1.0] * 10
    assert bandit.draw(5).shape == (0, 1)


def test_without_a_network_it_wants_a_learner(victim: Victim) -> None:
    api = MeteredAPI(Deployment(victim, Notes(), stream(0, "d")), (10,))
    target = Target(api, victim.shares.pool)
    assert "attack.learner=softmax" in attack_of("active").unmet(target)
    assert made("random").unmet(target) == ""


@pytest.mark.parametrize("learner", ["softmax", "net"])
def test_learning_from_bought_answers_is_the_run_without_its_questions(
    learner: str, victim: Victim
) -> None:
    attack = Active("kcenter", "confidences", learner, 4, 0.5, 0.1, mixed=True)
    api = MeteredAPI(Deployment(victim, Notes(), stream(0, "d")), (30,))
    target = Target(api, victim.shares.pool)
    answers = api.query(victim.shares.pool[:30])
    again = Target(Replayed(api.card, answers, 30), victim.shares.pool)
    (ran,) = attack.run(again, np.random.default_rng(5))
    learnt = attack.learn(target, answers, np.random.default_rng(5))
    assert learnt is not None
    x = victim.shares.x_test
    np.testing.assert_array_equal(learnt.predict(x).outputs, ran.predict(x).outputs)
    assert learnt.note == ran.note


def test_a_warm_network_goes_on_with_other_answers_or_begins_anew_with_its_loss(
    victim: Victim,
) -> None:
    attack = Active("kcenter", "confidences", "net", 4, 0.5, 0.1, mixed=True)
    api = MeteredAPI(Deployment(victim, Notes(), stream(0, "d")), (60,))
    answers = api.query(victim.shares.pool[:60])
    assert answers.outputs is not None
    true = answers.outputs
    flat = answers._replace(outputs=0.5 * true + 0.5 / 3)
    target, rng = Target(api, victim.shares.pool), np.random.default_rng(5)
    last = attack.learn(target, flat, rng)
    assert last is not None
    assert last.again is not None
    before = last.predict(answers.x).outputs

    def gap(surrogate: Surrogate) -> float:
        said = surrogate.predict(answers.x).outputs
        assert said is not None
        return float(np.abs(said - true).mean())

    on, anew = last.again(answers, False), last.again(answers, True)
    assert gap(on) < 0.5 * gap(last)
    assert gap(anew) < 0.5 * gap(last)
    assert gap(on) != gap(anew)
    assert (last.note, on.note, anew.note) == (last.note,) * 3, "the loss stays"
    np.testing.assert_array_equal(last.predict(answers.x).outputs, before)
    cold = replace(attack, warm=False).learn(target, flat, np.random.default_rng(5))
    assert cold is not None
    assert cold.again is None


@pytest.mark.parametrize("anew", [False, True])
def test_a_loss_that_coarse_answers_chose_does_not_stay_for_exact_ones(
    anew: bool, victim: Victim
) -> None:
    attack = Active("kcenter", "confidences", "net", 4, 0.5, 0.1, mixed=True)
    api = MeteredAPI(Deployment(victim, Notes(), stream(0, "d")), (60,))
    answers = api.query(victim.shares.pool[:60])
    assert answers.outputs is not None
    p = np.where(np.random.default_rng(0).random((60, 3)) < 0.3, 0, answers.outputs)
    p[np.arange(60), answers.labels] = answers.outputs.max(axis=1)
    coarse = answers._replace(outputs=p / p.sum(axis=1, keepdims=True))
    last = attack.learn(Target(api, victim.shares.pool), coarse, np.random.default_rng(5))
    assert last is not None
    assert last.again is not None
    assert "cross_entropy" in last.note
    assert "l1_log" in last.again(answers, anew).note


def test_an_mlp_goes_on_from_what_chose_the_queries_and_learns_from_none_alone(
    victim: Victim,
) -> None:
    attack = Active("kcenter", "confidences", "mlp", 4, 0.5, 0.1, mixed=True)
    api = MeteredAPI(Deployment(victim, Notes(), stream(0, "d")), (30,))
    answers = api.query(victim.shares.pool[:30])
    assert attack.learn(Target(api, victim.shares.pool), answers, np.random.default_rng(5)) is None
