"""Sums of trees are told term by term: exact where answers are, learnt where they are not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from shop import by_hand, victim_of

from moatbench.api import Deployment, MeteredAPI
from moatbench.attack import Target
from moatbench.attacks.ensemble_expansion import EnsembleExpansion
from moatbench.data import Column, Dataset, Table
from moatbench.defense import Defense
from moatbench.defenses.confidence_threshold import ConfidenceThreshold
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.judge.judge import Judge
from moatbench.models import forward
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.expansion import book
from moatbench.solvers.expansion.coordinates import Coordinates
from moatbench.solvers.expansion.mixes import Mixes
from moatbench.solvers.expansion.scale import Scale
from moatbench.space import InputSpace
from moatbench.testing.attacks import Patchy
from moatbench.traits import NOTHING
from moatbench.types import Array, Generator
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.ensembles import gradient_boosting, random_forest
from moatbench.victims.tree import regression_tree, tree


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


@pytest.mark.parametrize("name", ["boosted", "tree"])
def test_what_was_recovered_is_all_that_answers_are_made_of(boosted: Victim, name: str) -> None:
    victim = boosted if name == "boosted" else victim_of("tree", "iris")
    (point,) = played(victim, Defense(), 2500)
    found = point.parameters
    x = victim.space.sample(500, stream(1, "fresh"))
    values = Coordinates(victim.space, victim.shares.pool).values(x)
    columns = found["feature"].astype(np.intp)
    at, anchor, cut = values[:, columns], found["anchor"][columns], found["up_to"]
    crossed = (at >= cut) != (anchor >= cut)
    names = np.where(found["name"] == -1, at != anchor, at == found["name"])
    on = np.where(found["name"] == -2, crossed, names).astype(np.float64)
    held = on @ found["terms"].T == found["terms"].sum(axis=1)
    totals = held @ found["weights"]
    logs = bool(found["log_odds"][0])
    assert logs == (name == "boosted")
    told = victim.predict(x).outputs
    assert told is not None
    rebuilt = forward.LINKS["logistic"](totals) if logs else totals
    assert (np.abs(rebuilt - told).max(axis=1) < 1e-9).mean() >= 0.99


def test_three_answers_in_a_hundred_that_vary_are_noticed_and_learnt_from() -> None:
    """A question that looks like a term of its own is asked again."""
    plain = victim_of("tree", "iris")
    chance = np.random.default_rng(0)

    def varying(x: Array) -> Reply:
        told = plain.predict(x).outputs
        assert told is not None
        strange = chance.random(len(x)) < 0.03
        told = np.where(strange[:, None], np.eye(3)[chance.integers(3, size=len(x))], told)
        return from_outputs(told)

    attack, judge = EnsembleExpansion(draws=2000, width=8), Judge(plain, stream(0, "judge"))
    victim = replace(plain, predict=varying)
    for point in Extraction(victim, Defense(), attack, (1001, 1601), seed=0, judge=judge):
        assert "equal inputs are answered otherwise" in point.note
        assert point.metrics["fidelity_uniform"] > 0.97


@pytest.mark.parametrize("leaves", [4, None])
def test_answers_that_leave_the_label_open_are_not_taken_for_all(leaves: int | None) -> None:
    """Of three classes, forests' shares are often rounded to nothing at all."""
    iris = victim_of("random_forest", "iris").shares
    table = Table("iris", _columns(iris.x_train), iris.y_train, iris.classes)
    knobs = {"leaves": leaves, "min_samples_leaf": 1}
    forest = random_forest(Dataset(table), stream(0, "victim"), trees=10, **knobs)
    first, last = played(forest, Rounding(0), 401, 1501)
    assert "no surprise" not in last.note
    assert last.metrics["fidelity_uniform"] > first.metrics["fidelity_uniform"] - 0.03
    assert last.metrics["fidelity_uniform"] > 0.93


def _columns(x: Array) -> tuple[Column, ...]:
    return tuple(Column(f"f{j}", column, None) for j, column in enumerate(x.T))


def test_a_pool_of_the_same_row_leaves_random_inputs(boosted: Victim) -> None:
    space, pool = boosted.space, boosted.shares.pool
    same = Mixes(space, pool[[0] * 30], stream(0, "draws")).draw(200)
    assert len(np.unique(same, axis=0)) == 200
    ordinary = Mixes(space, pool, stream(0, "draws")).draw(200)
    assert (ordinary[:, None] == pool).all(axis=2).any(axis=1).sum() > 20


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


