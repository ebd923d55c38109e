"""Equation solving: exact where answers are exact, and what is left of it where they are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from scipy.special import softmax
from shop import by_hand, victim_of

from moatbench.attacks.equation_solving import EquationSolving
from moatbench.defense import Defense
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.noise import Noise
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.models.linear import design
from moatbench.models.network import Network
from moatbench.reply import Reply, from_outputs
from moatbench.runner.extract import Checkpoint, Extraction
from moatbench.solvers.network_solver import probe_plan, solve_network, uneven
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.stack import Stack
from moatbench.types import Array, Mask
from moatbench.victim import NotApplicable, Shares, Victim

SEEDS = range(5)


def curve(
    target: Victim, checkpoints: Sequence[int], defense: Defense | None = None, seed: int = 0
) -> list[Checkpoint]:
    """Attack, and return the points."""
    attack = EquationSolving(intervals=True)
    return list(Extraction(target, defense or Defense(), attack, checkpoints, seed))


def last(target: Victim, queries: int, defense: Defense | None = None, seed: int = 0) -> Checkpoint:
    """Attack with one checkpoint, and return it."""
    return curve(target, [queries], defense, seed)[0]


def medians(target: Victim, queries: int, defense: Defense | None = None) -> Mapping[str, float]:
    """Attack under several seeds; return the median of each metric."""
    runs = [last(target, queries, defense, seed).metrics for seed in SEEDS]
    return {name: float(np.median([run[name] for run in runs])) for name in runs[0]}


def assert_stolen(metrics: Mapping[str, float], tv: float, fidelity: float = 1.0) -> None:
    """Check both samples of the judge."""
    for sample in ("test", "uniform"):
        assert metrics[f"fidelity_{sample}"] >= fidelity
        assert metrics[f"tv_{sample}"] < tv


# Exact answers


def test_a_network_on_steps_is_asked_neighbours_a_step_away() -> None:
    rng, d, hidden = np.random.default_rng(1), 60, 6
    steps = [1.0, 1.0, *[0.0] * 18, *[1.0] * 40]
    highs = [8.0, 90.0, *[1.0] * 18, *[5000.0] * 40]
    space = InputSpace(
        tuple(Numeric(f"x{i}", 0, h, s) for i, (h, s) in enumerate(zip(highs, steps, strict=True)))
    )
    w, b = rng.normal(size=(d, hidden)) / 6, rng.normal(size=hidden) / 2
    v = rng.normal(size=(hidden, 4))

    def predict(x: Array) -> Reply:
        return from_outputs(softmax(np.tanh(space.scaled(x) @ w + b) @ v, axis=1))

    known = {"hidden": hidden, "activation": "tanh"}
    victim = by_hand(
        predict,
        space.sample(600, rng),
        (200, 300),
        space,
        tuple("abcd"),
        "mlp",
        known,
    )
    first, count = probe_plan(d, 4, hidden, "tanh", *map(len, uneven(space)))
    assert count
    (point,) = curve(victim, [first + count * (d + 1)], seed=1)
    assert_stolen(point.metrics, 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_binary_logistic_regression_falls_to_one_query_an_unknown(seed: int) -> None:
    # Tramèr et al. 2016, sec. 4.1.1: d + 1 queries, TV below 1e-9.
    assert_stolen(last(victim_of("logistic", "breast_cancer"), 31, seed=seed).metrics, 1e-9)


@pytest.mark.parametrize("seed", SEEDS)
def test_softmax_falls_to_as_many_queries_as_one_of_its_classes_has_unknowns(seed: int) -> None:
    # Tramèr et al. 2016, Table 4: k (d + 1) = 650.
    assert_stolen(last(victim_of("softmax", "digits"), 65, seed=seed).metrics, 1e-9)


@pytest.mark.parametrize(("data", "queries"), [("iris", 15), ("digits", 160)])
def test_one_vs_rest_falls_to_twice_its_unknowns(data: str, queries: int) -> None:
    assert_stolen(medians(victim_of("one_vs_rest", data), queries), 1e-9)


def test_two_classes_one_against_the_other_are_solved_too() -> None:
    assert_stolen(last(victim_of("one_vs_rest", "breast_cancer"), 155).metrics, 1e-9)


def test_a_network_of_20_units_falls_to_half_its_unknowns() -> None:
    # Tramèr et al. 2016, Table 4: 99.9 % at 5,410 queries on average.
    assert_stolen(medians(victim_of("mlp", "digits"), 755), 1e-6, 0.9999)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["logistic", "relu"])
def test_other_activations_are_solved_with_as_few(activation: str) -> None:
    target = victim_of("mlp", "digits", f"victim.activation={activation}")
    assert_stolen(medians(target, 755), 1e-6, 0.9999)


def test_a_network_needs_little_more_than_two_equations_an_unknown() -> None:
    assert_stolen(last(victim_of("mlp", "digits"), 445).metrics, 1e-9)


def test_probes_of_gradients_save_queries_where_classes_are_few() -> None:
    # 1.9 equations an unknown, too few for uniform queries alone
    assert_stolen(last(wide_network(60, 8, 4), 326).metrics, 1e-9)


def wide_network(d: int, hidden: int, k: int) -> Victim:
    """Make a network of random weights."""
    rng = np.random.default_rng(0)
    w = 3 * rng.normal(size=(d, hidden)) / np.sqrt(d)
    b, a = rng.normal(size=hidden) / 2, rng.normal(size=(hidden, k))

    def predict(x: Array) -> Reply:
        return from_outputs(np.asarray(softmax(np.tanh(x @ w + b) @ a, axis=1)))

    classes, told = tuple("abcdefgh"[:k]), {"hidden": hidden, "activation": "tanh"}
    x = rng.uniform(-1, 1, (300, d))
    return by_hand(predict, x, (99, 200), classes=classes, family="mlp", architecture=told)


def test_the_recovered_coefficients_are_the_victims_own_up_to_a_common_shift(toy: Victim) -> None:
    found = last(toy, 20).parameters
    rng = np.random.default_rng(5)  # as the fixture draws them
    weights, bias = rng.normal(size=(4, 3)) * 2, rng.normal(size=3)
    shifted = (weights - weights.mean(axis=1, keepdims=True)).T
    np.testing.assert_allclose(found["coef"], shifted, atol=1e-10)
    np.testing.assert_allclose(found["intercept"], bias - bias.mean(), atol=1e-10)


def test_parameters_are_told_in_the_apis_own_units(toy: Victim) -> None:
    low, high = np.array([0, -5, 100, -1.0]), np.array([10, 5, 300, 1.0])
    space = InputSpace(tuple(Numeric(n, *b) for n, *b in zip("abcd", low, high, strict=True)))
    s = toy.shares

    def unit(x: Array) -> Array:
        scaled: Array = (2 * x - low - high) / (high - low)
        return scaled

    def wide(x: Array) -> Array:
        stretched: Array = (x * (high - low) + low + high) / 2
        return stretched

    shares = Shares(
        space, s.classes, wide(s.x_train), s.y_train, wide(s.pool), wide(s.x_test), s.y_test
    )
    target = Victim(shares, lambda x: toy.predict(unit(x)), "softmax")
    found = last(target, 20)
    assert_stolen(found.metrics, 1e-9)
    z = target.shares.x_test @ found.parameters["coef"].T + found.parameters["intercept"]
    np.testing.assert_array_equal(z.argmax(axis=1), target.predict(target.shares.x_test).labels)


def test_fewer_answers_than_unknowns_still_yield_the_least_solution() -> None:
    points = curve(victim_of("softmax", "digits"), [20, 40, 64])
    fidelities = [p.metrics["fidelity_uniform"] for p in points]
    assert fidelities == sorted(fidelities)
    assert fidelities[-1] > 0.8


def test_parameters_are_told_only_once_they_are_determined() -> None:
    few, enough = curve(victim_of("softmax", "digits"), [64, 65])
    assert (few.note, few.parameters) == ("least solution of too few equations", {})
    assert enough.note == "equations solved"
    assert enough.parameters["coef"].shape == (10, 64)


# Answers that are not exact


def test_rounding_to_two_decimals_hardly_protects_a_softmax() -> None:
    # 650 queries; ART's equation solving gets 0.992 here.
    assert medians(victim_of("softmax", "digits"), 650, Rounding(2))["fidelity_test"] >= 0.992


@pytest.mark.slow
def test_five_times_the_unknowns_see_through_two_decimals() -> None:
    metrics = medians(victim_of("softmax", "digits"), 3250, Rounding(2))
    assert metrics["fidelity_test"] >= 0.998
    assert metrics["fidelity_uniform"] >= 0.998


@pytest.mark.parametrize("decimals", [3, 4, 5, 8])
def test_finer_rounding_protects_less(decimals: int) -> None:
    metrics = last(victim_of("softmax", "digits"), 130, Rounding(decimals)).metrics
    assert metrics["tv_uniform"] < 20 * 10.0**-decimals


def test_rounded_answers_of_one_vs_rest_are_bounds_too() -> None:
    point = last(victim_of("one_vs_rest", "iris"), 50, Rounding(2))
    assert point.metrics["fidelity_uniform"] >= 0.998
    assert "intervals" in point.note


@pytest.mark.slow
def test_rounded_answers_of_a_network_are_bounds_too() -> None:
    point = last(victim_of("mlp", "digits"), 1510, Rounding(2))
    assert point.metrics["fidelity_test"] >= 0.995
    assert point.metrics["fidelity_uniform"] >= 0.99


@pytest.mark.parametrize("seed", SEEDS)
def test_one_decimal_hides_nothing_from_60_queries_an_unknown(seed: int) -> None:
    point = last(victim_of("logistic", "breast_cancer"), 60 * 31, Rounding(1), seed)
    assert_stolen(point.metrics, 1e-9)
    assert point.note == "intervals at 1 decimals, 40 edges"
    assert point.parameters["coef"].shape == (1, 30)


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest"])
def test_edges_are_equations_of_other_families_too(family: str) -> None:
    assert_stolen(last(victim_of(family, "iris"), 300, Rounding(1)).metrics, 1e-4)


def test_every_checkpoint_before_the_edges_are_sharp_is_served() -> None:
    target = victim_of("logistic", "breast_cancer")
    points = curve(target, [100, 155, 156, 311, 620, 930, 1860, 2500], Rounding(1))
    assert [p.queries for p in points] == [100, 155, 156, 311, 620, 930, 1860, 2500]
    judged = [p.metrics["tv_uniform"] for p in points]
    assert max(judged[4:]) < 0.1 * min(judged[:3])
    assert judged[-1] < 1e-9


def test_edges_that_are_not_located_yet_hide_nothing_that_answers_tell() -> None:
    runs = [
        list(
            Extraction(
                victim_of("softmax", "wine", seed=s),
                Rounding(2),
                EquationSolving(True),
                (190, 260),
                s,
            )
        )
        for s in range(3)
    ]
    before, amid = np.median([[p.metrics["tv_uniform"] for p in run] for run in runs], axis=0)
    assert amid < min(before, 6e-4)  # 8e-4 where the edges alone count


def test_an_attacker_that_takes_rounding_for_truth_does_not_bisect() -> None:
    run = Extraction(
        victim_of("logistic", "breast_cancer"), Rounding(1), EquationSolving(False), [60 * 31]
    )
    point = next(iter(run))
    assert point.note == "soft labels"
    assert point.metrics["tv_uniform"] > 1e-4


def test_classes_that_are_left_out_are_not_taken_for_edges() -> None:
    cut = Stack({"top_k": TopK(k=2, renormalise=False), "rounding": Rounding(2)})
    point = last(victim_of("softmax", "iris"), 300, cut)
    assert point.note == "intervals at 2 decimals"
    assert point.metrics["fidelity_uniform"] >= 0.98


def test_edges_survive_refusals_and_bare_labels() -> None:
    @dataclass(frozen=True)
    class Both(Whimsical):
        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            outputs = super().respond(x, reply, account).outputs
            assert outputs is not None
            return reply.with_outputs(np.round(outputs, 1))

    point = last(victim_of("logistic", "breast_cancer"), 120 * 31, Both())
    assert point.metrics["fidelity_uniform"] >= 0.999


def test_a_unit_that_few_answers_switch_on_leaves_the_rest_solved() -> None:
    rng = np.random.default_rng(0)
    w, b = 3 * rng.normal(size=(8, 6)) / np.sqrt(8), rng.normal(size=6) / 2
    b[0] = 1.5 - np.abs(w[:, 0]).sum()  # one corner of the cube
    a = rng.normal(size=(6, 3))

    def predict(x: Array) -> Reply:
        return from_outputs(np.asarray(softmax(np.maximum(x @ w + b, 0) @ a, axis=1)))

    x = rng.uniform(-1, 1, (300, 8))
    y = predict(x).labels
    shares = Shares(InputSpace.box(8), ("a", "b", "c"), x[:99], y[:99], x[99:200], x[200:], y[200:])
    target = Victim(shares, predict, "mlp", {"hidden": 6, "activation": "relu"})
    point = last(target, 150)
    assert point.metrics["tv_uniform"] < 1e-3


@pytest.mark.parametrize("seed", [1, 3, 4, 5, 11])
def test_a_rectifier_is_not_split_into_two_where_units_are_to_spare(seed: int) -> None:
    # Two halves explain all answers too, and err by .006 to .06 between the rows asked.
    rng = np.random.default_rng(seed)
    true = Network(design(rng.uniform(-1, 1, (60, 6))), 3, 3, "relu")
    theta = true.join(rng.standard_normal((7, 3)), 1.5 * rng.standard_normal((4, 2)))
    answers = np.asarray(softmax(true.scores(theta), axis=1))
    model = replace(true, hidden=5)
    found = solve_network(model, answers, rng).theta
    x = design(np.random.default_rng(99).uniform(-1, 1, (5000, 6)))
    told, right = replace(model, a=x).scores(found), replace(true, a=x).scores(theta)
    gap = softmax(told, axis=1) - softmax(right, axis=1)
    assert np.abs(gap).sum(axis=1).max() / 2 < 1e-9


def test_every_second_question_to_rectifiers_is_a_valid_row() -> None:
    rng = np.random.default_rng(0)
    space = InputSpace(
        (Numeric("n"), Categorical("c", ("a", "b", "c")), Categorical("d", ("d", "e")))
    )
    w, out = rng.normal(size=(space.d, 3)), rng.normal(size=(3, 2))
    asked: list[Array] = []

    def predict(x: Array) -> Reply:
        asked.append(x)
        return from_outputs(np.asarray(softmax(np.maximum(x @ w, 0) @ out, axis=1)))

    x = space.sample(300, rng)
    y = predict(x).labels
    shares = Shares(space, ("a", "b"), x[:99], y[:99], x[99:200], x[200:], y[200:])
    for activation in ("relu", "tanh"):
        target = Victim(shares, predict, "mlp", {"hidden": 3, "activation": activation})
        asked.clear()
        curve(target, [3, 10])
        bought = np.vstack([x for x in asked if len(x) in (3, 7)])
        valid = space.valid(bought)
        assert not valid[::2].any()
        assert valid[1::2].all() == (activation == "relu")


def test_bounds_tell_more_than_soft_labels() -> None:
    target, judged = victim_of("softmax", "digits"), []
    for intervals in (True, False):
        run = Extraction(target, Rounding(2), EquationSolving(intervals), [650])
        judged.append(next(iter(run)).metrics["tv_uniform"])
    assert judged[0] < 0.6 * judged[1]


@pytest.mark.parametrize("renormalise", [False, True])
def test_the_top_classes_keep_their_log_odds(renormalise: bool) -> None:
    defense = TopK(k=5, renormalise=renormalise)
    assert_stolen(last(victim_of("softmax", "digits"), 325, defense).metrics, 1e-9)


def test_of_two_classes_one_tells_the_other() -> None:
    defense = TopK(k=1, renormalise=False)
    assert_stolen(last(victim_of("logistic", "breast_cancer"), 62, defense).metrics, 1e-9)


def test_noise_of_which_nothing_is_known_leaves_soft_labels() -> None:
    defense = Noise("gaussian", 0.01, "fresh", 1e-6)
    run = Extraction(
        victim_of("softmax", "digits"), defense, EquationSolving(True, noise="ignored"), [650]
    )
    point = next(iter(run))
    assert point.note == "soft labels"
    assert point.metrics["fidelity_test"] > 0.9
    assert not point.parameters


# Behind an API that is not a plain one


class Whimsical(Defense):
    """Refuse some rows, and answer others with the label only."""

    def admit(self, x: Array, account: str) -> Mask:
        """Refuse what lies in one half of the cube."""
        return np.asarray(x[:, 0] < 0)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        """Tell labels only in half of the rest."""
        assert reply.outputs is not None
        outputs = reply.outputs.copy()
        outputs[x[:, 1] < 0] = np.nan
        return reply.with_outputs(outputs)


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest"])
def test_refusals_and_bare_labels_only_cost_queries(family: str) -> None:
    assert_stolen(last(victim_of(family, "iris"), 80, Whimsical()).metrics, 1e-9)


class Refusal(Defense):
    """Refuse everything."""

    def admit(self, x: Array, account: str) -> Mask:
        return np.zeros(len(x), bool)


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest", "mlp"])
def test_an_api_that_refuses_everything_teaches_nothing(family: str) -> None:
    points = curve(victim_of(family, "iris"), [5, 10], Refusal())
    assert [(p.queries, p.refused, p.converged) for p in points] == [(5, 5, False), (10, 10, False)]


@dataclass(frozen=True)
class Replacement(Defense):
    """Answer the same outputs to everything."""

    outputs: tuple[float, ...]

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply.with_outputs(np.tile(self.outputs, (len(x), 1)))


@pytest.mark.parametrize("family", ["softmax", "one_vs_rest", "mlp"])
@pytest.mark.parametrize(
    "outputs",
    [
        (1.0, 0.0, 0.0),
        (0.0, 0.0, 0.0),
        (0.5, 0.5, 0.0),
        (1 / 3, 1 / 3, 1 / 3),
        (np.pi / 4, 1e-300, 0.0),
        (-1.0, 2.0, 0.0),
        (np.nan, np.nan, np.nan),
    ],
)
def test_any_answers_are_survived(family: str, outputs: tuple[float, ...]) -> None:
    points = curve(victim_of(family, "iris"), [1, 4, 30], Replacement(outputs))
    assert [p.queries for p in points] == [1, 4, 30]
    assert all(0 <= p.metrics["tv_uniform"] <= 1 for p in points)


def test_saturated_answers_leave_the_others_to_solve(toy: Victim) -> None:
    rng = np.random.default_rng(0)
    w = 40 * rng.normal(size=4)

    def predict(x: Array) -> Reply:
        with np.errstate(over="ignore"):
            p = 1 / (1 + np.exp(-(x @ w)))
        return from_outputs(np.stack([1 - p, p], axis=1))

    s = toy.shares
    y = predict(s.x_test).labels
    shares = Shares(s.space, ("a", "b"), s.x_train, s.y_train % 2, s.pool, s.x_test, y)
    metrics = last(Victim(shares, predict, "logistic"), 50).metrics
    assert metrics["fidelity_uniform"] >= 0.999


def test_labels_alone_are_not_enough() -> None:
    with pytest.raises(NotApplicable, match="needs confidences"):
        curve(victim_of("softmax", "iris"), [10], LabelOnly())


def test_a_network_of_unknown_shape_is_not_attacked(toy: Victim) -> None:
    target = Victim(toy.shares, toy.predict, "mlp", {"layers": 3})
    with pytest.raises(NotApplicable, match="needs one hidden layer"):
        curve(target, [10])


def test_a_knob_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="intervals must be true or false"):
        EquationSolving(intervals="yes")


@pytest.mark.parametrize("defense", [Rounding(2), Noise("gaussian", 0.05, "keyed", 1e-6)])
def test_the_same_seed_draws_the_same_curve(defense: Defense) -> None:
    target = victim_of("mlp", "iris")
    first, second = (curve(target, [30, 60], defense) for _ in range(2))
    np.testing.assert_equal([p.metrics for p in first], [p.metrics for p in second])
