"""The monitors' scores, against loops and figures by hand; their alarms, against customers."""

from collections.abc import Callable
from dataclasses import replace
from math import inf
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist
from shop import by_hand, defense_of, softmax_of, victim_of

from moatbench.defenses.monitors.dadd import DADD
from moatbench.defenses.monitors.extraction_warning import (
    ExtractionWarning,
    Leaves,
    _Account,
    entropy,
    information_gain,
    tree,
)
from moatbench.defenses.monitors.hoda import HODA, hardness, pearson_distance
from moatbench.defenses.monitors.margin_counter import Margin, MarginCounter, _Count
from moatbench.defenses.monitors.seat import SEAT
from moatbench.defenses.monitors.vardetect import LinearVAE, VarDetect, outliers
from moatbench.judge.customers.streams import customers as by_customers
from moatbench.monitor import Monitor
from moatbench.numerics.calibration import Calibration, Scaling
from moatbench.numerics.discrepancy import Discrepancy
from moatbench.reply import Reply
from moatbench.space import Categorical, InputSpace
from moatbench.types import Array, Generator, Labels, Mask
from moatbench.victim import NotApplicable, Shares, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.nets import net

LOOSE = Calibration(false_positives=0.1, horizon=100, accounts=199)
QUICK = replace(LOOSE, accounts=39)
NEVER = replace(QUICK, false_positives=0)
Make = Callable[[Calibration], Monitor]

MONITORS: dict[str, Make] = {
    "information_gain": lambda c: ExtractionWarning("information_gain", 16, 50, 0.5, c),
    "coverage": lambda c: ExtractionWarning("coverage", 16, 50, 0.5, c),
    "both": lambda c: ExtractionWarning("both", 16, 50, 0.5, c),
    "margin_counter": lambda c: MarginCounter("label", 0.02, 0.0, 20, c),
    "seat": lambda c: SEAT(3, 1, 500, "calibrated", c),
    "seat, third close": lambda c: SEAT(1, 3, 500, "calibrated", c),
    "vardetect": lambda c: VarDetect("published", ["noise"], 3, 30, 1, c),
    "vardetect_ratio": lambda c: VarDetect("ratio", ["shuffled", "uniform"], 3, 30, 10, c),
    "hoda": lambda c: HODA(8, 20, "even", "once", 40, c),
    "hoda, sliding": lambda c: HODA(8, 20, "geometric", "sliding", 40, c),
    "dadd": lambda c: DADD(16, True, c),
}
each = pytest.mark.parametrize("make", MONITORS.values(), ids=MONITORS.keys())


def customers(rng: Generator, n: int) -> Array:
    """(n, 4) rows as customers have them: three clusters."""
    centres = np.array([[0.4, 0.4, 0, 0], [-0.4, 0.3, 0, 0], [0, -0.4, 0, 0]])
    spread = np.array([0.2, 0.2, 0.1, 0.1])
    return np.clip(centres[rng.integers(3, size=n)] + spread * rng.normal(size=(n, 4)), -1, 1)


@pytest.fixture(scope="module")
def victim() -> Victim:
    """A softmax victim that answers the nearest cluster, with more data than an account asks."""
    predict = softmax_of(np.array([[6.0, -6, 0], [5, 4, -9], [0, 0, 0], [0, 0, 0]]), np.zeros(3))
    x = customers(np.random.default_rng(0), 9000)
    return by_hand(predict, x, (4000, 4100), family="softmax")


def strangers(victim: Victim, n: int = 400) -> tuple[Array, Labels]:
    """Bisect between uniform points of different labels, as a thief does."""
    rng, rows = np.random.default_rng(1), list[Array]()
    while len(rows) < n:
        a, b = victim.space.sample(2, rng)
        rows += [a, b]
        first, last = victim.predict(np.stack([a, b])).labels
        while first != last and np.abs(a - b).max() > 0.01:
            rows.append((a + b) / 2)
            same = victim.predict(rows[-1][None]).labels[0] == first
            a, b = (rows[-1], b) if same else (a, rows[-1])
    x = np.array(rows[:n])
    return x, victim.predict(x).labels


def margin_counter(**knobs: Any) -> MarginCounter:
    own = {"margin": "label", "width": 0.1, "tau": 0.3, "least": 50, "calibration": LOOSE}
    return MarginCounter(**(own | knobs))


