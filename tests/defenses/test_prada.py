"""PRADA: its alarms are those of the paper's algorithm, written out literally here."""

import warnings
from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import shapiro

from moatbench.defenses.monitors.prada import PRADA, _History
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import Victim

Stream = tuple[Array, Labels]
Make = Callable[[Generator], Stream]


def literal(stream: Stream, delta: float, latched: bool = False) -> tuple[list[bool], list[float]]:
    """Juuti et al. 2019, by loops over lists; the alarms, and each W that was tested."""
    grown: dict[int, list[Array]] = {}
    gaps: dict[int, list[float]] = {}
    threshold: dict[int, float] = {}
    distances: dict[int, list[float]] = {}
    alarm, alarms, tested = False, [], []
    for number, (x, c) in enumerate(zip(*stream, strict=True), start=1):
        if c not in grown:
            grown[c], gaps[c], threshold[c], distances[c] = [x], [0.0], 0.0, []
        else:
            nearest = min(float(np.sqrt(((x - g) ** 2).sum())) for g in grown[c])
            distances[c].append(nearest)
            if nearest > threshold[c]:
                grown[c].append(x)
                gaps[c].append(nearest)
                threshold[c] = max(threshold[c], float(np.mean(gaps[c]) - np.std(gaps[c])))
        if number % 10 == 0:
            pooled = np.array([z for part in distances.values() if len(part) >= 10 for z in part])
            if len(pooled):
                pooled = pooled[np.abs(pooled - pooled.mean()) < 3 * pooled.std()]
            if len(pooled) > 100:
                tested.append(float(shapiro(pooled).statistic))
                alarm = tested[-1] < delta or (latched and alarm)
        alarms.append(alarm)
    return alarms, tested


def line_search(rng: Generator, n: int = 400, d: int = 8) -> Stream:
    """Bisect between random points of opposite sign, down to 0.01: Tramèr's line search."""
    x: list[Array] = []
    normal = rng.normal(size=d)
    while len(x) < n:
        a, b = rng.uniform(-1, 1, (2, d))
        x += [a, b]
        while (a @ normal > 0) != (b @ normal > 0) and np.linalg.norm(a - b) > 0.01:
            middle = (a + b) / 2
            x.append(middle)
            a, b = (middle, b) if (middle @ normal > 0) == (a @ normal > 0) else (a, middle)
    rows = np.array(x[:n])
    return rows, (rows @ normal > 0).astype(np.int64)


def cloud(rng: Generator, n: int = 400, d: int = 8) -> Stream:
    """Draw customers' data: normal, in three classes of which one is rare."""
    return rng.normal(size=(n, d)) / 4, rng.choice(3, size=n, p=[0.6, 0.39, 0.01]).astype(np.int64)


def repeats(rng: Generator, n: int = 400, d: int = 8) -> Stream:
    """Ask the same forty rows again and again."""
    rows = rng.integers(40, size=n)
    return rng.normal(size=(40, d))[rows] / 4, rows % 3


def mixture(rng: Generator) -> Stream:
    """Search, then behave: an alarm that is not latched ends."""
    search, benign = line_search(rng, 200), cloud(rng, 900)
    return tuple(np.concatenate(parts) for parts in zip(search, benign, strict=True))  # type: ignore[return-value]


STREAMS = [line_search, cloud, repeats, mixture]


def alarms(stream: Stream, monitor: PRADA, toy: Victim) -> Mask:
    monitor.deploy(toy, np.random.default_rng(0))
    return np.asarray(monitor.observe(*stream, "alice"))


