"""Defenses: what each answers, and the contract over every one of them."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.testing import assert_allclose
from shop import deployed

from moatbench.defense import Defense, evidence_of
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.noise import Noise
from moatbench.defenses.refuse import Refuse
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.top_k import TopK
from moatbench.monitor import Monitor
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply, from_outputs
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

NAN = float("nan")
X = np.zeros((3, 4))
OUTPUTS = np.array([[0.5, 0.26, 0.24], [0.25, 0.25, 0.5], [NAN, NAN, NAN]])
REPLY = Reply(np.array([0, 2, 1]), OUTPUTS)
NOISES = [(d, m) for d in ("gaussian", "laplace") for m in ("fresh", "keyed")]


def answered(defense: Defense, reply: Reply = REPLY, x: Array = X) -> Array:
    outputs = defense.respond(x, reply, "alice").outputs
    assert outputs is not None
    return outputs


def noise(distribution: str, mode: str, sigma: float = 0.1, grid: float = 1e-6) -> Noise:
    return Noise(distribution, sigma, mode, grid)


class EveryOther(Monitor):
    """In alarm on every second query of an account, and between accounts apart."""

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._asked: dict[str, int] = {}

    def observe(self, x: Array, labels: Labels, account: str) -> Mask:
        asked = self._asked.get(account, 0)
        self._asked[account] = asked + len(x)
        return np.asarray((asked + np.arange(len(x))) % 2 == 1)


# What conf/ holds meets the contract in tests/contract; these knobs and stacks are not there.
ALL: list[Defense] = [
    Rounding(0),
    Rounding(15),
    Rounding(1, "log"),
    Noise("gaussian", 0.3, "keyed", 1e-6, "log"),
    TopK(2, True),
    Refuse(),
    *(noise(d, m) for d, m in NOISES if m == "keyed"),
    QueryMonitoring(PRADA(1.0, True, 7, 20), LabelOnly()),
    QueryMonitoring(PRADA(0.9, True, 10, 100), noise("gaussian", "fresh")),
    QueryMonitoring(EveryOther(), Rounding(1)),
    QueryMonitoring(EveryOther(), QueryMonitoring(EveryOther(), Refuse())),
    Stack({"prada": QueryMonitoring(PRADA(1.0, False, 5, 20), Refuse()), "round": Rounding(1)}),
    Stack({"noise": noise("laplace", "keyed"), "top": TopK(2, False), "labels": LabelOnly()}),
    Stack({"labels": LabelOnly(), "noise": noise("gaussian", "fresh"), "round": Rounding(1)}),
]


@pytest.mark.parametrize("defense", ALL, ids=lambda d: type(d).__name__)
def test_the_contract_holds(toy: Victim, defense: Defense) -> None:
    assert check_defense(toy, defense) == ""


def test_rounding_rounds_and_keeps_the_label_of_a_tie_it_makes() -> None:
    reply = Rounding(1).respond(X, Reply(np.array([1]), np.array([[0.46, 0.54]])), "alice")
    assert reply.outputs is not None
    assert reply.outputs.tolist() == [[0.5, 0.5]]
    assert reply.labels.tolist() == [1]


def test_rounding_to_one_decimal_moves_the_argmax_of_one_answer_in_thirty() -> None:
    # three classes, Dirichlet(1/2); this is why the label is a field of its own
    outputs = np.random.default_rng(0).dirichlet([0.5] * 3, 40_000)
    rounded = answered(Rounding(1), from_outputs(outputs))
    moved = np.mean(rounded.argmax(axis=1) != outputs.argmax(axis=1))
    assert moved == pytest.approx(0.034, abs=0.003)


def test_label_only_tells_labels_and_says_so() -> None:
    reply = LabelOnly().respond(X, REPLY, "alice")
    assert reply.outputs is None
    assert reply.labels.tolist() == [0, 2, 1]
    assert not LabelOnly().traits.confidences


def test_top_k_keeps_the_largest_and_of_equals_the_first() -> None:
    expected = [[0.5, 0.26, 0.0], [0.25, 0.0, 0.5], [NAN] * 3]
    assert_allclose(answered(TopK(2, False)), expected, rtol=0, atol=0)


def test_top_k_renormalises_on_request() -> None:
    expected = [[0.5 / 0.76, 0.26 / 0.76, 0.0], [1 / 3, 0.0, 2 / 3], [NAN] * 3]
    assert_allclose(answered(TopK(2, True)), expected, rtol=1e-15)


def test_every_pair_that_top_k_keeps_tells_its_exact_log_odds() -> None:
    kept = answered(TopK(2, True))
    assert np.log(kept[0, 0] / kept[0, 1]) == pytest.approx(np.log(0.5 / 0.26), abs=1e-14)


@pytest.mark.parametrize("renormalise", [False, True])
def test_as_many_as_there_are_classes_is_no_defense(renormalise: bool) -> None:
    assert TopK(3, renormalise).respond(X, REPLY, "alice") is REPLY


@pytest.mark.parametrize("defense", [Rounding(1), TopK(1, True), LabelOnly(), noise(*NOISES[0])])
def test_what_has_no_outputs_passes_through(toy: Victim, defense: Defense) -> None:
    reply = deployed(defense, toy).respond(X, Reply(REPLY.labels), "alice")
    assert reply.outputs is None
    assert reply.labels is REPLY.labels


@pytest.mark.parametrize(("distribution", "mode"), NOISES)
def test_noise_has_the_standard_deviation_it_is_given(
    toy: Victim, distribution: str, mode: str
) -> None:
    defense = noise(distribution, mode, sigma=0.01)
    # 20 classes of equal weight: nothing is clipped, and normalising takes 1/20 of the variance
    x, flat = toy.space.sample(20_000, np.random.default_rng(1)), np.full((20_000, 20), 0.05)
    spread = answered(deployed(defense, toy), from_outputs(flat), x).std()
    assert spread == pytest.approx(0.01 * np.sqrt(19 / 20), rel=0.02)


@pytest.mark.parametrize(("distribution", "kurtosis"), [("gaussian", 3.0), ("laplace", 6.0)])
@pytest.mark.parametrize("mode", ["fresh", "keyed"])
def test_noise_has_the_tails_of_its_distribution(
    toy: Victim, distribution: str, kurtosis: float, mode: str
) -> None:
    defense = noise(distribution, mode)
    deployed(defense, toy)
    eta = defense._draw(toy.space.sample(50_000, np.random.default_rng(1)), 4, "alice")
    assert eta.std() == pytest.approx(1, rel=0.01)
    assert np.mean(eta**4) / np.mean(eta**2) ** 2 == pytest.approx(kurtosis, rel=0.05)


@pytest.mark.parametrize(("distribution", "mode"), NOISES)
def test_no_noise_answers_the_very_same_bits(toy: Victim, distribution: str, mode: str) -> None:
    defense = deployed(noise(distribution, mode, sigma=0), toy)
    assert defense.respond(X, REPLY, "alice") is REPLY


@pytest.mark.parametrize(("distribution", "mode"), NOISES)
def test_the_label_of_a_noisy_answer_is_its_top_class(
    toy: Victim, distribution: str, mode: str
) -> None:
    defense, x = deployed(noise(distribution, mode, sigma=0.5), toy), toy.shares.x_test
    reply = defense.respond(x, toy.predict(x), "alice")
    assert reply.outputs is not None
    assert np.array_equal(reply.labels, reply.outputs.argmax(axis=1))
    assert not np.array_equal(reply.labels, toy.predict(x).labels)
    assert not defense.traits.keeps_labels


def test_noise_leaves_a_row_without_outputs_and_its_label(toy: Victim) -> None:
    reply = deployed(noise("gaussian", "fresh"), toy).respond(X, REPLY, "alice")
    assert reply.outputs is not None
    assert np.isnan(reply.outputs).tolist() == [[False] * 3, [False] * 3, [True] * 3]
    assert reply.labels[2] == 1


def test_a_regression_value_is_neither_clipped_nor_normalised(toy: Victim) -> None:
    values = Reply(np.zeros(5000, np.int64), np.full((5000, 1), 37.0))
    noisy = answered(deployed(noise("gaussian", "fresh", 2.0), toy), values, np.zeros((5000, 4)))
    assert noisy.mean() == pytest.approx(37, abs=0.1)
    assert noisy.std() == pytest.approx(2, abs=0.1)


def test_a_row_that_noise_clips_to_nothing_becomes_uniform() -> None:
    assert normalised(np.array([[0.0, 0.0], [3.0, 1.0]])).tolist() == [[0.5, 0.5], [0.75, 0.25]]


def test_normalising_does_not_depend_on_the_order_in_memory() -> None:
    weights = np.random.default_rng(0).random((50, 37))
    apart = np.concatenate([normalised(row[None]) for row in weights])
    assert np.array_equal(normalised(np.asfortranarray(weights)), apart)


def repeated(toy: Victim, defense: Noise, jitter: float) -> tuple[Array, Array]:
    """The answers to one input on the grid, and to the same input moved by `jitter`."""
    deployed(defense, toy)
    x = np.full((1, 4), 0.25)
    reply = toy.predict(x)
    return answered(defense, reply, x), answered(defense, reply, x + jitter)


def test_keyed_noise_answers_a_repeat_as_before_even_with_jitter(toy: Victim) -> None:
    one, two = repeated(toy, noise("gaussian", "keyed"), jitter=1e-9)
    assert np.array_equal(one, two)


def test_keyed_noise_is_drawn_anew_beyond_its_grid(toy: Victim) -> None:
    one, two = repeated(toy, noise("gaussian", "keyed"), jitter=1e-3)
    assert not np.array_equal(one, two)


def test_a_coarser_grid_takes_a_greater_jitter(toy: Victim) -> None:
    one, two = repeated(toy, noise("gaussian", "keyed", grid=0.125), jitter=1e-3)
    assert np.array_equal(one, two)


def test_fresh_noise_answers_a_repeat_otherwise(toy: Victim) -> None:
    one, two = repeated(toy, noise("gaussian", "fresh"), jitter=0)
    assert not np.array_equal(one, two)


def test_another_deployment_has_another_key(toy: Victim) -> None:
    defense = noise("gaussian", "keyed")
    x = toy.shares.x_test
    one, two = (answered(deployed(defense, toy, seed), toy.predict(x), x) for seed in (0, 1))
    assert np.mean(np.isclose(one, two)) < 0.2  # some are clipped to 0 or 1 alike


def test_averaging_fresh_answers_helps_and_averaging_keyed_ones_does_not(toy: Victim) -> None:
    x = np.repeat(toy.shares.x_test[:1], 400, axis=0)
    flat = from_outputs(np.full((400, 3), 1 / 3))
    errors = {
        mode: np.abs(
            answered(deployed(noise("gaussian", mode), toy), flat, x).mean(0) - 1 / 3
        ).max()
        for mode in ("fresh", "keyed")
    }
    assert errors["fresh"] < 0.015 < 0.03 < errors["keyed"]


def monitored(toy: Victim, response: Defense) -> tuple[QueryMonitoring, Reply]:
    """Every second of eight queries in alarm, and the reply to them."""
    defense = QueryMonitoring(EveryOther(), response)
    deployed(defense, toy)
    x = toy.shares.x_test[:8]
    return defense, defense.respond(x, toy.predict(x), "alice")


def test_an_alarm_that_is_logged_changes_no_answer(toy: Victim) -> None:
    defense, reply = monitored(toy, Defense())
    truth = toy.predict(toy.shares.x_test[:8]).outputs
    assert truth is not None
    assert reply.outputs is not None
    assert np.array_equal(reply.outputs, truth)
    assert evidence_of(defense).alarms == {"alice": 2}


def test_a_response_meets_only_the_rows_in_alarm(toy: Victim) -> None:
    _, reply = monitored(toy, LabelOnly())
    assert reply.outputs is not None
    assert np.isnan(reply.outputs).all(axis=1).tolist() == [False, True] * 4


def test_a_response_that_refuses_withholds_the_rows_in_alarm(toy: Victim) -> None:
    _, reply = monitored(toy, Refuse())
    assert reply.refused is not None
    assert reply.refused.tolist() == [False, True] * 4


def test_an_alarm_is_dated_by_the_queries_of_its_own_account(toy: Victim) -> None:
    defense, _ = monitored(toy, Defense())
    one = toy.predict(X[:1])
    for account in ("bob", "carol", "carol"):
        defense.respond(X[:1], one, account)
    assert evidence_of(defense).alarms == {"alice": 2, "carol": 2}


def test_only_an_account_in_alarm_waits(toy: Victim) -> None:
    class Slow(Defense):
        def wait(self, n: int, account: str) -> float:
            return 2.0 * n

    defense, _ = monitored(toy, Slow())  # the eighth query raised the alarm
    assert defense.wait(8, "alice") == 8.0, "every other row of the batch was in alarm"
    assert defense.wait(3, "alice") == 6.0
    assert defense.wait(3, "bob") == 0.0


def test_monitoring_preserves_labels_and_keeps_accounts_apart_as_its_response_does() -> None:
    monitor = PRADA(0.9, False, 10, 100)
    assert QueryMonitoring(monitor, LabelOnly()).traits.keeps_labels
    assert not QueryMonitoring(monitor, noise("gaussian", "fresh")).traits.keeps_labels
    assert not QueryMonitoring(monitor, LabelOnly()).traits.shared


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rounding(16), "whole number from 0 to 15, got 16"),
        (lambda: Rounding(-1), "got -1"),
        (lambda: Rounding(1.5), "got 1.5"),
        (lambda: TopK(0, True), "at least 1, got 0"),
        (lambda: TopK(1, "yes"), "true or false, got 'yes'"),
        (lambda: Noise("cauchy", 0.1, "fresh", 1e-6), "gaussian or laplace, got 'cauchy'"),
        (lambda: Noise("laplace", 0.1, "stale", 1e-6), "fresh or keyed, got 'stale'"),
        (lambda: Noise("laplace", -0.1, "fresh", 1e-6), "at least 0, got -0.1"),
        (lambda: Noise("laplace", NAN, "fresh", 1e-6), "at least 0, got nan"),
        (lambda: Noise("laplace", "abc", "fresh", 1e-6), "got 'abc'"),
        (lambda: Noise("laplace", 0.1, "keyed", 0.0), "grid must be a number above 0, got 0.0"),
        (lambda: QueryMonitoring("prada", Refuse()), "monitor must be a Monitor, got 'prada'"),
        (lambda: QueryMonitoring(Monitor(), "refuse"), "response@defense.NAME.response=refuse"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