def seat(**knobs: Any) -> SEAT:
    own = {"neighbours": 5, "close": 1, "memory": 500, "threshold_from": "published"}
    return SEAT(**(own | {"calibration": LOOSE} | knobs))


def vardetect(**knobs: Any) -> VarDetect:
    own = {"score": "ratio", "outliers": ["noise"], "latents": 8, "window": 50, "check_every": 10}
    return VarDetect(**(own | {"calibration": LOOSE} | knobs))


def hoda(**knobs: Any) -> HODA:
    own = {"stages": 11, "epochs": 50, "spacing": "even", "when": "once", "window": 100}
    return HODA(**(own | {"calibration": LOOSE} | knobs))


def alarms(monitor: Monitor, x: Array, labels: Labels, batch: int = 1000) -> Mask:
    parts = range(0, len(x), batch)
    seen = [monitor.observe(x[i : i + batch], labels[i : i + batch], "alice") for i in parts]
    return np.concatenate(seen)


def deployed(monitor: Monitor, victim: Victim) -> Monitor:
    monitor.deploy(victim, np.random.default_rng(7))
    return monitor


# All of them


@each
def test_new_customers_are_alarmed_at_the_stated_rate(make: Make, victim: Victim) -> None:
    # 200 accounts, on rows that no calibration saw. The rate has a standard deviation of .021 for
    # the accounts and one of .021 for the threshold, an order statistic; three of both are .09.
    monitor, rng = deployed(make(LOOSE), victim), np.random.default_rng(2)
    x, labels = victim.shares.x_test, victim.predict(victim.shares.x_test).labels
    alarmed = 0
    for account in range(200):
        rows = rng.choice(len(x), size=100, replace=False)
        alarmed += bool(monitor.observe(x[rows], labels[rows], f"customer-{account}").any())
    assert 0.02 < alarmed / 200 < 0.19


@each
def test_a_thief_is_alarmed_and_stays_so(make: Make, victim: Victim) -> None:
    seen = alarms(deployed(make(QUICK), victim), *strangers(victim))
    first = int(np.argmax(seen))
    assert seen.any()
    assert seen.tolist() == [row >= first for row in range(len(seen))]


@each
def test_a_rate_of_zero_never_alarms(make: Make, victim: Victim) -> None:
    assert not alarms(deployed(make(NEVER), victim), *strangers(victim)).any()


@each
@pytest.mark.parametrize("batch", [1, 7, 64])
def test_batches_make_no_difference(make: Make, batch: int, victim: Victim) -> None:
    x, labels = strangers(victim)
    whole = alarms(deployed(make(QUICK), victim), x, labels)
    assert alarms(deployed(make(QUICK), victim), x, labels, batch).tolist() == whole.tolist()


@each
def test_accounts_are_kept_apart(make: Make, victim: Victim) -> None:
    x, labels = strangers(victim)
    monitor = deployed(make(QUICK), victim)
    alone = alarms(monitor, x[:200], labels[:200])
    monitor = deployed(make(QUICK), victim)
    both = []
    for part in (slice(i, i + 20) for i in range(0, 200, 20)):
        monitor.observe(x[::-1][part], labels[::-1][part], "mallory")
        both.append(monitor.observe(x[part], labels[part], "alice"))
    assert np.concatenate(both).tolist() == alone.tolist()


@each
def test_deploying_forgets_every_account(make: Make, victim: Victim) -> None:
    monitor, (x, labels) = deployed(make(QUICK), victim), strangers(victim)
    once = alarms(monitor, x, labels)
    assert alarms(deployed(monitor, victim), x, labels).tolist() == once.tolist()


@each
def test_a_client_may_write_over_its_rows(make: Make, victim: Victim) -> None:
    x, labels = strangers(victim)
    whole = alarms(deployed(make(QUICK), victim), x, labels)
    monitor, buffer, seen = deployed(make(QUICK), victim), np.empty((1, 4)), []
    for row, label in zip(x, labels, strict=True):
        buffer[0] = row
        seen.append(bool(monitor.observe(buffer, np.array([label]), "alice")[0]))
    assert seen == whole.tolist()


