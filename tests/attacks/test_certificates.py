"""What a certificate of a sum of trees claims holds, and it says of which inputs."""

from typing import Any

import numpy as np
import pytest
from shop import by_hand

from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.defenses.confidence_threshold import ConfidenceThreshold
from moatbench.formats.answers import form_of
from moatbench.models.forward import softmax
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.expansion import book
from moatbench.space import InputSpace
from moatbench.traits import NOTHING
from moatbench.types import Array
from moatbench.victim import Victim
from moatbench.victims.ensembles import gradient_boosting

RARE = 0.92  # of the first feature: 4 % of uniform inputs lie above


def played(victim: Victim, defense: Defense, *checkpoints: int, **knobs: Any) -> list[Checkpoint]:
    attack = EnsembleExpansion(**({"draws": 100, "width": 8} | knobs))
    return list(Extraction(victim, defense, attack, checkpoints, seed=0))


def with_a_rare_corner(*corner: float) -> Victim:
    """Make a small sum of terms, but for these probabilities where the first feature is large."""

    def predict(x: Array) -> Reply:
        z = np.column_stack([np.zeros(len(x)), 1.0 * (x[:, 0] > 0), 0.5 * (x[:, 1] > 0.2)])
        return from_outputs(np.where(x[:, :1] > RARE, np.array(corner), softmax(z)))

    space = InputSpace.box(2)
    x = space.sample(400, np.random.default_rng(0))
    return by_hand(predict, x, (100, 200), space, ("a", "b", "c"), "gradient_boosting")


def claimed(point: Checkpoint) -> tuple[float, float]:
    clean, unseen = point.parameters["certificate"]
    return float(clean), float(unseen)


def test_labels_without_confidences_that_the_sum_has_otherwise_leave_no_certificate() -> None:
    victim = with_a_rare_corner(0.98, 0.012, 0.008)  # the sum of the others says b there
    (point,) = played(victim, ConfidenceThreshold(0.02, "entry"), 600)
    assert point.metrics["fidelity_uniform"] < 0.98
    assert claimed(point) == (0, 1)
    assert "labels without all confidences not explained" in point.note
    assert "no surprise" not in point.note


def test_a_certificate_says_how_many_draws_were_told_in_part() -> None:
    victim = with_a_rare_corner(0.012, 0.98, 0.008)
    (point,) = played(victim, ConfidenceThreshold(0.02, "entry"), 600)
    clean, unseen = claimed(point)
    assert 0 < clean < 600
    assert f"at most {unseen:.2%} of inputs whose confidences are told whole are un" in point.note
    (withheld,) = point.parameters["withheld"]
    assert 0.01 < withheld < 0.08
    assert f"; {withheld:.1%} of the draws were not" in point.note


def test_whole_answers_are_certified_without_a_condition() -> None:
    (point,) = played(with_a_rare_corner(0.9, 0.05, 0.05), Defense(), 600)
    assert point.metrics["fidelity_uniform"] == 1
    assert claimed(point)[0] > 0
    assert point.parameters["withheld"] == 0
    assert point.note.endswith("of such inputs are unseen (95%)")


class NothingThere(Defense):
    """Refuses the rare corner."""

    traits = NOTHING

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply.refuse(x[:, 0] > RARE)


def test_refused_draws_are_told_of() -> None:
    (point,) = played(with_a_rare_corner(0.9, 0.05, 0.05), NothingThere(), 600)
    assert claimed(point)[0] > 0
    (withheld,) = point.parameters["withheld"]
    assert 0.01 < withheld < 0.08
    assert f"; {withheld:.1%} of the draws were not" in point.note


def test_single_precision_of_several_classes_is_no_missing_term() -> None:
    def predict(x: Array) -> Reply:
        over = x[:, :4] > np.array([0.1, -0.2, 0.3, 0.0])
        z = np.column_stack([1.3 * over[:, 0] * over[:, 1], 0.7 * over[:, 2], 0.9 * over[:, 3]])
        told = softmax(z - 0.31 * over[:, [1]]).astype(np.float32)
        return form_of(told, None, ("a", "b", "c")).reply(told)

    space = InputSpace.box(4)
    x = space.sample(400, np.random.default_rng(0))
    victim = by_hand(predict, x, (100, 200), space, ("a", "b", "c"), "gradient_boosting")
    (point,) = played(victim, Defense(), 800)
    assert "no surprise beyond rounding errors" in point.note
    assert len(point.parameters["terms"]) < 12


def test_a_checkpoint_within_a_batch_that_contradicts_the_sum_does_not_serve_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(book, "DIVERGED", 1e-6)
    (within,) = played(with_a_rare_corner(0.9, 0.05, 0.05), Defense(), 135)
    assert "answers contradict each other as those of no sum of trees do" in within.note
    assert "certificate" not in within.parameters


