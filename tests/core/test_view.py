"""Wrappers around an API: what they cost is metered behind, and its checkpoints are met exactly."""

import numpy as np
import pytest

from moatbench.api import Deployment, MeteredAPI
from moatbench.client import Answers, BudgetExceeded, InvalidQuery
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.strategies.view import View, inner_checkpoints
from moatbench.types import Array, Rows
from moatbench.victim import Victim


class Wasteful(View):
    """Asks each row as often as it is paid for, and keeps the first answer."""

    def ask(self, x: Array, behind: Rows, account: str) -> Answers:
        answers = self._api.query(np.repeat(x, behind, axis=0), account)
        first = np.cumsum(behind) - behind
        assert answers.outputs is not None
        return Answers(
            answers.x[first], np.arange(len(x)), answers.labels[first], answers.outputs[first], None
        )


@pytest.mark.parametrize("cost", [1, 1.5, 3, 7, 1000])
@pytest.mark.parametrize("checkpoints", [(1,), (5, 6, 7, 100), (20, 60, 150)])
def test_checkpoints_behind_are_met_exactly_and_none_is_lost(
    checkpoints: tuple[int, ...], cost: float
) -> None:
    inner, ends = inner_checkpoints(checkpoints, cost)
    assert len(inner) == len(checkpoints)
    assert (np.diff((0, *inner)) >= 1).all()
    assert (np.diff(ends) >= 1).all()
    assert ends[list(inner)].tolist() == list(checkpoints)


def test_a_query_costs_what_was_asked_for() -> None:
    inner, ends = inner_checkpoints((20, 60, 150), 4)
    assert inner == (5, 15, 37)
    assert set(np.diff(ends)[:15]) == {4}


def test_a_query_costs_no_less_than_one() -> None:
    with pytest.raises(ValueError, match="at least one"):
        inner_checkpoints((10,), 0.5)


def test_queries_are_metered_and_billed_behind(toy: Victim) -> None:
    api = MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), (10, 30), price=0.5)
    view = Wasteful(api, 3)
    assert view.checkpoints == (3, 10)
    view.query(toy.shares.x_test[:3])
    assert (view.queries, api.queries) == (3, 10)
    assert view.dollars == api.dollars == 5.0
    with pytest.raises(BudgetExceeded, match="7 of 10 remain"):
        view.query(toy.shares.x_test[:8])
    with pytest.raises(InvalidQuery, match="outside"):
        view.query(np.full((1, 4), 9.0))
    assert api.queries == 10