@each
def test_features_left_out_are_no_obstacle(make: Make, victim: Victim) -> None:
    x, labels = strangers(victim)
    x[::5, 2:] = np.nan

    def predict(rows: Array) -> Reply:
        return victim.predict(np.nan_to_num(rows))

    partial = replace(victim, predict=predict, partial=True)
    assert alarms(deployed(make(QUICK), partial), x, labels).any()


# Calibration


def test_the_threshold_is_the_order_statistic() -> None:
    # rank ceil(.8 * 10) = 8 of nine
    scores = [5.0, 1.0, 9.0, 3.0, 7.0, 2.0, 8.0, 4.0, 6.0]
    assert Calibration(0.2, 10, 9).threshold(scores) == 8.0


def test_a_new_account_exceeds_the_threshold_at_the_stated_rate() -> None:
    calibration, rng = Calibration(0.05, 10, 99), np.random.default_rng(0)
    drawn = rng.normal(size=(4000, 100))
    over = np.mean([calibration.threshold(list(s[:99])) < s[99] for s in drawn])
    assert over == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 4000))


def test_accounts_that_no_test_reached_alarm_nobody() -> None:
    assert Calibration(0.1, 10, 9).threshold([-inf] * 9) == inf
    assert Calibration(0.5, 10, 9).threshold([-inf] * 8 + [4.0]) == 4.0


def test_accounts_are_drawn_with_distinct_rows_or_with_any() -> None:
    calibration, rng = Calibration(0.1, 30, 20), np.random.default_rng(0)
    distinct, any_rows = (calibration.draw(40, rng, repeats=flag) for flag in (False, True))
    assert {len(set(rows.tolist())) for rows in distinct} == {20}  # half of what there is
    assert {len(rows) for rows in any_rows} == {30}
    assert all(len(set(rows.tolist())) < 30 for rows in any_rows)