def test_a_fully_grown_tree_answers_in_whole_numbers_and_falls() -> None:
    """Whole answers are no rounded ones, of which anything within a half would be right."""
    pure = victim_of("tree", "iris")
    told = pure.predict(pure.shares.x_test).outputs
    assert told is not None
    assert np.isin(told, (0, 1)).all()
    (point,) = played(pure, Defense(), 1500)
    assert point.metrics["fidelity_test"] == 1
    assert point.metrics["fidelity_uniform"] > 0.99
    assert len(point.parameters["weights"]) > 1


def test_a_finished_sum_is_certified_wherever_a_checkpoint_lies() -> None:
    """Within a batch too, where answers have come that only move thresholds within their gaps."""
    pure = victim_of("tree", "iris")
    points = played(pure, Defense(), *range(900, 1500, 37), 1500)
    draws = [point.parameters["certificate"][0] for point in points]
    for n, point in zip(draws, points, strict=True):
        assert f"no surprise in the last {n:.0f} draws" in point.note
    assert draws == sorted(draws)
    assert draws[0] > 0
    (alone,) = played(pure, Defense(), 1500)
    assert alone.note == points[-1].note
    for name, found in alone.parameters.items():
        np.testing.assert_array_equal(found, points[-1].parameters[name])


@pytest.mark.parametrize("decimals", [0, 1])
def test_few_decimals_of_a_tree_are_a_tree(data: Dataset, decimals: int) -> None:
    knobs = {"min_samples_leaf": 5, "answers": "distribution", "partial": False, "fields": False}
    small = tree(data, stream(0, "victim"), leaves=6, decimals=None, **knobs)
    (point,) = played(small, Rounding(decimals), 1500)
    assert point.metrics["fidelity_uniform"] > 0.999
    assert point.metrics["tv_uniform"] < 0.5 * 10.0**-decimals


@pytest.mark.parametrize("decimals", [None, 0, 1])
def test_of_a_forest_that_is_too_large_more_queries_do_not_tell_less(
    data: Dataset, decimals: int | None
) -> None:
    forest = random_forest(data, stream(0, "victim"), trees=10, leaves=None, min_samples_leaf=1)
    defense = Defense() if decimals is None else Rounding(decimals)
    first, last = played(forest, defense, 300, 1500)
    for where in ("fidelity_test", "fidelity_uniform"):
        assert last.metrics[where] > first.metrics[where] - 0.03


def test_where_most_answers_leave_something_out_all_are_learnt_from(boosted: Victim) -> None:
    told = boosted.predict(boosted.shares.pool).outputs
    assert told is not None
    half = ConfidenceThreshold(float(np.median(told.max(axis=1))), "row")
    (point,) = played(boosted, half, 800)
    assert "% of the answers tell confidences" in point.note
    assert point.metrics["fidelity_test"] > 0.95
    three = victim_of("gradient_boosting", "iris")
    (point,) = played(three, TopK(1, False), 600)
    assert "0% of the answers tell of all classes" in point.note
    assert point.metrics["fidelity_test"] > 0.95


def test_one_answer_is_learnt_from(data: Dataset, boosted: Victim) -> None:
    label = boosted.predict(boosted.shares.x_test).labels
    (point,) = played(boosted, Defense(), 1)
    assert point.metrics["fidelity_test"] in {float((label == c).mean()) for c in (0, 1)}
    knobs = {"min_samples_leaf": 5, "partial": False, "fields": False, "decimals": None}
    values = regression_tree(data, stream(0, "victim"), target="f0", leaves=6, **knobs)
    told = values.predict(values.shares.x_test).outputs
    assert told is not None
    found = played(values, Defense(), 1)[0].metrics["fidelity_test"]
    assert found in {float((told == value).mean()) for value in told}
    assert found > 0


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


def test_two_thresholds_within_one_gap_are_told_apart() -> None:
    def predict(x: Array) -> Reply:
        z = 2.0 * (x[:, 0] > 0.3) + 1.5 * (x[:, 0] > 0.30001) * (x[:, 1] > 0) - (x[:, 1] > 0)
        return from_outputs(forward.softmax(np.column_stack([-z, z])))

    space = InputSpace.box(2)
    x = space.sample(90, np.random.default_rng(0))
    target = by_hand(predict, x, (30, 60), space, ("a", "b"), "gradient_boosting")
    (point,) = played(target, Defense(), 900, draws=50)
    found = point.parameters
    used = found["terms"][np.abs(found["weights"][:, 0]) > 1e-9].any(axis=0)
    assert (found["feature"][used] == 0).sum() == 2
    assert (found["up_to"] - found["above"])[used].max() < 1e-12


