"""The first of several attacks that applies, alone and in the wrappers that need one."""

from collections.abc import Callable

import pytest
from omegaconf import DictConfig

from moatbench.attack import Attack
from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.attacks.equation_solving import EquationSolving
from moatbench.compose.build import build_attacks, build_defense
from moatbench.randomness import stream
from moatbench.runner.extract import Extraction
from moatbench.strategies.first_applicable import FirstApplicable
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.ensembles import gradient_boosting
from moatbench.victims.linear import softmax

Compose = Callable[..., DictConfig]


@pytest.fixture(scope="module")
def iris() -> Victim:
    victim: Victim = softmax(bundled("iris"), stream(0, "victim"))
    return victim


@pytest.fixture(scope="module")
def boosting() -> Victim:
    shape = {"trees": 50, "leaves": 8, "learning_rate": 0.1}
    victim: Victim = gradient_boosting(bundled("breast_cancer"), stream(0, "victim"), **shape)
    return victim


def attack(composed: Compose, name: str, *knobs: str) -> Attack:
    return build_attacks(composed(f"attack={name}", *knobs).attack, name)[name]


def curve(
    composed: Compose, victim: Victim, defense: str, name: str, *queries: int, knobs: str = ""
) -> list[dict[str, float]]:
    """The metrics of an attack at each number of queries."""
    wall = build_defense(composed(f"defense={defense}", *knobs.split()).defense)
    points = Extraction(victim, wall, attack(composed, name), list(queries), price=0.0)
    return [dict(point.metrics) for point in points]


@pytest.mark.parametrize(
    ("victim", "same"), [("iris", "equation_solving"), ("boosting", "ensemble_expansion")]
)
def test_it_draws_the_curve_of_the_one_that_applies(
    composed: Compose, request: pytest.FixtureRequest, victim: str, same: str
) -> None:
    model = request.getfixturevalue(victim)
    ours, alone = (curve(composed, model, "none", a, 30, 120) for a in ("first_applicable", same))
    for metric in ("fidelity_test", "tv_test", "fidelity_uniform", "tv_uniform"):
        assert [point[metric] for point in ours] == [point[metric] for point in alone]


def test_answers_restored_from_mad_give_boosting_away(composed: Compose, boosting: Victim) -> None:
    (naive,) = curve(composed, boosting, "mad", "ensemble_expansion", 1000)
    (aware,) = curve(composed, boosting, "mad", "inversion", 1000)
    assert naive["fidelity_test"] < 0.5
    assert naive["fidelity_uniform"] < 0.5
    assert aware["fidelity_test"] > 0.95
    assert aware["fidelity_uniform"] > 0.94


def test_answers_with_one_origin_tell_which_way_round_the_others_are(
    composed: Compose, boosting: Victim
) -> None:
    """Below epsilon 1 most answers of two classes have two origins, mirrored."""
    (found,) = curve(composed, boosting, "mad", "inversion", 2000, knobs="defense.mad.epsilon=0.9")
    assert found["fidelity_test"] > 0.9
    assert found["fidelity_uniform"] > 0.9


def test_points_of_a_grid_give_boosting_away(composed: Compose, boosting: Victim) -> None:
    (found,) = curve(composed, boosting, "grid", "on_grid", 1000)
    assert found["fidelity_test"] > 0.95
    assert found["fidelity_uniform"] > 0.95


def test_where_none_applies_it_says_why_the_last_does_not(composed: Compose) -> None:
    victim: Victim = softmax(bundled("iris"), stream(0, "victim"))
    one = FirstApplicable({"a": EnsembleExpansion(2000, 8), "b": EquationSolving(True)})
    with pytest.raises(NotApplicable, match="labels only"):
        list(Extraction(victim, build_defense(composed("defense=label_only").defense), one, [9]))


def test_it_claims_to_withstand_what_each_of_them_does() -> None:
    solving, expansion = EquationSolving(True), EnsembleExpansion(2000, 8)
    assert FirstApplicable({"a": solving, "b": expansion}).against == {"quantises"}
    assert FirstApplicable({"a": solving}).against == solving.against


def test_one_of_none_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one, got none"):
        FirstApplicable({})