@pytest.mark.parametrize(
    ("knobs", "message"),
    [
        ((1.0, 10, 99), "false_positives must be a number from 0 to below 1, got 1.0"),
        (("no", 10, 99), "false_positives must be a number from 0 to below 1, got 'no'"),
        ((0.01, 0, 99), "horizon must be a whole number of at least 1, got 0"),
        ((0.01, 10, 98), "accounts must be a whole number of at least 99, got 98"),
    ],
)
def test_a_calibration_that_cannot_be_is_refused(knobs: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration(*knobs)  # type: ignore[arg-type]


def test_a_constant_column_keeps_its_unit_and_a_missing_value_is_the_mean() -> None:
    scaling = Scaling.of(np.array([[1.0, 3.0], [3.0, 3.0]]))
    assert scaling(np.array([[3.0, 5.0], [np.nan, 3.0]])).tolist() == [[1.0, 2.0], [0.0, 0.0]]


# Margin counter


def test_the_margin_of_a_tree_is_the_distance_to_a_split() -> None:
    def predict(x: Array) -> Reply:
        return Reply((x[:, 0] > 0.3).astype(np.int64))

    x = np.random.default_rng(0).uniform(-1, 1, (2000, 3))
    near = Margin(predict, InputSpace.box(3), 0.05)(x)  # steps of .1: the range is 2
    assert near.tolist() == (np.abs(x[:, 0] - 0.3) < 0.1).tolist()
    assert near.any()


def test_the_margin_of_a_linear_model_is_a_multiple_of_the_distance() -> None:
    w, b = np.array([2.0, -1.0, 0.5]), 0.1

    def predict(x: Array) -> Reply:
        return Reply((x @ w + b > 0).astype(np.int64))

    x = np.random.default_rng(0).uniform(-0.9, 0.9, (2000, 3))  # no step leaves the box
    near = Margin(predict, InputSpace.box(3), 0.05)(x)
    assert near.tolist() == (np.abs(x @ w + b) < 0.1 * np.abs(w).max()).tolist()


def test_no_probe_leaves_the_bounds_or_changes_a_code() -> None:
    asked = []

    def predict(x: Array) -> Reply:
        asked.append(x)
        return Reply(np.zeros(len(x), np.int64))

    space = InputSpace((*InputSpace.box(2).features, Categorical("c", ("r", "g", "b"), False)))
    x = space.sample(50, np.random.default_rng(0))
    x[:5, :2] = 1.0
    Margin(predict, space, 0.2)(x)
    probes = np.concatenate(asked)
    assert len(probes) == 5 * len(np.unique(x, axis=0))  # what is known of a row is kept
    assert space.valid(probes).all()


def test_the_share_counts_from_the_least_query_on(victim: Victim) -> None:
    monitor = MarginCounter("label", 0.02, 0.3, 3, LOOSE)
    monitor._parts = 1
    inside, one = np.array([True, False, True, True]), np.zeros(4, np.intp)
    fresh, later = monitor._nothing(), _Count(4, np.array([4]), np.array([1]))
    assert monitor._statuses(one, inside, fresh).tolist() == [-inf, -inf, 2 / 3, 3 / 4]
    assert monitor._statuses(one[:1], inside[:1], later).tolist() == [2 / 5]


def test_calibration_raises_tau_and_never_lowers_it(victim: Victim) -> None:
    strict, lax = (MarginCounter("label", 0.02, tau, 20, LOOSE) for tau in (0.0, 0.9))
    deployed(strict, victim)
    deployed(lax, victim)
    assert 0 < strict.threshold < lax.threshold == 0.9


# SEAT


@pytest.mark.parametrize("memory", [5, 500])
def test_seat_scores_are_those_of_loops(memory: int, victim: Victim) -> None:
    x, labels = strangers(victim, 60)
    monitor = SEAT(3, 1, memory, "calibrated", LOOSE)
    deployed(monitor, victim)
    train = victim.shares.x_train
    z = (x - train.mean(axis=0)) / train.std(axis=0)
    expected = []
    for i in range(len(z)):
        past = z[max(0, i - memory) : i]
        away = sorted(float(np.sqrt(((z[i] - p) ** 2).sum())) for p in past)[:3]
        expected.append(len(away) == 3 and -sum(away) / 3 > monitor.threshold)
    seen = alarms(monitor, x, labels, 7)
    assert seen.tolist() == np.logical_or.accumulate(expected).tolist()
    assert seen.any()


def test_the_mean_distance_to_the_nearest_by_hand() -> None:
    points = np.array([0.0, 1.0, 3.0, 3.5])
    seat = SEAT(2, 2, 500, "calibrated", LOOSE)
    distances = seat._distances(np.abs(points[:, None] - points), 0)
    # 3 has 1 and 0 before it, at 2 and 3; 3.5 has 3 and 1, at .5 and 2.5
    assert distances.tolist() == [inf, inf, 2.5, 1.5]
    assert seat._ranked(distances).tolist() == [-inf, -inf, -inf, -2.5]


def test_seat_alarms_at_the_fiftieth_close_query_as_released(victim: Victim) -> None:
    seat = SEAT(1, 50, 100_000, "published", LOOSE)
    deployed(seat, victim)
    z = Scaling.of(victim.shares.x_train)(victim.shares.x_train)[:500]
    own = np.sort(np.abs(z[:, None] - z).max(axis=2) + 9 * np.eye(500), axis=1)[:, 0]
    assert 0 < -seat.threshold < np.median(own)
    x = customers(np.random.default_rng(9), 200)
    x[1::2] = x[::2]  # every second query is the one before it
    seen = alarms(seat, x, victim.predict(x).labels, 7)
    assert int(np.argmax(seen)) == 99  # the fiftieth repeat, which is at 0


def test_no_customer_of_digits_is_alarmed_by_the_released_seat() -> None:
    """A query is compared with the few of its account, never with the whole training set."""
    digits, seat = victim_of("softmax", "digits"), defense_of("seat").monitors[0]
    seat.deploy(digits, np.random.default_rng(0))
    benign = by_customers(digits, 40, 500, np.random.default_rng(1))
    assert not any(
        seat.observe(one.x, one.labels, str(place)).any() for place, one in enumerate(benign)
    )


def test_a_row_asked_twice_alarms_nobody(victim: Victim) -> None:
    x = customers(np.random.default_rng(9), 50)
    x[1::2] = x[::2]
    labels = victim.predict(x).labels
    strict = Calibration(0.01, 100, 99)
    five, one = (SEAT(k, 1, 500, "calibrated", strict) for k in (5, 1))
    assert not alarms(deployed(five, victim), x, labels).any()
    assert alarms(deployed(one, victim), x, labels).any()


# VarDetect


def test_discrepancies_are_those_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    usual, strange, z = (
        rng.normal(size=(9, 2)),
        rng.normal(3, 1, size=(9, 2)),
        rng.normal(1, 1, (5, 2)),
    )
    ratio, distance = Discrepancy.ratio(usual, strange), Discrepancy.distance(usual)

    def mmd(a: Array, b: Array) -> float:
        def mean(p: Array, q: Array) -> float:
            apart = [((i - j) ** 2).sum() for i in p for j in q]
            return float(np.mean([sum(np.exp(-g * a) for g in gammas) for a in apart]))

        return mean(a, a) + mean(b, b) - 2 * mean(a, b)

    def score(rule: Discrepancy, z: Array) -> float:
        n = len(z)
        return float(rule.scores(rule.kernel(z, z), rule.to_references(z), [n], n)[0])

    gammas = ratio.gammas
    near, far = mmd(z, usual), mmd(z, strange)
    assert near > 0
    assert far > 0
    assert score(ratio, z) == pytest.approx(near / (near + far))
    assert score(ratio, usual) == pytest.approx(0, abs=1e-12)
    assert score(ratio, strange) == pytest.approx(1, abs=1e-12)
    gammas = distance.gammas
    median = np.median(pdist(usual))
    assert gammas == pytest.approx([1 / (2 * (w * median) ** 2) for w in (0.25, 0.5, 1, 2, 4)])
    assert score(distance, z) == pytest.approx(np.sqrt(mmd(z, usual)))


def test_sliding_windows_score_as_each_alone() -> None:
    rng = np.random.default_rng(0)
    rule, z = Discrepancy.distance(rng.normal(size=(20, 3))), rng.normal(size=(30, 3))
    kernel, to = rule.kernel(z, z), rule.to_references(z)
    sliding = rule.scores(kernel, to, range(10, 31), 10)
    alone = [
        rule.scores(kernel[e - 10 : e, e - 10 : e], to[e - 10 : e], [10], 10)[0]
        for e in range(10, 31)
    ]
    np.testing.assert_allclose(sliding, alone, atol=1e-9)


def test_the_encoder_is_the_posterior_mean_at_the_greatest_likelihood() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 5)) + 0.3 * rng.normal(size=(300, 5))
    vae = LinearVAE.fit(x, np.empty((0, 5)), 2)
    z = Scaling.of(x)(x)
    covariance = np.cov(z, rowvar=False)
    values, vectors = np.linalg.eigh(covariance)
    noise = values[:3].mean()
    decoder = vectors[:, 3:] * np.sqrt(values[3:] - noise)

    def likelihood(w: Array, s: float) -> float:
        model = w @ w.T + s * np.eye(5)
        return float(-np.linalg.slogdet(model)[1] - np.trace(np.linalg.solve(model, covariance)))

    best = likelihood(decoder, noise)
    for _ in range(50):
        assert likelihood(decoder + 0.05 * rng.normal(size=decoder.shape), noise) < best
    assert likelihood(decoder, 1.1 * noise) < best
    encoder = np.linalg.solve(decoder.T @ decoder + noise * np.eye(2), decoder.T)
    posterior = (z - z.mean(axis=0)) @ encoder.T
    # Latents have neither order nor sign
    np.testing.assert_allclose(
        np.sort(np.abs(vae(x)), axis=1), np.sort(np.abs(posterior), axis=1), atol=1e-9
    )


