"""The label treatment top-1: whatever is done to the confidences, the labels are as told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Attack, Known, Needs, Target
from moatbench.attacks.top1 import Labels, Top1
from moatbench.compose.build import build_attacks, build_defense
from moatbench.defense import Defense
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.stack import Stack
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax

Compose = Callable[..., DictConfig]
WITHIN = {
    "top1": "adaptive_retraining",
    "top1_uniform": "uniform_retraining",
    "top1_line_search": "line_search_retraining",
    "top1_pool": "pool_retraining",
}


@dataclass(frozen=True)
class Parts:
    """Parts by the name of their config."""

    compose: Compose

    def attack(self, name: str, *overrides: str) -> Attack:
        return build_attacks(self.compose(f"attack={name}", *overrides).attack, name)[name]

    def defense(self, choice: str) -> Defense:
        return build_defense(self.compose(f"defense={choice}").defense)


@pytest.fixture
def parts(composed: Compose) -> Parts:
    return Parts(composed)


@pytest.fixture(scope="module")
def iris() -> Victim:
    victim: Victim = softmax(bundled("iris"), stream(0, "victim"))
    return victim


class Pretender(Defense):
    """Changes nothing, and counts as a perturbation."""


def curve(victim: Victim, defense: Defense, attack: Attack) -> list[Checkpoint]:
    return list(Extraction(victim, defense, attack, [5, 20, 60], price=0.01))


def stolen(points: list[Checkpoint]) -> list[dict[str, Any]]:
    """All that the attack did and won; what honest customers saw is another matter."""
    won = ("fidelity", "tv", "accuracy", "error")
    return [
        {name: value for name, value in p.metrics.items() if name.startswith(won)}
        | {"asked": (p.queries, p.refused, p.dollars), "fit": (p.converged, p.note)}
        | {"hits": p.hits.tobytes()}
        | {name: value.tobytes() for name, value in p.parameters.items()}
        for p in points
    ]


def refusal(victim: Victim, defense: Defense, attack: Attack) -> str:
    with pytest.raises(NotApplicable) as told:
        next(iter(Extraction(victim, defense, attack, [5])))
    return str(told.value)


@pytest.mark.parametrize(
    ("name", "defense"),
    [
        ("top1", "reverse_sigmoid"),
        ("top1", "mad_argmax"),
        ("top1", "modelguard_w"),
        ("top1", "modelguard_s"),
        ("top1", "shuffle"),
        ("top1_uniform", "reverse_sigmoid"),
        ("top1_line_search", "reverse_sigmoid"),
        ("top1_pool", "reverse_sigmoid"),
    ],
)
def test_before_a_label_preserving_defense_it_draws_the_curve_of_label_only(
    iris: Victim, parts: Parts, name: str, defense: str
) -> None:
    points = curve(iris, parts.defense(defense), parts.attack(name))
    floor = curve(iris, parts.defense("label_only"), parts.attack(WITHIN[name]))
    np.testing.assert_equal(stolen(points), stolen(floor))


def test_the_attack_within_would_have_drawn_another_curve(iris: Victim, parts: Parts) -> None:
    defense = parts.defense("reverse_sigmoid")
    points = curve(iris, defense, parts.attack("top1"))
    assert stolen(points) != stolen(curve(iris, defense, parts.attack("adaptive_retraining")))


def test_any_attack_can_be_the_one_within(iris: Victim, parts: Parts) -> None:
    defense = parts.defense("reverse_sigmoid")
    points = curve(iris, defense, parts.attack("top1", "attack@attack.attack=extract_and_test"))
    floor = curve(iris, parts.defense("label_only"), parts.attack("extract_and_test"))
    np.testing.assert_equal(stolen(points), stolen(floor))


def test_labels_only_are_left_to_the_attack_within(iris: Victim, parts: Parts) -> None:
    told = refusal(iris, parts.defense("label_only"), parts.attack("top1"))
    assert told == "the API answers labels only: AdaptiveRetraining is the same attack"


@pytest.mark.parametrize("defense", ["none", "refuse_invalid", "proof_of_work", "[quota,grid]"])
def test_confidences_that_nothing_touches_are_left_alone(
    iris: Victim, parts: Parts, defense: str
) -> None:
    told = refusal(iris, parts.defense(defense), parts.attack("top1"))
    assert told == "nothing touches the confidences"


def test_an_attack_that_needs_confidences_cannot_wear_it(toy: Victim) -> None:
    class Greedy(Attack):
        needs = Needs(confidences=True)

        def run(self, *_: Any) -> Any:
            raise NotImplementedError

    told = refusal(toy, Pretender(), Top1(Greedy()))
    assert told == "needs confidences, and the API answers labels only"


def test_labels_are_all_that_passes(toy: Victim) -> None:
    api = MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), (10,))
    view = Labels(api)
    answers = view.query(toy.shares.x_test[:6])
    np.testing.assert_array_equal(answers.labels, toy.predict(toy.shares.x_test[:6]).labels)
    assert answers.outputs is None
    assert (view.checkpoints, view.queries, api.queries) == ((10,), 6, 6)
    assert not view.card.confidences


def test_the_attack_within_is_told_what_stands_before_the_victim(toy: Victim) -> None:
    told: list[Known] = []

    class Curious(Attack):
        oracle = True

        def run(self, target: Target, rng: Any) -> Any:
            told.append(target.known)

    attack, known = Top1(Curious()), Known(Stack({}))
    api = MeteredAPI(Deployment(toy, Defense(), stream(0, "d")), (10,))
    attack.run(Target(api, toy.shares.pool, known), stream(0, "attack"))
    assert told == [known]
    assert attack.oracle