@pytest.mark.parametrize("latched", [False, True])
@pytest.mark.parametrize("delta", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("make", STREAMS)
def test_alarms_are_those_of_the_literal_algorithm(
    toy: Victim, make: Make, delta: float, latched: bool
) -> None:
    stream = make(np.random.default_rng(3))
    expected, _ = literal(stream, delta, latched)
    assert alarms(stream, PRADA(delta, latched, 10, 100), toy).tolist() == expected


@pytest.mark.parametrize("make", STREAMS)
def test_the_statistic_is_that_of_the_literal_algorithm(toy: Victim, make: Make) -> None:
    stream = make(np.random.default_rng(3))
    _, tested = literal(stream, 0.9)
    history, found = _History(), []
    for number, (x, label) in enumerate(zip(*stream, strict=True), start=1):
        history.add(x, int(label))
        if number % 10 == 0 and (w := history.normality(100)) is not None:
            found.append(w)
    assert tested
    np.testing.assert_allclose(found, tested, rtol=1e-12)


def test_a_worked_example_of_the_growing_set() -> None:
    # One class on a line. 0 starts the set; 4 lies 4 > 0 away, enters, T = mean(0, 4) - std = 0.
    # 7 lies 3 away, enters, T = 7/3 - sqrt(78)/3/sqrt(3); 7.5 lies .5 < T away and stays outside.
    history = _History()
    for point in (0.0, 4.0, 7.0, 7.5, 9.0):
        history.add(np.array([point]), 0)
    grown = history.grown[0]
    assert history.distances.all.tolist() == [4.0, 3.0, 0.5, 2.0]
    assert grown._points.all.ravel().tolist() == [0.0, 4.0, 7.0, 9.0]
    gaps = np.array([0.0, 4.0, 3.0, 2.0])
    assert grown._threshold == pytest.approx(gaps.mean() - gaps.std())


def test_a_line_search_raises_the_alarm_as_soon_as_a_test_is_possible(toy: Victim) -> None:
    raised = alarms(line_search(np.random.default_rng(0)), PRADA(0.95, False, 10, 100), toy)
    assert 110 <= int(np.argmax(raised)) + 1 <= 130


def test_customers_whose_data_is_normal_raise_none(toy: Victim) -> None:
    assert not alarms(cloud(np.random.default_rng(0)), PRADA(0.9, False, 10, 100), toy).any()


def test_uniform_queries_pass_as_honest(toy: Victim) -> None:
    # REFERENCE 1c: the uniform cube never alarms, so equation solving goes unseen.
    x = np.random.default_rng(0).uniform(-1, 1, (1000, 30))
    stream = x, (x[:, 0] > 0).astype(np.int64)
    assert not alarms(stream, PRADA(0.9, False, 10, 100), toy).any()


def test_an_alarm_ends_unless_it_is_latched(toy: Victim) -> None:
    stream = mixture(np.random.default_rng(3))
    passing, latched = (alarms(stream, PRADA(0.9, flag, 10, 100), toy) for flag in (False, True))
    first = int(np.argmax(passing))
    assert passing.any()
    assert not passing[-1]
    assert latched.tolist() == [i >= first for i in range(len(latched))]


@pytest.mark.parametrize("make", STREAMS)
def test_delta_zero_never_alarms(toy: Victim, make: Make) -> None:
    stream = make(np.random.default_rng(3))
    assert not alarms(stream, PRADA(0.0, False, 10, 100), toy).any()


def test_one_account_does_not_alarm_another(toy: Victim) -> None:
    monitor, stream = PRADA(0.9, True, 10, 100), line_search(np.random.default_rng(0))
    assert alarms(stream, monitor, toy).any()
    assert not monitor.observe(stream[0][:100], stream[1][:100], "bob").any()


def test_batches_make_no_difference(toy: Victim) -> None:
    monitor, (x, labels) = PRADA(0.9, False, 10, 100), line_search(np.random.default_rng(0))
    whole = alarms((x, labels), monitor, toy)
    monitor.deploy(toy, np.random.default_rng(0))
    parts = [monitor.observe(x[i : i + 7], labels[i : i + 7], "alice") for i in range(0, 400, 7)]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_the_same_row_for_ever_gives_nothing_to_test(toy: Victim) -> None:
    stream = np.ones((300, 4)), np.zeros(300, dtype=np.int64)
    assert not alarms(stream, PRADA(1.0, False, 10, 100), toy).any()


def test_a_feature_left_out_counts_as_zero(toy: Victim) -> None:
    x, labels = line_search(np.random.default_rng(0))
    gone, zero = x.copy(), x.copy()
    gone[::3, 0], zero[::3, 0] = np.nan, 0.0
    one, two = (alarms((rows, labels), PRADA(0.95, False, 10, 100), toy) for rows in (gone, zero))
    assert one.tolist() == two.tolist()


def test_rows_are_kept_even_when_the_client_writes_over_them(toy: Victim) -> None:
    x, labels = line_search(np.random.default_rng(0))
    whole = alarms((x, labels), PRADA(0.95, False, 10, 100), toy)
    monitor, buffer, reused = PRADA(0.95, False, 10, 100), np.empty((1, 8)), []
    monitor.deploy(toy, np.random.default_rng(0))
    for row, label in zip(x, labels, strict=True):
        buffer[0] = row
        reused.append(bool(monitor.observe(buffer, np.array([label]), "alice")[0]))
    assert reused == whole.tolist()


def test_more_than_five_thousand_distances_are_tested_without_a_warning(toy: Victim) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (5200, 3))
    monitor = PRADA(0.9, False, 400, 100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alarms((x, np.zeros(5200, dtype=np.int64)), monitor, toy)
    assert monitor._accounts["alice"].normality(5000) is not None


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ((1.5, False, 10, 100), "delta must be a number from 0 to 1, got 1.5"),
        (("abc", False, 10, 100), "delta must be a number from 0 to 1, got 'abc'"),
        ((0.9, "no", 10, 100), "latched must be true or false, got 'no'"),
        ((0.9, False, 0, 100), "check_every must be a whole number of at least 1, got 0"),
        ((0.9, False, 10, 2), "min_distances must be a whole number of at least 3, got 2"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(knobs: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PRADA(*knobs)