def test_outliers_are_valid_and_half_of_them_shuffled_by_feature() -> None:
    space = InputSpace((*InputSpace.box(2).features, Categorical("c", ("r", "g", "b"))))
    x = space.sample(100, np.random.default_rng(0))
    strange = outliers(x, space, np.random.default_rng(1), ["shuffled", "uniform"])
    assert space.valid(strange).all()
    assert np.sort(strange[:50], axis=0).tolist() == np.sort(x[:50], axis=0).tolist()
    assert not any((row == x).all(axis=1).any() for row in strange[50:])


# HODA


def test_hardness_is_the_stage_from_which_the_label_stays() -> None:
    stages = np.array([[0, 0, 1, 2], [0, 1, 0, 0], [0, 1, 0, 1], [0, 1, 0, 0]])
    # always 0: 0; settles at stage 1, twice; changes back at the last stage: 3
    assert hardness(stages).tolist() == [0, 1, 1, 3]


def test_the_score_is_one_minus_pearson_and_one_for_a_flat_histogram() -> None:
    usual, seen = np.array([8.0, 1, 1, 0]), np.array([[2.0, 1, 3, 4], [16, 2, 2, 0], [1, 1, 1, 1]])
    found = pearson_distance(seen, usual)
    assert found[0] == pytest.approx(1 - np.corrcoef(seen[0], usual)[0, 1])
    assert found[1:].tolist() == pytest.approx([0, 1])


