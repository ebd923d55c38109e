"""Path finding: trees are copied leaf by leaf, with few queries."""

from collections.abc import Sequence
from dataclasses import replace
from statistics import median
from typing import Any

import numpy as np
import pytest
from shop import DATA_DIR

from moatbench import testing
from moatbench.attacks.path_finding import PathFinding
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.noise import Noise
from moatbench.defenses.refuse import Refuse
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.judge.judge import Judge
from moatbench.randomness import stream
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, Extraction, extract
from moatbench.stack import Stack
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import published
from moatbench.victims.tree import regression_tree, tree

pytestmark = pytest.mark.filterwarnings("error::RuntimeWarning")  # such as a mean of nothing
MODES = [(True, True), (True, False), (False, True), (False, False)]
SEEDS = (0, 1, 2)
REAL = {
    "german_credit": ("credit_risk", [], "drop"),
    "steak": ("steak_preparation", ["respondent_id"], "drop"),
    "adult": ("income", [], "category"),
}


@pytest.fixture(scope="module")
def data() -> Dataset:
    """Four numeric features and two categorical ones; classes by a random rule."""
    rng = np.random.default_rng(0)
    x: Array = np.hstack([rng.uniform(0, 1, (800, 4)), rng.integers(5, size=(800, 2))])
    rules = (x[:, 0] > 0.4, (x[:, 4] == 2) & (x[:, 1] > 0.7), x[:, 2] * x[:, 3] > 0.5)
    y = np.sum(rules, axis=0)
    words = ("a", "b", "c", "d", "e")
    columns = tuple(Column(f"f{i}", x[:, i], words if i > 3 else None) for i in (0, 4, 1, 2, 5, 3))
    return Dataset(Table("made", columns, y.astype(np.int64).clip(0, 2), ("p", "q", "r")))


def served(data: Dataset, leaves: int, seed: int = 0, **knobs: Any) -> Victim:
    given: dict[str, Any] = {"answers": "confidence", "partial": True, "fields": True}
    given |= {"min_samples_leaf": 1, "decimals": 5}
    victim: Victim = tree(data, stream(seed, "victim"), leaves=leaves, **(given | knobs))
    return victim


def curve(
    victim: Victim,
    checkpoints: Sequence[int],
    defense: Defense | None = None,
    seed: int = 0,
    partial: bool = True,
    fields: bool = True,
) -> list[Checkpoint]:
    attack = PathFinding(eps=1e-3, probes=0, partial=partial, fields=fields)
    return list(extract(victim, defense or Defense(), attack, checkpoints=checkpoints, seed=seed))


@pytest.mark.parametrize(("partial", "fields"), MODES)
def test_a_small_tree_is_copied_in_every_mode(data: Dataset, partial: bool, fields: bool) -> None:
    (point,) = curve(served(data, 12), [600], partial=partial, fields=fields)
    assert point.converged
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["fidelity_uniform"] > 0.9995
    assert point.metrics["tv_uniform"] < 1e-3


def test_leaving_features_out_and_reading_the_path_save_queries(data: Dataset) -> None:
    needed = []
    for partial, fields in MODES[:2]:
        points = curve(served(data, 12), range(100, 601, 10), partial=partial, fields=fields)
        needed.append(next(p.queries for p in points if "0 open" in p.note))
    assert needed[0] < needed[1]


def test_thresholds_become_exact_once_the_search_is_over(data: Dataset) -> None:
    victim = served(data, 6)
    (point,) = curve(victim, [1500])
    assert point.metrics["fidelity_uniform"] == 1
    assert point.metrics["tv_uniform"] == 0


def test_every_checkpoint_is_met_in_the_middle_of_the_search(data: Dataset) -> None:
    points = curve(served(data, 12), [1, 2, 3, 50, 51, 200])
    assert [p.queries for p in points] == [1, 2, 3, 50, 51, 200]
    assert not points[0].converged


def test_leaves_that_answer_alike_are_told_apart_by_probes(data: Dataset) -> None:
    victim = served(data, 40)
    (point,) = curve(victim, [4000], Rounding(0), partial=False, fields=False)
    assert point.metrics["fidelity_uniform"] > 0.99


def test_the_values_of_a_regression_tree_are_recovered(data: Dataset) -> None:
    victim = regression_tree(
        data,
        stream(0, "victim"),
        target="f0",
        leaves=10,
        min_samples_leaf=1,
        partial=False,
        fields=False,
        decimals=None,
    )
    (point,) = curve(victim, [1500])
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["error_uniform"] < 1e-3


@pytest.mark.parametrize("mode", ["fresh", "keyed"])
def test_noise_is_noticed_and_ends_in_an_unconverged_fit(data: Dataset, mode: str) -> None:
    (point,) = curve(served(data, 12, answers="distribution"), [800], noise(mode))
    assert not point.converged
    assert "noisy" in point.note
    assert point.metrics["fidelity_uniform"] > 0.8


