"""Defenses that tell less: digits, bins, thresholds, refusals, grids."""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from shop import by_hand, deployed

from moatbench.defense import Defense
from moatbench.defenses.binning import Binning
from moatbench.defenses.confidence_threshold import ConfidenceThreshold
from moatbench.defenses.grid import Grid
from moatbench.defenses.refuse_invalid import RefuseInvalid
from moatbench.defenses.refuse_partial import RefusePartial
from moatbench.defenses.rounding import Rounding
from moatbench.defenses.significant_digits import SignificantDigits
from moatbench.defenses.top_k import TopK
from moatbench.reply import Reply, from_outputs
from moatbench.space import Categorical, InputSpace, Numeric
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.types import Array
from moatbench.victim import Victim

NAN = float("nan")
X = np.zeros((3, 4))
OUTPUTS = np.array([[0.9584, 0.0415, 0.0001], [0.25, 0.2501, 0.4999], [NAN, NAN, NAN]])
REPLY = Reply(np.array([0, 2, 1]), OUTPUTS)
ALL: list[Defense] = [
    SignificantDigits(1),
    SignificantDigits(15),
    Binning(3),
    Binning(2),
    ConfidenceThreshold(0.9, "row"),
    ConfidenceThreshold(0.2, "entry"),
    RefusePartial(),
    RefuseInvalid(),
    Grid(0.1),
    Grid(1.0),
    Stack({"grid": Grid(0.05), "digits": SignificantDigits(2), "sure": Rounding(1)}),
]
OF_OUTPUTS = [d for d in ALL if isinstance(d, SignificantDigits | Binning | ConfidenceThreshold)]


def answered(defense: Defense, outputs: Array = OUTPUTS) -> Array:
    reply = replace(REPLY, outputs=outputs) if outputs is OUTPUTS else from_outputs(outputs)
    told = defense.respond(np.zeros((len(outputs), 4)), reply, "alice").outputs
    assert told is not None
    return told


def labels_only(victim: Victim) -> Victim:
    return replace(victim, predict=lambda x: Reply(victim.predict(x).labels))


def regression(victim: Victim) -> Victim:
    shares = replace(
        victim.shares, classes=("value",), y_train=victim.shares.y_train * 0, y_test=NO_LABELS
    )

    def predict(x: Array) -> Reply:
        return Reply(np.zeros(len(x), dtype=np.int64), x.sum(axis=1, keepdims=True))

    return Victim(shares, predict)


NO_LABELS = np.zeros(300, dtype=np.int64)


@pytest.fixture
def mixed() -> Victim:
    """Age in years, a one-hot and a coded category; it takes partial rows."""
    space = InputSpace(
        (
            Numeric("age", 17, 90),
            Categorical("sex", ("f", "m")),
            Categorical("state", ("a", "b", "c"), one_hot=False),
            Numeric("hours", 0, 1),
        )
    )
    x = space.sample(300, np.random.default_rng(0))

    def predict(rows: Array) -> Reply:
        p = 1 / (1 + np.exp(-np.nan_to_num(rows) @ np.array([0.02, 0.3, -0.2, 0.4, 1.0]) + 1.5))
        return from_outputs(np.stack([p, 1 - p], axis=1))

    return replace(by_hand(predict, x, (100, 200), space, ("n", "y")), partial=True)


@pytest.mark.parametrize("defense", ALL, ids=lambda d: type(d).__name__)
def test_the_contract_holds_on_mixed_and_partial_rows(mixed: Victim, defense: Defense) -> None:
    assert check_defense(mixed, defense) == ""


def test_two_significant_digits_of_each_confidence() -> None:
    expected = [[0.96, 0.042, 0.0001], [0.25, 0.25, 0.5], [NAN] * 3]
    assert answered(SignificantDigits(2))[:2].tolist() == expected[:2]
    assert np.isnan(answered(SignificantDigits(2))[2]).all()


def test_zero_has_no_significant_digit_and_a_value_any_size() -> None:
    values = np.array([[0.0], [-1234.5], [98765.0], [1e-300], [3e-200]])
    assert answered(SignificantDigits(2), values)[:, 0].tolist() == [0, -1200, 99000, 0, 3e-200]


@pytest.mark.parametrize("digits", [1, 2, 3, 6])
def test_significant_digits_are_those_of_decimal_formatting(digits: int) -> None:
    values = 10.0 ** np.random.default_rng(0).uniform(-12, 4, (5000, 2))
    expected = [[float(f"{v:.{digits - 1}e}") for v in row] for row in values]
    assert answered(SignificantDigits(digits), values).tolist() == expected


