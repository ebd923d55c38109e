"""D-ADD: the class-wise Frechet distance of an account's windows."""

from dataclasses import replace
from math import inf

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import binom
from shop import victim_of

from moatbench.defenses.monitors.dadd import DADD
from moatbench.numerics.calibration import Calibration
from moatbench.numerics.frechet import Gaussian, Gaussians
from moatbench.types import Array
from moatbench.victim import NotApplicable, Victim

LOOSE = Calibration(false_positives=0.1, horizon=100, accounts=39)


def frechet(a: Array, b: Array) -> float:
    """Return the distance of two sets of points, by the definition."""
    s, t = (np.cov(z, rowvar=False, bias=True) for z in (a, b))
    root = np.real(sqrtm(s @ t))
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root))


def test_the_distance_of_one_point_is_by_hand() -> None:
    """N(0, diag(4, 1)) to a point at (3, 4): 9 + 16 + 4 + 1."""
    corners = np.array([[2.0, 1], [2, -1], [-2, 1], [-2, -1]])
    found = Gaussian.of(corners).distances(np.array([[3.0, 4.0]]), np.zeros((1, 1, 2)))
    assert found.tolist() == pytest.approx([30.0])


def test_equal_covariances_leave_the_distance_of_the_means() -> None:
    z = np.random.default_rng(0).normal(size=(50, 3))
    away = (z - z.mean(0)) / np.sqrt(50)
    found = Gaussian.of(z).distances(z.mean(0)[None] + [[1.0, 2, 2]], away[None])
    assert found.tolist() == pytest.approx([9.0])


def test_the_score_is_by_class_as_loops_have_it() -> None:
    rng = np.random.default_rng(0)
    z, labels = rng.normal(size=(300, 3)), rng.integers(2, size=300)  # nobody is of class 2
    window, told = rng.normal(1, 2, size=(16, 3)), np.array([0] * 6 + [1] * 9 + [2])
    found = Gaussians.of(z, labels, 3).distances(window[None], told[None])
    first, second = frechet(z[labels == 0], window[:6]), frechet(z[labels == 1], window[6:15])
    alone = ((z.mean(0) - window[15]) ** 2).sum() + np.trace(np.cov(z, rowvar=False, bias=True))
    assert found.tolist() == pytest.approx([(6 * first + 9 * second + alone) / 16])


def scored(monitor: DADD, victim: Victim, x: Array, batch: int) -> Array:
    labels = victim.predict(x).labels
    parts = range(0, len(x), batch)
    return np.concatenate(
        [monitor.score(x[i : i + batch], labels[i : i + batch], "a") for i in parts]
    )


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_each_window_is_judged_once_and_at_its_end(batch: int, toy: Victim) -> None:
    monitor = DADD(16, False, LOOSE)
    monitor.deploy(toy, np.random.default_rng(0))
    scores = scored(monitor, toy, toy.shares.x_test[:50], batch)
    assert np.flatnonzero(scores > -inf).tolist() == [15, 31, 47]


def test_an_alarm_ends_when_a_later_window_passes(toy: Victim) -> None:
    monitor = DADD(8, False, LOOSE)
    monitor.deploy(toy, np.random.default_rng(0))
    monitor.threshold = float(scored(monitor, toy, toy.shares.x_test[:8], 8)[-1]) - 1e-9
    x, calm = toy.shares.x_test[:8], _calm(monitor, toy)
    rows = np.concatenate([x, calm, calm])
    seen = monitor.observe(rows, toy.predict(rows).labels, "b")
    assert seen.tolist() == [False] * 7 + [True] * 8 + [False] * 9
    latched = DADD(8, True, LOOSE)
    latched.deploy(toy, np.random.default_rng(0))
    latched.threshold = monitor.threshold
    assert latched.observe(rows, toy.predict(rows).labels, "b")[7:].all()


def _calm(monitor: DADD, toy: Victim) -> Array:
    """(8, 4) rows that score less than the threshold."""
    for start in range(0, len(toy.shares.x_test) - 8, 8):
        x = toy.shares.x_test[start : start + 8]
        if monitor.peek(x, toy.predict(x).labels, f"c{start}")[-1] < monitor.threshold:
            return x
    raise AssertionError("all windows score as much")


def test_uniform_queries_are_caught_in_the_first_window_and_customers_are_not() -> None:
    digits, monitor = victim_of("softmax", "digits"), DADD(16, True, Calibration(0.01, 500, 100))
    monitor.deploy(digits, np.random.default_rng(0))
    x = digits.space.sample(16, np.random.default_rng(1))
    assert monitor.observe(x, digits.predict(x).labels, "thief")[-1]
    x = digits.shares.x_test[:480]
    assert not monitor.observe(x, digits.predict(x).labels, "customer").any()


def test_a_victim_of_labels_has_no_features(toy: Victim) -> None:
    svm = victim_of("linear_svm", "breast_cancer")
    with pytest.raises(NotApplicable, match="dadd acts on confidences"):
        DADD(16, False, LOOSE).deploy(svm, np.random.default_rng(0))


def test_the_stated_rate_is_held_among_customers_of_whom_few_ask_a_rare_row(toy: Victim) -> None:
    """One row of 2,000 is far out, so that a fifth of the accounts of 500 queries ask one."""
    rng, space = np.random.default_rng(0), toy.space

    def rows(n: int) -> Array:
        middle, far = (space.low + space.high) / 2, rng.random(n) < 5e-4
        x = np.asarray(middle + rng.normal(0, 0.05, (n, space.d)) * (space.high - space.low))
        x[far] = space.high
        return x

    shares = replace(toy.shares, x_train=rows(20_000), y_train=np.zeros(20_000, np.int64))
    victim, alarmed = replace(toy, shares=shares), 0
    for deployment in range(4):
        monitor = DADD(16, True, Calibration(0.01, 500, 100))
        monitor.deploy(victim, np.random.default_rng(deployment))
        for customer in range(60):
            x = rows(500)
            alarmed += monitor.observe(x, victim.predict(x).labels, str(customer)).any()
    assert alarmed <= binom.isf(1e-3, 240, 0.01)