@pytest.mark.parametrize("partial", [True, False])
@pytest.mark.parametrize("decimals", [None, 3])
def test_a_tree_of_unlike_leaves_is_never_called_noisy(decimals: int | None, partial: bool) -> None:
    points = curve(unlike(0, partial, decimals), [15, 30, 100, 1000], partial=partial)
    assert all("noisy" not in p.note for p in points)
    assert points[-1].metrics["error_uniform"] < 0.02


@pytest.mark.parametrize("mode", ["fresh", "keyed"])
@pytest.mark.parametrize("seed", SEEDS[:2])
def test_the_same_tree_under_noise_is_called_noisy(seed: int, mode: str) -> None:
    points = curve(unlike(seed), [200, 400], noise(mode), seed)
    assert all("noisy" in p.note for p in points)


@pytest.mark.parametrize("noisy", [True, False])
def test_fresh_noise_on_codes_shows_in_questions_asked_again(noisy: bool) -> None:
    rng = np.random.default_rng(0)
    x: Array = rng.integers(30, size=(2000, 2)).astype(np.float64)
    words = tuple(f"c{i}" for i in range(30))
    columns = tuple(Column(f"f{i}", x[:, i], words) for i in range(2))
    table = Table("codes", columns, (rng.random(2000) < x[:, 0] / 30).astype(np.int64), ("a", "b"))
    victim = served(Dataset(table), 30, answers="distribution")
    (point,) = curve(victim, [300], noise("fresh") if noisy else None)
    assert ("noisy" in point.note) == noisy


def unlike(seed: int, partial: bool = True, decimals: int | None = None) -> Victim:
    """A regression tree that answers each of many codes otherwise: at first, all answers differ."""
    rng = np.random.default_rng(seed)
    codes, x = rng.integers(40, size=2000), rng.uniform(0, 1, (2000, 2))
    column: Array = codes.astype(np.float64)
    values = rng.permutation(40)[codes] + (x[:, 0] > 0.5) / 3
    columns = [Column("code", column, tuple(f"c{i}" for i in range(40)))]
    columns += [Column("f0", x[:, 0]), Column("f1", x[:, 1]), Column("value", values)]
    table = Table("unlike", tuple(columns), np.arange(2000) % 2, ("a", "b"))
    made: Victim = regression_tree(
        Dataset(table),
        stream(seed, "victim"),
        target="value",
        leaves=100,
        min_samples_leaf=1,
        partial=partial,
        fields=False,
        decimals=decimals,
    )
    return made


@pytest.mark.parametrize("defense", [Defense(), Noise("gaussian", 0.3, "fresh", 1e-6)])
@pytest.mark.parametrize("partial", [True, False])
def test_no_checkpoint_averages_nothing(data: Dataset, defense: Defense, partial: bool) -> None:
    victim = served(data, 60, answers="distribution")
    points = curve(victim, range(1, 120, 6), defense, partial=partial, fields=False)
    assert len(points) == 20


def test_a_search_is_not_settled_before_its_boxes_were_probed(data: Dataset) -> None:
    points = curve(served(data, 12), range(10, 600, 10))
    over = next(i for i, p in enumerate(points) if " 0 open" in p.note)
    assert not points[over].converged
    assert points[-1].converged


def test_leaves_that_answer_alike_are_found_in_small_boxes(data: Dataset) -> None:
    victim = served(data, 40, answers="confidence", decimals=0)
    (point,) = curve(victim, [6000], partial=False, fields=False)
    assert point.metrics["fidelity_test"] > 0.99


def test_labels_without_confidences_are_a_reason_not_to_start(data: Dataset) -> None:
    with pytest.raises(NotApplicable, match="confidences"):
        curve(served(data, 12), [100], LabelOnly())


def test_another_family_is_a_reason_not_to_start(toy: Victim) -> None:
    with pytest.raises(NotApplicable, match="the victim's is softmax"):
        curve(toy, [100])


@pytest.mark.parametrize("partial", [True, False])
def test_the_contract_holds(data: Dataset, partial: bool) -> None:
    victim = served(data, 12, partial=partial, fields=partial)
    assert testing.check_attack(victim, PathFinding(1e-3, 2, True, True)) == ""


def test_a_space_of_few_points_is_asked_again_rather_than_for_ever() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(2, size=(200, 2)).astype(float)
    columns = tuple(Column(f"f{i}", x[:, i], ("no", "yes")) for i in range(2))
    table = Table("tiny", columns, (x.sum(axis=1) > 1).astype(np.int64), ("a", "b"))
    (point,) = curve(served(Dataset(table), 4), [300])
    assert point.metrics["fidelity_uniform"] == 1