def test_a_small_confidence_keeps_its_logarithm() -> None:
    values = 10.0 ** np.random.default_rng(0).uniform(-20, 0, (5000, 2))
    gap = np.abs(np.log(answered(SignificantDigits(2), values) / values)).max()
    assert 0.045 < gap <= np.log(1 / 0.95)


def test_three_bins_are_low_medium_and_high() -> None:
    outputs = np.array([[0.0, 0.33, 0.34], [0.66, 0.67, 1.0]])
    assert answered(Binning(3), outputs).tolist() == [[0, 0, 0.5], [0.5, 1, 1]]


@pytest.mark.parametrize("bins", [2, 7, 100])
def test_no_binned_answer_is_off_by_more_than_a_bin(bins: int) -> None:
    outputs = np.random.default_rng(0).dirichlet([0.3] * 5, 2000)
    told = answered(Binning(bins), outputs)
    assert np.abs(told - outputs).max() <= 1 / bins + 1e-15
    assert len(np.unique(told)) == bins


def test_a_row_is_told_from_the_threshold_on() -> None:
    outputs = np.array([[0.9, 0.1], [0.89, 0.11], [0.05, 0.95]])
    told = answered(ConfidenceThreshold(0.9, "row"), outputs)
    assert np.isnan(told).tolist() == [[False] * 2, [True] * 2, [False] * 2]
    assert told[[0, 2]].tolist() == outputs[[0, 2]].tolist()


def test_an_entry_is_told_from_the_threshold_on() -> None:
    expected = [[0.9584, 0.0, 0.0], [0.25, 0.2501, 0.4999]]
    assert answered(ConfidenceThreshold(0.25, "entry"))[:2].tolist() == expected
    assert np.isnan(answered(ConfidenceThreshold(0.25, "entry"))[2]).all()


def test_both_conventions_of_top_k_are_one_knob() -> None:
    outputs = np.array([[0.5, 0.3, 0.2]])
    assert answered(TopK(2, renormalise=False), outputs).tolist() == [[0.5, 0.3, 0.0]]
    assert_allclose(answered(TopK(2, renormalise=True), outputs), [[0.625, 0.375, 0]], rtol=1e-15)


@pytest.mark.parametrize("defense", OF_OUTPUTS, ids=lambda d: type(d).__name__)
def test_the_label_stays(defense: Defense) -> None:
    assert defense.respond(X, REPLY, "alice").labels is REPLY.labels
    assert defense.traits.keeps_labels


@pytest.mark.parametrize("defense", OF_OUTPUTS, ids=lambda d: type(d).__name__)
def test_what_has_no_outputs_passes_through(defense: Defense) -> None:
    assert defense.respond(X, Reply(REPLY.labels), "alice").outputs is None


def test_a_row_that_leaves_a_feature_out_is_refused(mixed: Victim) -> None:
    x = mixed.space.sample(4, np.random.default_rng(0))
    x[1, 0] = x[3, 1:3] = NAN
    assert deployed(RefusePartial(), mixed).admit(x, "alice").tolist() == [True, False, True, False]


def test_a_row_that_is_not_one_hot_is_refused(mixed: Victim) -> None:
    x = np.array([[50, 1, -1, 2, 0.5], [50, 1, 1, 2, 0.5], [50, 0.2, -1, 2, 0.5]])
    partial = np.array([[NAN, 1, -1, 2, 0.5], [50, NAN, NAN, 2, 0.5]])
    defense = deployed(RefuseInvalid(), mixed)
    assert defense.admit(x, "alice").tolist() == [True, False, False]
    assert defense.admit(partial, "alice").tolist() == [True, True]


def test_a_grid_moves_numbers_alone_and_within_their_range(mixed: Victim) -> None:
    # a quarter of 17 to 90 is 18.25: 17, 35.25, 53.5, 71.75, 90
    x = np.array([[26.0, 1, -1, 2, 0.9], [26.2, -1, 1, 0, 0.1], [NAN, NAN, NAN, 1, 0.4]])
    expected = [[17.0, 1, -1, 2, 1.0], [35.25, -1, 1, 0, 0.0], [NAN, NAN, NAN, 1, 0.5]]
    assert_allclose(mixed.space.snap(x, 0.25), expected, rtol=0, atol=1e-12)


def test_a_snapped_row_is_the_nearest_of_the_grid(toy: Victim) -> None:
    x = toy.space.sample(200, np.random.default_rng(0))
    points = np.minimum(-1 + 2 * 0.3 * np.arange(5), 1.0)  # -1, -0.4, 0.2, 0.8, 1
    assert np.abs(toy.space.snap(x, 0.3)[:, :, None] - points).min(axis=2).max() < 1e-12
    inside = x[(x < 0.8).all(axis=1)]
    assert np.abs(toy.space.snap(inside, 0.3) - inside).max() <= 0.3 + 1e-12


