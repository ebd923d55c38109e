"""What honest customers see: asked in step with the attack, compared with the undefended victim."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from moatbench.api import Deployment
from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense, Evidence
from moatbench.defenses.label_only import LabelOnly
from moatbench.defenses.monitoring import QueryMonitoring
from moatbench.defenses.monitors.prada import PRADA
from moatbench.defenses.rounding import Rounding
from moatbench.judge.accounts import Accounts
from moatbench.judge.customers.groups import groups
from moatbench.judge.customers.honest import (
    ACCOUNTS,
    BATCH,
    QUERIES_AN_ACCOUNT,
    SHIFTED_ACCOUNTS,
    HonestTraffic,
)
from moatbench.judge.customers.quality import expected_calibration_error, quality
from moatbench.judge.customers.shift import far_cluster
from moatbench.learners.published import ignorant
from moatbench.record.columns import MEASURES
from moatbench.reply import Reply
from moatbench.runner.extract import extract
from moatbench.testing import Patchy, RefuseAll, TellLabels
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

CUSTOMER = Accounts.of(0).tokens("customer")
BUDGET = 1000
COMPARED = MEASURES


def customers(victim: Victim, defense: Defense) -> HonestTraffic:
    deployment = Deployment(victim, defense, np.random.default_rng(0))
    return HonestTraffic(deployment, BUDGET, np.random.default_rng(1))


def report(victim: Victim, defense: Defense, queries: int = BUDGET) -> dict[str, float]:
    traffic = customers(victim, defense)
    traffic.keep_pace(queries)
    return traffic.report()


def truth(toy: Victim) -> Array:
    outputs = toy.predict(toy.shares.x_test).outputs
    assert outputs is not None
    return outputs


class Wrong(Defense):
    """Tells the next class, with the confidences moved along."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return Reply((reply.labels + 1) % 3, np.roll(reply.outputs, 1, axis=1))


class Diary(Defense):
    """Notes who asked how much, and what."""

    def __init__(self) -> None:
        self.asked: dict[str, list[Array]] = {}
        self.calls: list[str] = []

    def __deepcopy__(self, memo: object) -> "Diary":
        return self  # what a run deploys is a copy, and this is read afterwards

    def wait(self, n: int, account: str) -> float:
        self.calls.append("wait")
        return 0.5 * n

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        self.calls.append("respond")
        self.asked.setdefault(account, []).append(x.copy())
        return reply


class Idle(Attack):
    """Asks at random, and learns nothing."""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api = target.api
        for checkpoint in api.checkpoints:
            api.query(api.card.space.sample(checkpoint - api.queries, rng))
            yield ignorant(api.card)


def test_without_a_defense_nobody_loses_anything(toy: Victim) -> None:
    seen = report(toy, Defense())
    assert seen["honest_label_agreement"] == 1
    for name in ("refused", "alarmed_accounts", "accuracy_lost", "l1_mean", "l1_p99", "l1_max"):
        assert seen[f"honest_{name}"] == 0
    assert seen["honest_ece"] == seen["honest_ece_undefended"]
    assert np.isnan(seen["honest_first_alarm"])