@pytest.mark.parametrize(
    ("knobs", "complaint"),
    [
        ({"eps": 0.0}, "eps must be a number between 0 and 1, got 0.0"),
        ({"probes": -1}, "probes must be a whole number of at least 0, got -1"),
    ],
)
def test_a_bad_knob_is_told(knobs: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        PathFinding(**({"eps": 1e-3, "probes": 0, "partial": True, "fields": True} | knobs))


@pytest.mark.needs("../shared/data")
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "leaves", "budget", "decimals", "partial", "fields", "test", "uniform"),
    [
        # Tramèr et al. 2016, Table 6: 1,150 with partial inputs, 1,722 without
        ("german_credit", 26, 700, None, True, True, 0.999, 0.998),
        ("german_credit", 26, 1000, None, True, False, 0.999, 0.998),
        ("german_credit", 26, 1722, None, False, False, 0.999, 0.998),
        # Table 6: 4,013 with partial inputs; sec. 7: rounding undermines the attack
        ("steak", 193, 4013, None, True, True, 1.0, 0.999),
        ("steak", 193, 4013, None, True, False, 1.0, 0.999),
        ("steak", 193, 4013, 2, True, True, 0.998, 0.998),
        ("adult", 100, 4000, None, True, True, 0.999, 0.998),
        ("adult", 100, 20000, None, False, False, 0.999, 0.998),
    ],
)
def test_real_trees_are_copied_within_the_papers_queries(
    name: str,
    leaves: int,
    budget: int,
    decimals: int | None,
    partial: bool,
    fields: bool,
    test: float,
    uniform: float,
) -> None:
    target, drop, missing = REAL[name]
    table = published(f"{name}.csv", str(DATA_DIR), target, drop, missing, None, {}, 0.3, 0.25)
    defense = Defense() if decimals is None else Rounding(decimals)
    last = [
        curve(served(table, leaves, seed), [budget], defense, seed, partial, fields)[-1]
        for seed in SEEDS
    ]
    assert median(p.metrics["fidelity_test"] for p in last) >= test
    assert median(p.metrics["fidelity_uniform"] for p in last) >= uniform


def noise(mode: str) -> Noise:
    return Noise("gaussian", 0.02, mode, 1e-6)


def test_a_surrogate_holds_the_tree(data: Dataset) -> None:
    (point,) = curve(served(data, 12), [600])
    assert set(point.parameters) == {"feature", "threshold", "left", "right"}
    assert (point.parameters["feature"] == -1).sum() == 12


@pytest.mark.parametrize("rounded", [False, True])
def test_under_noise_more_queries_make_a_better_tree(data: Dataset, rounded: bool) -> None:
    layers: dict[str, Defense] = {"noise": Noise("gaussian", 0.1, "fresh", 1e-6)}
    layers |= {"rounding": Rounding(2)} if rounded else {}
    curves = [
        curve(
            served(data, 12, seed, answers="distribution"),
            [50, 200, 1000],
            Stack(layers),
            seed,
        )
        for seed in SEEDS
    ]
    fidelity = [median(c[i].metrics["fidelity_uniform"] for c in curves) for i in range(3)]
    assert fidelity == sorted(fidelity)
    assert fidelity[-1] > 0.95


@pytest.mark.parametrize("defense", [Rounding(1), Rounding(2), TopK(1, renormalise=False)])
def test_coarse_answers_cost_queries_but_not_labels(data: Dataset, defense: Defense) -> None:
    points = curve(served(data, 12, answers="distribution"), [100, 400, 1600], defense)
    fidelity = [p.metrics["fidelity_uniform"] for p in points]
    assert fidelity == sorted(fidelity)
    assert fidelity[-1] > 0.999


def test_refusals_after_an_alarm_leave_what_was_found(data: Dataset) -> None:
    monitor = PRADA(delta=0.9, latched=True, check_every=10, min_distances=20)
    points = curve(served(data, 12), [100, 300, 900], QueryMonitoring(monitor, Refuse()))
    assert points[-1].refused > 500
    fidelity = [p.metrics["fidelity_uniform"] for p in points]
    assert fidelity == sorted(fidelity)


def test_an_attack_that_is_closed_keeps_the_checkpoints_it_reached(data: Dataset) -> None:
    attack = PathFinding(eps=1e-3, probes=0, partial=True, fields=True)
    run = iter(extract(served(data, 12), Defense(), attack, checkpoints=[50, 100, 200]))
    reached = [next(run), next(run)]
    run.close()  # type: ignore[attr-defined]
    whole = curve(served(data, 12), [50, 100, 200])
    for one, other in zip(reached, whole, strict=False):
        np.testing.assert_equal(dict(one.metrics), dict(other.metrics))  # NaN equals NaN


def test_an_attack_that_fails_midway_keeps_the_checkpoints_it_reached(data: Dataset) -> None:
    victim, asked = served(data, 12), 0

    def failing(x: Array) -> Reply:
        nonlocal asked
        asked += len(x)
        if 0 < budget < asked:
            raise RuntimeError("the service is down")
        return victim.predict(x)

    budget = 0
    service = replace(victim, predict=failing)
    judge = Judge(service, stream(0, "judge"))
    budget, asked = 400, 0
    attack = PathFinding(eps=1e-3, probes=0, partial=True, fields=True)
    run = iter(Extraction(service, Defense(), attack, [50, 100, 10_000], judge=judge))
    assert [next(run).queries, next(run).queries] == [50, 100]
    with pytest.raises(RuntimeError, match="down"):
        next(run)