def test_a_grid_answers_what_the_victim_says_of_the_snapped_row(toy: Victim) -> None:
    x = toy.shares.x_test
    reply = deployed(Grid(0.25), toy).respond(x, toy.predict(x), "alice")
    truth = toy.predict(toy.space.snap(x, 0.25))
    assert reply.outputs is not None
    assert truth.outputs is not None
    assert_allclose(reply.outputs, truth.outputs, rtol=1e-12)
    assert reply.labels.tolist() == truth.labels.tolist()
    assert np.mean(reply.labels != toy.predict(x).labels) > 0.05


def test_a_grid_tells_no_confidences_where_none_were_left(toy: Victim) -> None:
    x = toy.shares.x_test[:5]
    reply = deployed(Grid(0.25), toy).respond(x, Reply(toy.predict(x).labels), "alice")
    assert reply.outputs is None


def test_rows_in_one_cell_are_told_the_same(toy: Victim) -> None:
    x = np.array([[0.1, 0.1, 0.1, 0.1], [-0.1, 0.05, 0.2, -0.2]])
    reply = deployed(Grid(0.25), toy).respond(x, toy.predict(x), "alice")
    assert reply.outputs is not None
    assert reply.outputs[0].tolist() == reply.outputs[1].tolist()


def test_a_row_on_the_grid_keeps_its_answer(toy: Victim) -> None:
    x = np.array([[-1.0, -0.5, 0.0, 1.0]])
    reply = toy.predict(x)
    assert deployed(Grid(0.25), toy).respond(x, reply, "alice") is reply


def test_bisection_on_a_grid_ends_a_cell_from_the_boundary(toy: Victim) -> None:
    def label(at: float) -> int:
        x = np.array([[at, at, at, at]])
        return int(defense.respond(x, toy.predict(x), "a").labels[0])

    truths = toy.predict(np.repeat(np.linspace(-1, 1, 20001)[:, None], 4, axis=1)).labels
    first = np.linspace(-1, 1, 20001)[np.argmax(truths != truths[0])]
    errors = []
    for step in (0.0, 0.05):
        defense = deployed(Grid(step), toy)
        low, high = -1.0, first + 0.1
        for _ in range(40):
            middle = (low + high) / 2
            low, high = (middle, high) if label(middle) == truths[0] else (low, middle)
        errors.append(abs(low - first))
    assert errors[0] < 2e-4 < errors[1] < 0.1  # a cell is 2 * 0.05


@pytest.mark.parametrize(
    "defense", [SignificantDigits(2), Binning(3), ConfidenceThreshold(0.5, "row"), TopK(1, True)]
)
def test_a_victim_without_confidences_is_told_at_once(toy: Victim, defense: Defense) -> None:
    with pytest.raises(ValueError, match="this victim answers labels only"):
        deployed(defense, labels_only(toy))


@pytest.mark.parametrize("defense", [Binning(3), ConfidenceThreshold(0.5, "row"), TopK(1, True)])
def test_a_regression_is_told_at_once(toy: Victim, defense: Defense) -> None:
    with pytest.raises(ValueError, match="the value of a regression"):
        deployed(defense, regression(toy))


def test_a_regression_value_has_significant_digits(toy: Victim) -> None:
    assert check_defense(regression(toy), SignificantDigits(3)) == ""


@pytest.mark.parametrize("defense", [*OF_OUTPUTS, TopK(3, True)], ids=lambda d: type(d).__name__)
def test_ten_thousand_answers_take_less_than_a_second(defense: Defense) -> None:
    outputs = np.random.default_rng(0).dirichlet([0.5] * 10, 10_000)
    start = time.process_time()
    answered(defense, outputs)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SignificantDigits(0), "digits must be a whole number from 1 to 15, got 0"),
        (lambda: SignificantDigits(2.5), "got 2.5; for no confidences at all use label_only"),
        (lambda: SignificantDigits(True), "got True"),
        (lambda: Binning(1), "bins must be a whole number from 2 to 1e\\+06, got 1"),
        (lambda: Binning("three"), "got 'three'"),
        (lambda: ConfidenceThreshold(1.5, "row"), "threshold must be a number from 0 to 1, got 1"),
        (lambda: ConfidenceThreshold(NAN, "row"), "got nan"),
        (lambda: ConfidenceThreshold(0.5, "rows"), "scope must be row or entry, got 'rows'"),
        (lambda: Grid(-0.1), "step must be a number from 0 to 1, got -0.1; a share of each"),
        (lambda: Grid(2), "got 2"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Defense], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
