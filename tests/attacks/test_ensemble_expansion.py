"""Sums of trees are told term by term: exact where answers are, learnt where they are not."""

from typing import Any

import numpy as np
import pytest

from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.randomness import stream
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.testing.attacks import Patchy
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.ensembles import gradient_boosting, random_forest
from moatbench.victims.tree import regression_tree


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Three numeric features, a constant one, and a name of five; classes by a rule with noise."""
    rng = np.random.default_rng(0)
    x: Array = np.column_stack(
        [rng.uniform(0, 1, (400, 3)), np.full(400, 7.0), rng.integers(5, size=400)]
    )
    chance = np.where((x[:, 0] > 0.4) & (x[:, 4] != 2), 0.9, 0.3 * (x[:, 1] > 0.6))
    y = (rng.random(400) < chance).astype(np.int64)
    words = ("a", "b", "c", "d", "e")
    columns = tuple(Column(f"f{i}", x[:, i], words if i == 4 else None) for i in range(5))
    return Dataset(Table("made", columns, y, ("no", "yes")))


@pytest.fixture(scope="module")
def boosted(data: Dataset) -> Victim:
    victim: Victim = gradient_boosting(
        data, stream(0, "victim"), trees=5, leaves=4, learning_rate=0.3
    )
    return victim


def played(victim: Victim, defense: Defense, *checkpoints: int, **knobs: Any) -> list[Checkpoint]:
    attack = EnsembleExpansion(**({"draws": 100, "width": 8} | knobs))
    return list(Extraction(victim, defense, attack, checkpoints, seed=0))


def test_boosting_is_extracted_to_the_last_digit(boosted: Victim) -> None:
    (point,) = played(boosted, Defense(), 2500)
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] < 1e-9
    assert "no surprise" in point.note


def test_what_was_recovered_and_how_sure_it_is_stands_in_the_record(boosted: Victim) -> None:
    (point,) = played(boosted, Defense(), 2500)
    found = point.parameters
    clean, unseen = found["certificate"]
    assert pytest.approx(1 - (1 - unseen) ** clean) == 0.95
    assert len(found["terms"]) == len(found["weights"])
    numbers = found["name"] == -2
    assert (found["up_to"] - found["above"])[numbers].max() < 1e-12


def test_a_point_of_the_curve_does_not_depend_on_where_it_ends(boosted: Victim) -> None:
    long, short = played(boosted, Defense(), 120, 250), played(boosted, Defense(), 120)
    for one, other in zip(long, short, strict=False):
        for scored in ("fidelity_test", "fidelity_uniform", "tv_test", "tv_uniform"):
            assert one.metrics[scored] == other.metrics[scored]


def test_a_small_forest_and_a_regression_tree_fall_too(data: Dataset) -> None:
    forest = random_forest(data, stream(0, "victim"), trees=3, leaves=6, min_samples_leaf=5)
    (point,) = played(forest, Defense(), 1500)
    assert point.metrics["tv_uniform"] < 1e-9
    knobs = {
        "target": "f0",
        "leaves": 6,
        "min_samples_leaf": 5,
        "partial": False,
        "fields": False,
        "decimals": None,
    }
    values = regression_tree(data, stream(0, "victim"), **knobs)
    (point,) = played(values, Defense(), 900)
    assert point.metrics["fidelity_uniform"] == 1


def test_four_decimals_do_not_stop_it(boosted: Victim) -> None:
    (point,) = played(boosted, Rounding(4), 1200)
    assert "terms" in point.note
    assert point.metrics["tv_uniform"] < 1e-3


@pytest.mark.parametrize(
    ("defense", "says"),
    [
        (Rounding(2), "rounded to less than 3 decimals"),
        (Noise("gaussian", 0.01, "fresh", 1e-6), "boosted trees: the defense is noisy"),
    ],
)
def test_what_breaks_it_is_named_and_leaves_the_learner(
    boosted: Victim, defense: Defense, says: str
) -> None:
    (point,) = played(boosted, defense, 300)
    assert says in point.note
    assert point.metrics["fidelity_test"] > 0.9


def test_it_needs_confidences(boosted: Victim) -> None:
    with pytest.raises(NotApplicable, match="needs confidences"):
        played(boosted, LabelOnly(), 100)


def test_refused_answers_leave_what_was_bought(boosted: Victim) -> None:
    curve = played(boosted, Patchy(), 300, 900)
    assert [point.metrics["fidelity_test"] > 0.85 for point in curve] == [True, True]