def test_every_full_window_is_scored(victim: Victim) -> None:
    monitor = hoda(stages=4, epochs=4, when="sliding", window=3)
    monitor._usual = np.array([5.0, 3, 1, 1])
    hard = np.array([0, 0, 1, 3, 3])
    windows = [np.bincount(hard[i : i + 3], minlength=4).astype(float) for i in range(3)]
    expected = pearson_distance(np.array(windows), monitor._usual)
    np.testing.assert_allclose(monitor._scores(hard), expected)
    assert not len(monitor._scores(hard[:2]))


@pytest.mark.parametrize("spacing", ["even", "geometric"])
@pytest.mark.parametrize(("stages", "epochs"), [(11, 50), (5, 5), (11, 11), (2, 100)])
def test_epochs_grow_to_the_last(stages: int, epochs: int, spacing: str) -> None:
    found = hoda(stages=stages, epochs=epochs, spacing=spacing)._epochs()
    assert len(found) == stages
    assert found[0] == 1
    assert found[-1] == epochs
    assert (np.diff(found) > 0).all()


def test_published_stages_are_the_first_epoch_and_each_tenth() -> None:
    assert hoda(epochs=100)._epochs() == [1, *range(10, 101, 10)]


def test_an_account_is_judged_once_as_published(victim: Victim) -> None:
    monitor = deployed(hoda(stages=4, epochs=4, window=40), victim)
    x, labels = strangers(victim, 100)
    scores = np.concatenate(
        [monitor.score(x[i : i + 7], labels[i : i + 7], "a") for i in range(0, 100, 7)]
    )
    assert np.flatnonzero(scores > -inf).tolist() == [39]


def test_many_accounts_that_are_judged_once_are_scored_as_each_alone(victim: Victim) -> None:
    monitor, rng = hoda(stages=4, epochs=4, window=40), np.random.default_rng(0)
    monitor._usual = np.array([50.0, 30, 10, 1])
    hard = rng.integers(4, size=500)
    rows = [rng.integers(500, size=100) for _ in range(20)]
    alone = [float(monitor._scores(hard[r[:40]])[0]) for r in rows]
    np.testing.assert_allclose(monitor._greatest(hard, rows), alone, atol=1e-9)


def test_the_published_threshold_is_the_greatest_of_40000() -> None:
    assert Calibration(2.5e-5, 100, 40_000).threshold(list(range(40_000))) == 39_999


@pytest.mark.parametrize(
    ("family", "architecture"),
    [
        ("softmax", {}),
        ("mlp", {"hidden": 5, "activation": "relu"}),
        ("gradient_boosting", {}),
    ],
)
def test_stages_come_to_agree_with_the_victim(
    family: str, architecture: dict[str, object], victim: Victim
) -> None:
    monitor = hoda(stages=4, epochs=40, spacing="geometric", window=50)
    deployed(monitor, replace(victim, family=family, architecture=architecture))
    truth = victim.predict(victim.shares.x_test).labels
    agreement = (monitor._stages.labels(victim.shares.x_test) == truth).mean(axis=1)
    assert len(agreement) == 4
    assert agreement[-1] > 0.9
    assert agreement[-1] > agreement[0]


@pytest.fixture(scope="module")
def deep() -> Victim:
    knobs = {"net": "mlp", "knobs": {"hidden": 16}, "recipe": "ours", "outlier_exposure": 0.0}
    few = {"training": {"steps": 120, "epochs": 0}, "device": None, "stages": 4}
    victim: Victim = net(bundled("digits"), np.random.default_rng(0), **knobs, **few)
    return victim


def test_a_network_that_keeps_its_stages_is_asked_for_them(deep: Victim) -> None:
    monitor = hoda(stages=4, epochs=40, window=50)
    deployed(monitor, deep)
    told = monitor._stages.labels(deep.space.encode(deep.shares.x_test))
    truth = deep.predict(deep.shares.x_test).labels
    assert (told[-1] == truth).all()
    assert (told[0] != truth).mean() > 0.02
    assert monitor._usual.sum() == len(deep.shares.x_train)
    with pytest.raises(NotApplicable, match=r"got 5, and it keeps 4; set victim\.stages=5"):
        deployed(hoda(stages=5), deep)


