"""Extract-and-test: the answers tell the family where the card does not."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from moatbench import testing
from moatbench.attacks.extract_and_test import ExtractAndTest
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, extract
from moatbench.solvers.candidates import CANDIDATES, simplest
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled, generated
from moatbench.victims.ensembles import random_forest
from moatbench.victims.linear import one_vs_rest, softmax
from moatbench.victims.mlp import mlp
from moatbench.victims.svm import linear_svm, rbf_svm
from moatbench.victims.tree import regression_tree, tree

TREE: dict[str, Any] = {"leaves": 12, "min_samples_leaf": 1, "partial": False, "fields": False}
TREE |= {"decimals": None}


@cache
def victim(family: str, seed: int = 0) -> Victim:
    """Train a victim on small data; its card tells the family."""
    iris, rng = bundled("iris"), stream(seed, "victim")
    moons = generated("make_moons", 0, {"n_samples": 600, "noise": 0.2}, 0.3, 0.25)
    make: dict[str, Callable[[], Victim]] = {
        "softmax": lambda: softmax(iris, rng, C=10.0),
        "one_vs_rest": lambda: one_vs_rest(iris, rng),
        "mlp": lambda: mlp(iris, rng, hidden=20, activation="tanh", alpha=1e-4, max_iter=600),
        "tree": lambda: tree(bundled("wine"), rng, answers="confidence", **TREE),
        "distribution": lambda: tree(bundled("wine"), rng, answers="distribution", **TREE),
        "linear_svm": lambda: linear_svm(iris, rng),
        "rbf_svm": lambda: rbf_svm(moons, rng, C=10.0, gamma=4.0),
        "regression_tree": lambda: regression_tree(bundled("iris"), rng, target=None, **TREE),
        "random_forest": lambda: random_forest(
            iris, rng, trees=10, leaves=None, min_samples_leaf=1
        ),
    }
    return make[family]()


def hidden(family: str, seed: int = 0) -> Victim:
    """Return the victim behind a card that tells nothing of it."""
    return replace(victim(family, seed), family=None, architecture={})


def curve(
    served: Victim,
    checkpoints: Sequence[int],
    defense: Defense | None = None,
    families: Sequence[str] = CANDIDATES,
    seed: int = 0,
) -> list[Checkpoint]:
    attack = ExtractAndTest(list(families), "cube")
    return list(extract(served, defense or Defense(), attack, checkpoints=checkpoints, seed=seed))


@cache
def final(family: str) -> Checkpoint:
    """Attack the victim behind a card that tells nothing, with 300 queries."""
    return curve(hidden(family), [300])[0]


def chosen(point: Checkpoint) -> str:
    return point.note.split(",")[0]


@pytest.mark.parametrize(
    ("family", "name"),
    [
        ("softmax", "softmax"),
        ("one_vs_rest", "one_vs_rest"),
        ("mlp", "mlp"),
        ("tree", "tree"),
        ("distribution", "tree"),
        ("linear_svm", "softmax"),  # the same boundaries
        ("rbf_svm", "rbf"),
    ],
)
def test_the_answers_tell_the_family(family: str, name: str) -> None:
    assert chosen(final(family)) == name


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest"])
def test_the_parameters_are_exact_once_the_family_is_known(family: str) -> None:
    (point,) = curve(hidden(family), [100])
    (told,) = curve(victim(family), [100])
    assert point.metrics["tv_uniform"] < 1e-9
    assert np.allclose(point.parameters["coef"], told.parameters["coef"], rtol=1e-6)


@pytest.mark.parametrize("family", ["mlp", "tree", "distribution", "rbf_svm", "linear_svm"])
def test_once_it_knows_the_family_it_is_as_good_as_if_it_had_been_told(family: str) -> None:
    (told,) = curve(victim(family), [300])
    fidelity = {"fidelity_test", "fidelity_uniform"}
    assert {n: told.metrics[n] for n in fidelity} == {n: final(family).metrics[n] for n in fidelity}


def test_one_stream_of_queries_serves_all_candidates() -> None:
    asked: list[Array] = []
    served = hidden("tree")

    def spied(x: Array) -> Reply:
        asked.append(x.copy())
        return served.predict(x)

    for families in (["softmax", "rbf", "tree"], ["tree"]):
        curve(replace(served, predict=spied), [40, 90], families=families)
    half = len(asked) // 2
    assert all(np.array_equal(a, b) for a, b in zip(asked[:half], asked[half:], strict=True))


def test_what_held_out_answers_said_of_each_candidate_is_told() -> None:
    errors = {name: float(final("mlp").parameters[f"held_out_{name}"]) for name in CANDIDATES}
    assert min(errors, key=lambda name: errors[name]) == "mlp"
    assert errors["mlp"] < 0.01 * errors["softmax"]


def test_a_published_family_is_the_only_candidate() -> None:
    (point,) = curve(victim("mlp"), [60])
    assert point.note.startswith("mlp, published")
    assert not [name for name in point.parameters if name.startswith("held_out")]


def test_a_published_family_that_is_no_candidate_leaves_the_choice_open() -> None:
    (point,) = curve(victim("random_forest"), [100])
    assert "published" not in point.note


def test_only_the_families_listed_are_tried() -> None:
    (point,) = curve(hidden("rbf_svm"), [200], families=["tree", "softmax"])
    assert chosen(point) in {"softmax", "tree"}
    assert {n for n in point.parameters if n.startswith("held_out")} == {
        "held_out_softmax",
        "held_out_tree",
    }


def test_a_path_in_the_answers_gives_a_tree_away() -> None:
    given = TREE | {"partial": True, "fields": True}
    served = tree(bundled("iris"), stream(0, "victim"), answers="distribution", **given)
    (point,) = curve(replace(served, family=None), [100])
    assert point.note.startswith("tree, told by the answers")


def test_labels_alone_still_tell_a_smooth_boundary() -> None:
    assert chosen(curve(hidden("mlp"), [200], LabelOnly())[0]) != "tree"
    (point,) = curve(hidden("softmax"), [200], LabelOnly())
    assert chosen(point) == "softmax"
    assert point.metrics["fidelity_uniform"] > 0.97


@pytest.mark.parametrize("family", ["softmax", "mlp"])
def test_rounded_answers_are_taken_for_bounds_of_the_right_family(family: str) -> None:
    (point,) = curve(hidden(family), [200], Rounding(3))
    assert chosen(point) == family
    assert point.metrics["fidelity_uniform"] > 0.99


def test_noise_is_survived() -> None:
    (point,) = curve(hidden("softmax"), [150], Noise("gaussian", 0.05, "fresh", 1e-6))
    assert point.metrics["fidelity_uniform"] > 0.95


def test_an_activation_that_is_not_published_is_found() -> None:
    served = mlp(bundled("iris"), stream(0, "victim"), 20, "relu", 1e-4, 600)
    attacked = replace(served, family="mlp", architecture={})
    (found,), (told,) = curve(attacked, [250]), curve(served, [250])  # of 60, chance may decide
    assert found.metrics["tv_uniform"] == told.metrics["tv_uniform"]


@pytest.mark.parametrize("inputs", ["cube", "valid"])
def test_the_contract_holds(inputs: str) -> None:
    attack = ExtractAndTest(["softmax", "tree"], inputs)
    assert testing.check_attack(hidden("distribution"), attack, (8, 30, 60)) == ""


def test_values_are_a_reason_not_to_start() -> None:
    with pytest.raises(NotApplicable, match="regression"):
        curve(victim("regression_tree"), [10])


def test_of_two_that_err_alike_the_simpler_is_kept() -> None:
    rng = np.random.default_rng(0)
    rough = rng.random(50)
    assert (
        simplest({"mlp": rough, "softmax": rough + 0.1 * rng.normal(size=50) + 0.001}) == "softmax"
    )
    assert simplest({"mlp": rough, "softmax": rough + 0.1}) == "mlp"


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"families": []}, "got \\[\\]; name some of softmax, one_vs_rest"),
        ({"families": "tree"}, "families must be a list, got 'tree'"),
        ({"families": ["tree", "svm"]}, "each of families must be softmax or .*, got 'svm'"),
        ({"inputs": "box"}, "inputs must be cube or valid, got 'box'"),
    ],
)
def test_a_bad_knob_is_told(knobs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ExtractAndTest(**({"families": ["tree"], "inputs": "cube"} | knobs))