def test_terms_that_few_draws_meet_are_seen_far_from_the_anchor() -> None:
    def predict(x: Array) -> Reply:
        z = 1.0 * (x > 0.4).sum(axis=1) + 3.0 * (x > 0.9).all(axis=1) - 1
        return from_outputs(forward.softmax(np.column_stack([-z, z])))

    space = InputSpace.box(5)
    x = space.sample(90, np.random.default_rng(0)) / 2
    target = by_hand(predict, x, (30, 60), space, ("a", "b"), "gradient_boosting")
    (point,) = played(target, Defense(), 1500, draws=100)
    assert point.parameters["terms"].sum(axis=1).max() == 5


class Varying(Defense):
    """Equal rows are answered otherwise each time, and nobody is told so."""

    traits = NOTHING

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._rng = rng

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        noisy = np.clip(reply.outputs[:, 1] + self._rng.normal(0, 0.02, len(x)), 0.01, 0.99)
        return reply.with_outputs(np.column_stack([1 - noisy, noisy]))


def test_equal_rows_with_different_answers_are_noticed_and_learnt_from(boosted: Victim) -> None:
    (point,) = played(boosted, Varying(), 200)
    assert "equal inputs are answered otherwise" in point.note
    assert point.metrics["fidelity_test"] > 0.8


@pytest.mark.parametrize("rows", [0, 1])
def test_a_pool_of_a_row_or_none_leaves_random_inputs(boosted: Victim, rows: int) -> None:
    shares = replace(boosted.shares, pool=boosted.shares.pool[:rows])
    (point,) = played(replace(boosted, shares=shares), Defense(), 250)
    assert point.metrics["fidelity_uniform"] > 0.9


def test_what_is_left_out_of_a_row_is_answered_as_for_the_anchor(data: Dataset) -> None:
    knobs = {"min_samples_leaf": 5, "answers": "confidence", "fields": False, "decimals": None}
    grown = tree(data, stream(0, "victim"), leaves=4, partial=True, **knobs)
    api = MeteredAPI(Deployment(grown, Defense(), stream(0, "defense")), [300])
    attack = EnsembleExpansion(draws=100, width=4)
    (surrogate,) = attack.run(Target(api, grown.shares.pool), stream(0, "attack"))
    x = grown.shares.x_test[:5].copy()
    x[:, 0] = np.nan
    told = surrogate.predict(x).outputs
    assert told is not None
    assert np.isfinite(told).all()
    assert api.queries == 300


def test_a_second_threshold_is_looked_for_at_all_distances_from_the_first() -> None:
    at = Coordinates(InputSpace.box(1), np.array([[0.5]]))
    away = [abs(at.near(0, 0.1, np.random.default_rng(i)) - 0.1) for i in range(200)]
    assert 2.0**-15 <= min(away) < 1e-4
    assert 0.05 < max(away) <= 2.0**-3


def test_sums_that_outgrow_what_trees_can_say_are_given_up_and_learnt_from(
    boosted: Victim, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "DIVERGED", 1e-6)
    *_, last = played(boosted, Defense(), 2000, 3000)
    assert "answers contradict each other as those of no sum of trees do" in last.note
    assert last.queries == 3000
    assert last.metrics["fidelity_test"] > 0.9


def test_a_sum_is_said_to_diverge_where_a_weight_outgrows_all_answers(boosted: Victim) -> None:
    answers = boosted.predict(boosted.shares.pool[:50]).outputs
    assert answers is not None
    at = Coordinates(boosted.space, boosted.shares.pool)
    kept = book.Book(at, Scale.of(answers, True, True))
    kept.add(at.values(boosted.shares.pool[:50]), answers)
    kept.add_term((), 0)
    assert not kept.diverges
    kept.terms.weights *= 2e3 * np.abs(kept.targets[:50]).max() / np.abs(kept.terms.weights).max()
    assert kept.diverges
    kept.terms.weights[:] = np.nan
    assert kept.diverges