def test_a_network_without_stages_has_another_of_its_kind_trained(deep: Victim) -> None:
    kept = deep.predict
    victim = replace(deep, predict=replace(kept, stages=()))  # type: ignore[type-var]
    monitor = hoda(stages=4, epochs=30, window=50)
    deployed(monitor, victim)
    truth = victim.predict(victim.shares.x_test).labels
    z = victim.space.encode(victim.shares.x_test)
    agreement = (monitor._stages.labels(z) == truth).mean(axis=1)
    assert len(agreement) == 4
    assert agreement[-1] > max(0.8, agreement[0])
    x, labels = strangers(victim, 100)
    assert monitor.observe(x, labels, "thief")[-1]


# Extraction warning


def test_gain_is_nothing_for_one_leaf_and_the_entropy_for_pure_leaves() -> None:
    x = np.array([[0.0], [1], [2], [3]])
    labels, half = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    pure, single = tree(x, labels, 8), tree(x, np.zeros(4, np.int64), 8)
    assert information_gain(pure, x, labels) == pytest.approx(1)
    assert information_gain(single, x, labels) == pytest.approx(0)
    # leaves {0, 1} and {2, 3} over labels 0 | 1 1 1: H = .8113, half of it in a leaf of one bit
    assert information_gain(pure, x, half) == pytest.approx(0.8112781 - 0.5)


def test_gain_lies_between_nothing_and_the_entropy(victim: Victim) -> None:
    rng, (x, labels) = np.random.default_rng(0), strangers(victim)
    whole = float(entropy(np.bincount(labels).astype(float)))
    for leaves in (2, 4, 16):
        guess = tree(x[:100], rng.integers(3, size=100), leaves)
        assert 0 <= information_gain(guess, x, labels) <= whole


def test_each_row_lies_in_the_box_of_its_leaf(victim: Victim) -> None:
    x, labels = strangers(victim)
    leaves = Leaves.of(tree(x, labels, 12), victim.space.low, victim.space.high)
    at = leaves.apply(x)
    assert leaves.weight.sum() == pytest.approx(1)
    assert ((x > leaves.low[at] - 1e-6) & (x <= leaves.high[at] + 1e-6)).all()
    volume = np.prod(leaves.high - leaves.low, axis=1).sum()
    assert volume == pytest.approx(2**4)  # they fill the cube, and do not overlap


def test_coverage_by_hand() -> None:
    # split at 0 of [-1, 1] x [-1, 1]; three of four rows are of the left leaf's class
    x = np.array([[-0.6, 0], [-0.5, 0], [-0.5, 0], [0.5, 0]])
    grown = tree(x, np.array([0, 0, 0, 1]), 4)
    leaves = Leaves.of(grown, -np.ones(2), np.ones(2))
    assert leaves.high[0].tolist() == [0.0, 1.0]
    assert leaves.weight.tolist() == [0.75, 0.25]
    known = _Account(leaves, 50)
    seen = [leaves.coverage(known.low, known.high)]
    for rows in ([[-0.9, 0.2]], [[-0.4, -0.3]], [[0.1, 0], [0.6, 1]]):
        known.add(np.array(rows), np.zeros(len(rows), np.int64))
        seen.append(leaves.coverage(known.low, known.high))
    left, right = (0.5 / 1 + 0.5 / 2) / 2, (0.5 / 1 + 1 / 2) / 2
    assert seen == pytest.approx([0, 0, 0.75 * left, 0.75 * left + 0.25 * right])


def test_tests_are_due_ever_further_apart(victim: Victim) -> None:
    monitor = ExtractionWarning("coverage", 16, 50, 0.5, LOOSE)
    deployed(monitor, victim)
    x, labels = strangers(victim, 400)
    known = _Account(monitor._leaves, 50)
    assert [end for end, _ in monitor._tests(x, labels, known)] == [50, 100, 150, 225, 337]


def test_both_strategies_share_the_false_positives(victim: Victim) -> None:
    both = ExtractionWarning("both", 16, 50, 0.5, LOOSE)
    assert both._part.false_positives == 0.05
    deployed(both, victim)
    assert set(both.thresholds) == {"information_gain", "coverage"}