def boosted() -> Victim:
    rng = np.random.default_rng(0)
    x: Array = rng.uniform(0, 1, (400, 3))
    y = (rng.random(400) < np.where(x[:, 0] > 0.4, 0.9, 0.3 * (x[:, 1] > 0.6))).astype(np.int64)
    columns = tuple(Column(f"f{i}", x[:, i], None) for i in range(3))
    data = Dataset(Table("made", columns, y, ("no", "yes")))
    victim: Victim = gradient_boosting(
        data, stream(0, "victim"), trees=5, leaves=4, learning_rate=0.3
    )
    return victim


@pytest.mark.parametrize("share", [0.03, 0.06])
def test_rows_of_which_the_label_alone_is_told_are_in_no_false_certificate(share: float) -> None:
    victim = boosted()
    x = victim.space.sample(4000, np.random.default_rng(1))
    reply = victim.predict(x)
    assert reply.outputs is not None
    top = reply.outputs.max(axis=1)
    levels = np.unique(top)
    least = float(levels[np.searchsorted(levels, np.quantile(top, share), "right")])
    (point,) = played(victim, ConfidenceThreshold(least, "row"), 1000)
    wrong = 1 - point.metrics["fidelity_uniform"]
    if wrong > claimed(point)[1]:
        pytest.fail(f"{wrong:.2%} are wrong: {point.note}")
    assert "of the draws were not" in point.note or "not explained" in point.note


def shares_of_three(x: Array) -> Array:
    """The shares of a forest of three trees."""
    over = x[:, :4] > np.array([0.1, -0.2, 0.3, 0.5])
    first = np.where(over[:, [0]], [0.62, 0.3, 0.08], [0.1, 0.2, 0.7])
    second = np.where(over[:, [1]] & over[:, [2]], [0.05, 0.9, 0.05], [0.5, 0.32, 0.18])
    third = np.where(over[:, [3]], [0.94, 0.03, 0.03], [0.31, 0.29, 0.4])
    return np.asarray((first + second + third) / 3)


@pytest.mark.parametrize("least", [0.15, 0.2])
def test_what_is_left_out_of_the_shares_of_a_forest_is_what_the_others_leave(least: float) -> None:
    space = InputSpace.box(4)
    x = space.sample(400, np.random.default_rng(0))
    truth = shares_of_three(space.sample(4000, np.random.default_rng(1)))
    one = ((truth < least).sum(axis=1) == 1).mean()
    assert one > 0.02
    assert not ((truth < least).sum(axis=1) > 1).any()
    victim = by_hand(
        lambda x: from_outputs(shares_of_three(x)), x, (100, 200), space, family="random_forest"
    )
    (point,) = played(victim, ConfidenceThreshold(least, "entry"), 900)
    assert point.metrics["tv_uniform"] < 1e-9
    assert "no surprise" in point.note
    assert len(point.parameters["terms"]) <= 8


def test_shares_of_which_two_are_left_out_are_not_certified_as_zeros() -> None:
    def predict(x: Array) -> Reply:
        rare = np.where(x[:, [1]] > 0.9, [0.86, 0.09, 0.05], [0.5, 0.3, 0.2])
        return from_outputs(np.where(x[:, [0]] > 0.1, rare, [0.2, 0.4, 0.4]))

    space = InputSpace.box(2)
    x = space.sample(400, np.random.default_rng(0))
    victim = by_hand(predict, x, (100, 200), space, family="random_forest")
    (point,) = played(victim, ConfidenceThreshold(0.1, "entry"), 600)
    (withheld,) = point.parameters["withheld"]
    assert 0.005 < withheld < 0.06
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-3
    assert f"inputs whose confidences are told whole are unseen (95%); {withheld:.1%}" in point.note


@pytest.mark.parametrize("link", ["sigmoid", "softmax"])
def test_scores_in_single_precision_behind_a_link_are_no_missing_terms(link: str) -> None:
    """The link is in double precision, and its answers look as if they were."""
    names = ("a", "b", "c")[: 2 if link == "sigmoid" else 3]
    rng, cuts = np.random.default_rng(2), np.linspace(-0.7, 0.7, 10)
    weights = rng.normal(size=(10, len(names))).astype(np.float32)

    def predict(x: Array) -> Reply:
        z = np.full((len(x), len(names)), np.float32(2.3))
        for j, weight in enumerate(weights):  # stumps, added in their order
            z += weight * (x[:, [j % 5]] > cuts[j]).astype(np.float32)
        z = z[:, 0] if link == "sigmoid" else z
        return form_of(z, None, names, link).reply(z)

    space = InputSpace.box(5)
    x = space.sample(400, np.random.default_rng(0))
    victim = by_hand(predict, x, (100, 200), space, names, "gradient_boosting")
    (point,) = played(victim, Defense(), 1000)
    assert "no surprise beyond rounding errors" in point.note
    assert len(point.parameters["terms"]) == 11
