"""A control: answers mixed with others under a key, of which no equation stands."""

import numpy as np
import pytest
from shop import defense_of

from moatbench.api import Deployment
from moatbench.defenses.keyed_mixture import KeyedMixture, mixed
from moatbench.randomness import stream
from moatbench.runner.checks.standing import stand_of
from moatbench.testing import check_defense
from moatbench.victim import Victim


@pytest.mark.parametrize("epsilon", [0.1, 1.0, 2.0])
def test_the_budget_is_spent_and_the_label_stays(epsilon: float) -> None:
    rng = np.random.default_rng(0)
    true, drawn = rng.dirichlet(np.ones(5), 300), rng.random((300, 5))
    told = mixed(true, drawn, epsilon)
    cost = np.abs(told - true).sum(axis=1)
    assert (told.argmax(axis=1) == true.argmax(axis=1)).all()
    assert (cost <= epsilon + 1e-12).all()
    whole = np.abs(mixed(true, drawn, 2.0) - true).sum(axis=1) >= epsilon
    np.testing.assert_allclose(cost[whole], epsilon)
    assert stand_of(true, told)[0].max() == 0


def test_a_repeat_is_told_the_same(toy: Victim) -> None:
    deployment = Deployment(toy, KeyedMixture(1.0, 1e-6), stream(0, "defense"))
    x = toy.space.sample(20, np.random.default_rng(0))
    one, two = (deployment.answer(x, name).outputs for name in ("a", "b"))
    assert one is not None
    assert two is not None
    np.testing.assert_array_equal(one, two)


def test_the_contract_holds(toy: Victim) -> None:
    assert check_defense(toy, defense_of("keyed_mixture")) == ""


@pytest.mark.parametrize(("epsilon", "grid"), [(3.0, 1e-6), (1.0, 0.0)])
def test_bad_knobs_are_told(epsilon: float, grid: float) -> None:
    with pytest.raises(ValueError, match="keyed_mixture: "):
        KeyedMixture(epsilon, grid)