def test_customers_keep_pace_with_the_attack(toy: Victim) -> None:
    diary = Diary()
    traffic = customers(toy, diary)
    shares = []
    for queries in (200, 500, 1000):
        traffic.keep_pace(queries)
        shares.append(sum(len(part) for parts in diary.asked.values() for part in parts))
    rows = ACCOUNTS * min(QUERIES_AN_ACCOUNT, len(toy.shares.x_test))
    assert shares == [rows // 5, rows // 2, rows]


def test_each_account_asks_distinct_rows_of_the_test_data_in_an_order_of_its_own(
    toy: Victim,
) -> None:
    diary = Diary()
    customers(toy, diary).keep_pace(BUDGET)
    asked = [np.concatenate(parts) for parts in diary.asked.values()]
    assert len(asked) == ACCOUNTS
    for rows in asked:
        assert len(np.unique(rows, axis=0)) == len(rows) == len(toy.shares.x_test)
    assert not np.array_equal(asked[0], asked[1])
    assert {len(part) for parts in diary.asked.values() for part in parts} == {BATCH}


def test_before_anybody_has_asked_everything_is_unknown_and_has_its_column(toy: Victim) -> None:
    early, late = report(toy, Defense(), queries=0), report(toy, Defense())
    assert list(early) == list(late)
    assert all(np.isnan(value) for value in early.values())


def test_a_first_checkpoint_before_any_customer_writes_the_same_columns(toy: Victim) -> None:
    # curve.csv takes its columns from the first row; with [1, 1000] no batch is due at one query
    first, last = extract(toy, Defense(), Idle(), checkpoints=[1, 1000])
    assert list(first.row()) == list(last.row())
    assert np.isnan(first.metrics["honest_refused"])
    assert last.metrics["honest_refused"] == last.metrics["shifted_refused"] == 0


def test_wrong_labels_cost_agreement_and_accuracy(toy: Victim) -> None:
    seen, outputs = report(toy, Wrong()), truth(toy)
    assert seen["honest_label_agreement"] == 0
    assert seen["honest_accuracy_lost"] == 1  # the toy victim is always right
    distance = np.abs(np.roll(outputs, 1, axis=1) - outputs).sum(axis=1)
    assert seen["honest_l1_mean"] == pytest.approx(distance.mean())
    assert seen["honest_l1_max"] == pytest.approx(distance.max())


class Contradicts(Defense):
    """Keeps the label, and gives another class the most confidence."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        return reply.with_outputs(np.roll(reply.outputs, 1, axis=1))


class Undecided(Defense):
    """Gives all classes the same."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        return reply.with_outputs(np.full((len(x), 3), 1 / 3))


def test_the_label_and_the_top_confidence_are_measured_apart(toy: Victim) -> None:
    seen = report(toy, Contradicts())
    assert (seen["honest_label_agreement"], seen["honest_top_agreement"]) == (1, 0)
    wrong = report(toy, Wrong())
    assert (wrong["honest_label_agreement"], wrong["honest_top_agreement"]) == (0, 0)


def test_a_tie_with_the_label_contradicts_nothing(toy: Victim) -> None:
    assert report(toy, Undecided())["honest_top_agreement"] == 1
    assert report(toy, Rounding(0))["honest_top_agreement"] == 1


def test_where_no_confidence_is_told_there_is_no_top(toy: Victim) -> None:
    assert np.isnan(report(toy, LabelOnly())["honest_top_agreement"])
    assert report(toy, Patchy())["honest_top_agreement"] == 1


def test_a_victim_that_contradicts_itself_is_no_fault_of_the_defense(toy: Victim) -> None:
    two_minds = replace(toy, predict=lambda x: Contradicts().respond(x, toy.predict(x), ""))
    assert np.isnan(report(two_minds, Defense())["honest_top_agreement"])


class Unfair(Defense):
    """Answers one class wrongly, each second time."""

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        labels = reply.labels.copy()
        labels[(labels == 2) & (x[:, 0] > 0)] = 0
        return Reply(labels, reply.outputs)


def test_the_class_that_is_hit_hardest_is_told(toy: Victim) -> None:
    seen, x, y = report(toy, Unfair()), toy.shares.x_test, toy.shares.y_test
    assert seen["honest_worst_class_agreement"] == pytest.approx(np.mean(x[y == 2, 0] <= 0))
    assert seen["honest_worst_class_agreement"] < seen["honest_label_agreement"] < 1


def test_harm_is_told_by_class_and_in_and_out_of_a_subgroup(toy: Victim) -> None:
    traffic, x, y = customers(toy, Unfair()), toy.shares.x_test, toy.shares.y_test
    traffic.keep_pace(BUDGET)
    found = traffic.by_group(groups(toy, {"x0:0..": x[:, 0] >= 0, "nobody": x[:, 0] > 9}))
    assert set(found) == {"x0:0..", "not x0:0..", "not nobody", "class a", "class b", "class c"}
    assert found["class c"]["label_agreement"] == pytest.approx(np.mean(x[y == 2, 0] <= 0))
    assert found["class a"]["label_agreement"] == found["not x0:0.."]["label_agreement"] == 1
    assert found["x0:0.."]["label_agreement"] == pytest.approx(np.mean(y[x[:, 0] >= 0] != 2))
    assert found["x0:0.."]["rows"] == np.sum(x[:, 0] >= 0)
    assert found["class c"]["refused"] == 0


def test_a_group_that_is_refused_is_compared_with_nothing(toy: Victim) -> None:
    traffic = customers(toy, RefuseAll())
    assert np.isnan(traffic.by_group(groups(toy, {}))["class a"]["refused"])
    traffic.keep_pace(BUDGET)
    found = traffic.by_group(groups(toy, {}))["class a"]
    assert found["refused"] == 1
    assert np.isnan(found["label_agreement"])


def test_rounding_is_felt_in_l1_and_not_in_labels(toy: Victim) -> None:
    seen, outputs = report(toy, Rounding(1)), truth(toy)
    distance = np.abs(np.round(outputs, 1) - outputs).sum(axis=1)
    assert seen["honest_label_agreement"] == 1
    assert seen["honest_l1_mean"] == pytest.approx(distance.mean())
    assert seen["honest_l1_p99"] == pytest.approx(np.quantile(np.tile(distance, ACCOUNTS), 0.99))
    assert seen["honest_l1_max"] == pytest.approx(distance.max())
    assert seen["honest_ece"] == pytest.approx(
        expected_calibration_error(np.round(outputs, 1), toy.shares.y_test)
    )


@pytest.mark.parametrize("defense", [LabelOnly(), TellLabels()])
def test_a_label_alone_counts_as_certainty(toy: Victim, defense: Defense) -> None:
    seen, outputs = report(toy, defense), truth(toy)
    distance = 2 * (1 - outputs.max(axis=1))  # from the one-hot label
    assert seen["honest_l1_mean"] == pytest.approx(distance.mean())
    assert seen["honest_l1_max"] == pytest.approx(distance.max())
    assert seen["honest_label_agreement"] == 1
    assert np.isnan(seen["honest_ece"])  # there is no confidence to be calibrated
    assert seen["honest_ece_undefended"] > 0


def test_refused_customers_are_counted_and_compared_with_nothing(toy: Victim) -> None:
    seen = report(toy, RefuseAll())
    assert seen["honest_refused"] == 1
    assert all(np.isnan(seen[f"honest_{name}"]) for name in COMPARED)


def test_what_is_withheld_counts_as_refused_and_the_rest_is_compared(toy: Victim) -> None:
    seen = report(toy, Patchy())
    assert seen["honest_refused"] == pytest.approx(1 / 3, abs=0.01)
    assert seen["honest_label_agreement"] == 1
    assert 0 < seen["honest_l1_mean"] < report(toy, LabelOnly())["honest_l1_mean"]


def test_alarms_over_customers_are_reported_with_the_first(toy: Victim) -> None:
    seen = report(toy, QueryMonitoring(PRADA(1.0, True, 10, 20), Defense()))
    assert seen["honest_alarmed_accounts"] == 1
    assert seen["honest_first_alarm"] in (30, 40)  # a test needs more than 20 distances
    assert seen["honest_refused"] == 0


def test_only_customers_who_have_asked_are_counted_for_alarms(toy: Victim) -> None:
    class Paranoid(Defense):
        def evidence(self) -> Evidence:
            return Evidence({"honest-0": 1, "adversary": 1, "honest-4": 1})

    batches = ACCOUNTS * len(toy.shares.x_test) // BATCH
    seen = report(toy, Paranoid(), queries=2 * BUDGET // batches + 1)  # two accounts, a batch each
    assert seen["honest_alarmed_accounts"] == 0.5


def test_waiting_is_asked_for_after_the_answer_as_the_api_does(toy: Victim) -> None:
    diary = Diary()
    traffic = customers(toy, diary)
    traffic.keep_pace(BUDGET)
    assert diary.calls[:4] == ["respond", "wait", "respond", "wait"]
    assert traffic.seconds_waited() == 0.5


def test_seconds_added_are_those_of_the_defense(toy: Victim) -> None:
    import time

    class Sleepy(Defense):
        def respond(self, x: Array, reply: Reply, account: str) -> Reply:
            time.sleep(0.001)
            return reply

    traffic = customers(toy, Sleepy())
    traffic.keep_pace(BUDGET // 10)
    assert 0.001 / BATCH <= traffic.seconds_added() < 0.01 / BATCH


@pytest.mark.parametrize("added", [[-0.5, -0.25, -0.5], [-1.0, 1.0, 0.5], [0.5], []])
def test_time_that_no_clock_can_tell_is_none_and_never_negative(
    toy: Victim, added: list[float]
) -> None:
    traffic = customers(toy, Defense())
    traffic.keep_pace(BUDGET // 10)
    traffic._added[:] = added
    assert traffic.seconds_added() == 0.0


def test_a_victim_of_labels_only_leaves_no_confidences_to_compare(toy: Victim) -> None:
    labels = replace(toy, predict=lambda x: Reply(toy.predict(x).labels))
    seen = report(labels, Defense())
    assert seen["honest_label_agreement"] == 1
    of_labels = {"label_agreement", "worst_class_agreement", "accuracy_lost"}
    assert all(np.isnan(seen[f"honest_{name}"]) for name in COMPARED if name not in of_labels)


def test_the_99th_percentile_is_exceeded_by_one_answer_in_a_hundred() -> None:
    # 200 answers, of which three are off by 2 in L1: the 198th and 199th of them bound the quantile
    clean = np.tile([1.0, 0.0], (200, 1))
    told = clean.copy()
    told[:3] = [0.0, 1.0]
    labels = np.zeros(200, np.int64)
    one = quality(Reply(labels, told), Reply(labels, clean), labels, 2)
    told[2] = clean[2]
    two = quality(Reply(labels, told), Reply(labels, clean), labels, 2)
    assert one["l1_p99"] == 2
    assert two["l1_p99"] == pytest.approx(0.02)  # 0.99 * 199 = 197.01, a hundredth of the way


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    # nine in ten right at a confidence of .7: a gap of .2, all in one bin (Guo et al. 2017, eq. 3)
    outputs = np.tile([0.7, 0.3], (10, 1))
    assert expected_calibration_error(outputs, np.array([0] * 9 + [1])) == pytest.approx(0.2)


def lopsided(toy: Victim, at: float = 0.9) -> Victim:
    """The toy with a tenth of the test data in a corner, far from where the training data lie."""
    x = np.array(toy.shares.x_test)
    x[: len(x) // 10] = at + 0.1 * np.abs(x[: len(x) // 10])
    x[len(x) // 10 :] *= 0.5
    return replace(toy, shares=replace(toy.shares, x_test=x, x_train=0.5 * toy.shares.x_train))


def test_shifted_customers_are_the_cluster_farthest_from_the_training_data(toy: Victim) -> None:
    victim = lopsided(toy)
    rows = far_cluster(victim.shares, np.random.default_rng(0))
    assert rows.tolist() == list(range(len(victim.shares.x_test) // 10))


def test_a_few_outliers_are_no_population(toy: Victim) -> None:
    victim = lopsided(toy)
    x = victim.shares.x_test.copy()
    x[-3:] = -1.0  # farther still, but 1 % of the rows
    x[: len(x) // 10] *= 0.7
    rows = far_cluster(replace(victim.shares, x_test=x), np.random.default_rng(0))
    assert len(x) - 1 not in rows
    assert len(rows) >= 0.05 * len(x)


def test_a_column_that_never_varies_decides_nothing(toy: Victim) -> None:
    victim = lopsided(toy)
    x_train, x_test = np.array(victim.shares.x_train), victim.shares.x_test.copy()
    x_train[:, 3] = 0.25
    x_test[:, 3] = np.where(np.arange(len(x_test)) % 2, 0.25, -1.0)  # unknown in training
    rows = far_cluster(
        replace(victim.shares, x_train=x_train, x_test=x_test), np.random.default_rng(0)
    )
    assert set(rows) == set(range(len(x_test) // 10))


def test_shifted_accounts_ask_rows_of_their_cluster_only(toy: Victim) -> None:
    victim, diary = lopsided(toy), Diary()
    list(extract(victim, diary, Idle(), checkpoints=[50, 100]))
    tokens = [CUSTOMER(f"shifted-{account}") for account in range(SHIFTED_ACCOUNTS)]
    shifted = {token: parts for token, parts in diary.asked.items() if token in tokens}
    corner = victim.shares.x_test[: len(victim.shares.x_test) // 10]
    assert len(shifted) == SHIFTED_ACCOUNTS
    for parts in shifted.values():
        asked = np.concatenate(parts)
        assert len(np.unique(asked, axis=0)) == len(asked) == len(corner)
        assert (asked[:, None] == corner[None]).all(axis=2).any(axis=1).all()


def test_what_shifted_customers_lose_is_told_apart_from_what_others_lose(toy: Victim) -> None:
    class Cautious(Defense):
        """Refuses where a customer is far out, as a defense gated by the usual inputs does."""

        def admit(self, x: Array, account: str) -> Mask:
            return np.asarray(x.min(axis=1) < 0.9)

    victim = lopsided(toy)
    (point,) = extract(victim, Cautious(), Idle(), checkpoints=[100])
    assert point.metrics["shifted_refused"] == 1
    assert point.metrics["honest_refused"] == pytest.approx(0.1)
    assert np.isnan(point.metrics["shifted_label_agreement"])


def test_alarms_over_shifted_accounts_are_theirs_alone(toy: Victim) -> None:
    class Suspicious(Defense):
        def evidence(self) -> Evidence:
            return Evidence({CUSTOMER("shifted-1"): 7, CUSTOMER("honest-0"): 3})

    (point,) = extract(lopsided(toy), Suspicious(), Idle(), checkpoints=[100])
    assert point.metrics["shifted_alarmed_accounts"] == 1 / SHIFTED_ACCOUNTS
    assert point.metrics["honest_alarmed_accounts"] == 1 / ACCOUNTS
