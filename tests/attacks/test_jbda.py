"""Jacobian-based augmentation: what is bought first, how far moves go, and towards what."""

from dataclasses import replace

import numpy as np
import pytest

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.jbda import JBDA
from moatbench.defense import Defense
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.search.jacobian import log_slopes, stepped
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.types import Array, Labels
from moatbench.victim import Shares, Victim

WEIGHTS = np.random.default_rng(1).normal(size=(6, 3))
SPACE = InputSpace.box(6)
PAPER = JBDA("labels", "softmax", 20, 30, False, 0.1, 1, 1, False, False)
TR = replace(PAPER, targeted=True, steps=8, copies=3)


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
    x = rng.uniform(-0.7, 0.7, (300, 6))

    def predict(rows: Array) -> Reply:
        return from_outputs(softmax(rows @ WEIGHTS * 3))

    y = predict(x).labels
    shares = Shares(SPACE, ("a", "b", "c"), x[:50], y[:50], x[50:200], x[200:], y[200:])
    return Victim(shares, predict, "softmax")


def bought(victim: Victim, attack: JBDA, checkpoints: tuple[int, ...]) -> Array:
    """(n, d) what the attack asks."""
    defense = Notes()
    api = MeteredAPI(Deployment(victim, defense, stream(0, "d")), checkpoints)
    run = attack.run(Target(api, victim.shares.pool), np.random.default_rng(5))
    for _ in zip(checkpoints, run, strict=False):
        pass
    return np.vstack(defense.asked)


@pytest.mark.parametrize("attack", [PAPER, TR])
def test_a_larger_budget_begins_with_the_questions_of_a_smaller(
    attack: JBDA, victim: Victim
) -> None:
    few, many = (bought(victim, attack, budget) for budget in ((60,), (30, 150)))
    assert (many[:60] == few).all()
    assert SPACE.valid(many).all()


@pytest.mark.parametrize("attack", [PAPER, TR])
def test_seeds_are_bought_and_each_later_input_is_near_an_earlier_one(
    attack: JBDA, victim: Victim
) -> None:
    asked = bought(victim, attack, (100,))
    pool = {row.tobytes() for row in victim.shares.pool}
    assert all(row.tobytes() in pool for row in asked[:20])
    assert not any(row.tobytes() in pool for row in asked[20:])
    for place in range(20, 100):
        far = np.abs(asked[:place] - asked[place]).max(axis=1).min()
        assert 0 < far <= 0.2 + 1e-9  # a tenth of [-1, 1]


class Certain:
    """A surrogate that tells the first column, and how it slopes."""

    def outputs(self, x: Array) -> Array:
        return softmax(np.stack([2 * x[:, 0], -x[:, 0]], axis=1))

    def log_slopes(self, x: Array, labels: Labels) -> Array:
        p = self.outputs(x)
        slopes = np.zeros_like(x)
        slopes[:, 0] = np.where(labels == 0, 3 * p[:, 1], -3 * p[:, 0])
        return slopes


class Bare:
    """The same, without slopes."""

    outputs = Certain.outputs


def test_slopes_are_differences_where_a_surrogate_tells_none() -> None:
    x, labels = np.random.default_rng(0).uniform(-0.9, 0.9, (5, 6)), np.array([0, 1, 0, 1, 1])
    told = log_slopes(Certain(), SPACE, x, labels)
    assert told[:, 0] * 2 == pytest.approx(log_slopes(Bare(), SPACE, x, labels)[:, 0], rel=0.02)


def test_a_step_goes_up_the_class_by_a_share_of_the_range_and_leaves_names() -> None:
    space = InputSpace((Numeric("a", 0, 10), Categorical("c", ("x", "y"), one_hot=False)))
    x, rng = np.array([[5.0, 1.0], [9.9, 0.0]]), np.random.default_rng(0)
    moved = stepped(Bare(), space, x, np.array([0, 0]), 0.1, rng)
    assert moved.tolist() == [[6.0, 1.0], [10.0, 0.0]]


@pytest.mark.parametrize(
    ("knob", "value", "told"),
    [("seeds", 0, "jbda: seeds"), ("reach", 0, "jbda: reach"), ("targeted", 1, "jbda: targeted")],
)
def test_knobs_are_checked(knob: str, value: float, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(PAPER, **{knob: value})