# What cannot be


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ExtractionWarning("all", 8, 50, 0.5, LOOSE), "must be information_gain or"),
        (lambda: ExtractionWarning("both", 1, 50, 0.5, LOOSE), "leaves must be a whole number"),
        (lambda: ExtractionWarning("both", 8, 0, 0.5, LOOSE), "check_every must be a whole number"),
        (
            lambda: ExtractionWarning("both", 8, 50, -1, LOOSE),
            "growth must be a number of at least",
        ),
        (
            lambda: ExtractionWarning("both", 8, 50, 0.5, Calibration(0.1, 10, 9)),
            "accounts must be a whole number of at least 19, got 9",
        ),
        (lambda: margin_counter(margin="near"), "margin must be auto or leaf or label, got 'near'"),
        (lambda: margin_counter(width=0.0), "width must be a number between 0 and 1"),
        (lambda: margin_counter(tau=1.3), "tau must be a number from 0 to 1, got 1.3"),
        (lambda: margin_counter(least=0), "least must be a whole number of at least 1"),
        (lambda: seat(neighbours=0), "neighbours must be a whole number of at least 1, got 0"),
        (lambda: seat(memory=4), "memory must be a whole number of at least 5, got 4"),
        (lambda: seat(close=0), "close must be a whole number of at least 1, got 0"),
        (lambda: seat(threshold_from="it"), "threshold_from must be published or calibrated"),
        (lambda: vardetect(latents=0), "latents must be a whole number of at least 1"),
        (lambda: vardetect(window=1), "window must be a whole number of at least 2"),
        (lambda: vardetect(score="mmd"), "score must be published or ratio, got 'mmd'"),
        (lambda: vardetect(outliers=["odd"]), "outliers must be shuffled or uniform or noise"),
        (lambda: vardetect(outliers="noise"), "outliers must be a list of kinds, got 'noise'"),
        (lambda: hoda(stages=1), "stages must be a whole number of at least 2"),
        (lambda: hoda(epochs=10), "epochs must be a whole number of at least 11, got 10"),
        (lambda: hoda(when="often"), "when must be once or sliding, got 'often'"),
        (lambda: hoda(spacing="odd"), "spacing must be even or geometric, got 'odd'"),
        (lambda: DADD(1, False, LOOSE), "window must be a whole number of at least 2, got 1"),
    ],
)
def test_a_bad_knob_is_told_what_is_allowed(make: Callable[[], Monitor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("family", "reason"),
    [("tree", "a model of family tree has none"), (None, "whose family is not published has none")],
)
def test_a_victim_without_stages_has_no_hardness(
    family: str | None, reason: str, victim: Victim
) -> None:
    with pytest.raises(ValueError, match=reason):
        deployed(MONITORS["hoda"](LOOSE), replace(victim, family=family))


@pytest.mark.parametrize("name", ["both", "margin_counter", "hoda"])
def test_monitors_of_labels_need_classes(name: str, victim: Victim) -> None:
    shares = replace(victim.shares, classes=("value",))
    value = Victim(shares, lambda x: Reply(np.zeros(len(x), np.int64), x[:, :1]), "regression_tree")
    with pytest.raises(ValueError, match=r"needs classes|trained in stages"):
        deployed(MONITORS[name](LOOSE), value)


@pytest.mark.parametrize("name", ["information_gain", "hoda"])
def test_a_victim_of_one_label_teaches_nothing(name: str, victim: Victim) -> None:
    constant = replace(victim, predict=lambda x: Reply(np.zeros(len(x), np.int64)))
    with pytest.raises(ValueError, match=r"nothing|one class"):
        deployed(MONITORS[name](LOOSE), constant)


def test_codes_have_no_margin(victim: Victim) -> None:
    space = InputSpace((Categorical("c", ("r", "g", "b"), one_hot=False),))
    x = space.sample(50, np.random.default_rng(0))
    y = x[:, 0].astype(np.int64)
    shares = Shares(space, ("a", "b", "c"), x, y, x, x, y)
    codes = Victim(shares, lambda q: Reply(q[:, 0].astype(np.int64)), "tree")
    with pytest.raises(ValueError, match="needs a real-valued column"):
        deployed(MONITORS["margin_counter"](LOOSE), codes)
