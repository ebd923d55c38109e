"""Adversarial examples that a surrogate gives away."""

from dataclasses import replace
from math import isnan

import numpy as np
import pytest
from shop import composed

from moatbench.client import Surrogate
from moatbench.compose.limits import check_run
from moatbench.judge.judge import Judge
from moatbench.reply import Reply
from moatbench.space import Categorical, InputSpace
from moatbench.types import Array
from moatbench.victim import Victim

KINDS = ("transfer_untargeted", "transfer_targeted")
NOBODY = (np.array([], dtype=np.intp), np.array([], dtype=np.int64))


def scores(victim: Victim, surrogate: Surrogate, budget: float | None) -> dict[str, float]:
    judge = Judge(victim, np.random.default_rng(0), transfer=budget)
    return judge.assess(surrogate, NOBODY).scores


def test_the_victim_itself_gives_all_of_its_weaknesses_away(toy: Victim) -> None:
    found = scores(toy, Surrogate(toy.predict), 0.5)
    assert found["transfer_untargeted"] > 0.95
    assert found["transfer_targeted"] > 0.8


def test_the_larger_the_budget_the_more_are_fooled(toy: Victim) -> None:
    small, large = (scores(toy, Surrogate(toy.predict), b) for b in (0.01, 0.25))
    assert all(small[kind] < large[kind] for kind in KINDS)


def test_a_model_of_something_else_gives_less_away(toy: Victim) -> None:
    def other(x: Array) -> Reply:
        reply = toy.predict(x)
        return Reply(reply.labels, toy.predict(-x).outputs)

    known = scores(toy, Surrogate(toy.predict), 0.1)
    assert scores(toy, Surrogate(other), 0.1)["transfer_targeted"] < known["transfer_targeted"]


def test_labels_alone_give_a_slope_near_a_boundary_only(toy: Victim) -> None:
    def labels(x: Array) -> Reply:
        return Reply(toy.predict(x).labels)

    found = scores(toy, Surrogate(labels), 0.25)
    assert 0 < found["transfer_untargeted"] <= 1


def test_examples_stay_within_the_budget_and_the_bounds(toy: Victim) -> None:
    asked: list[Array] = []

    def predict(x: Array) -> Reply:
        asked.append(np.array(x))
        return toy.predict(x)

    watched = replace(toy, predict=predict)
    asked.clear()
    judge = Judge(watched, np.random.default_rng(0), transfer=0.1)
    asked.clear()
    judge.assess(Surrogate(toy.predict), NOBODY)
    starts, away, towards = asked
    assert abs(away - starts).max() <= 0.1 * 2 + 1e-12
    assert abs(towards).max() <= 1


def test_without_numbers_there_is_nothing_to_move(toy: Victim) -> None:
    words = InputSpace(tuple(Categorical(f"w{i}", ("a", "b"), one_hot=False) for i in range(4)))
    rows = np.zeros((6, 4))
    shares = replace(
        toy.shares, space=words, x_train=rows, pool=rows, x_test=rows, y_test=np.zeros(6, int)
    )
    found = scores(replace(toy, shares=shares), Surrogate(toy.predict), 0.1)
    assert all(isnan(found[kind]) for kind in KINDS)


def test_it_is_off_unless_it_is_asked_for_and_changes_nothing_else(toy: Victim) -> None:
    surrogate = Surrogate(toy.predict)
    off, on = scores(toy, surrogate, None), scores(toy, surrogate, 0.1)
    assert not set(KINDS) & set(off)
    assert {key: on[key] for key in off} == pytest.approx(off, nan_ok=True, abs=0)


@pytest.mark.parametrize("budget", ["0", "-1", "2", "nan"])
def test_a_budget_that_is_none_is_refused(budget: str) -> None:
    with pytest.raises(ValueError, match="transfer must be"):
        check_run(composed(f"transfer={budget}"))
