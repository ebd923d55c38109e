"""A watermark is found in a model that learnt it, and in no other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from omegaconf import DictConfig
from scipy.stats import binomtest
from shop import counted

from moatbench.attack import Attack, Target
from moatbench.client import Surrogate
from moatbench.compose.build import build
from moatbench.defense import Defense, Marks, evidence_of
from moatbench.defenses.dawn import DAWN
from moatbench.display.table import of_watermark
from moatbench.judge.accounts import Accounts
from moatbench.judge.floor import public_card
from moatbench.judge.judge import Judge
from moatbench.judge.watermark import MODELS, Owner, p_value
from moatbench.learners.fit import Fit
from moatbench.learners.published import learner_for
from moatbench.record.flag import Flag
from moatbench.reply import Reply
from moatbench.runner.extract import Checkpoint, Ended, Extraction, extract
from moatbench.types import Array, Generator
from moatbench.victim import Victim

PAIRS = 15
COLUMNS = ("pairs", "agreement", "independent", "p")


def owned(toy: Victim) -> Victim:
    """The toy with the true labels of its pool."""
    return replace(toy, shares=replace(toy.shares, y_pool=toy.predict(toy.shares.pool).labels))


def planted(toy: Victim, n: int = PAIRS) -> Marks:
    """Wrong labels on rows of the pool, told to one account."""
    x = toy.shares.pool[:n]
    labels = (toy.predict(x).labels + 1) % 3
    return Marks(x, labels, tuple(frozenset({"adversary"}) for _ in range(n)))


def owner(toy: Victim) -> Owner:
    return Owner(owned(toy), np.random.default_rng(7))


def that_learnt(toy: Victim, marks: Marks) -> Surrogate:
    """The victim, but for the marks, which it gives as it was told them."""

    def predict(x: Array) -> Reply:
        labels = toy.predict(x).labels.copy()
        for row, label in zip(marks.x, marks.labels, strict=True):
            labels[(x == row).all(axis=1)] = label
        return Reply(labels)

    return Surrogate(predict)


@dataclass(frozen=True)
class Memory(Attack):
    """Repeats what it was told, and elsewhere a class; asks as two accounts, for the pool alone."""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        api, pool = target.api, target.pool
        told: dict[bytes, int] = {}
        for checkpoint in api.checkpoints:
            rows = pool[api.queries : checkpoint]
            for part, account in zip(np.array_split(rows, 2), ("one", "two"), strict=True):
                bought = api.query(part, account)
                told |= {
                    row.tobytes(): int(label)
                    for row, label in zip(bought.x, bought.labels, strict=True)
                }
            known = dict(told)
            yield Surrogate(
                lambda x, known=known: Reply(  # type: ignore[misc]
                    np.array([known.get(row.tobytes(), 0) for row in x], np.int64)
                )
            )


def test_a_model_that_learnt_the_marks_is_found(toy: Victim) -> None:
    marks = planted(toy)
    found = owner(toy).verify(that_learnt(toy, marks), marks)
    assert found["watermark_agreement"] == 1
    assert found["watermark_p"] < 1e-9


def test_the_victim_itself_does_not_bear_the_mark(toy: Victim) -> None:
    found = owner(toy).verify(Surrogate(toy.predict), planted(toy))
    assert found["watermark_agreement"] == 0
    assert found["watermark_p"] == 1


def test_models_trained_elsewhere_are_not_accused(toy: Victim) -> None:
    victim, marks, judge = owned(toy), planted(toy), owner(toy)
    learner, rng = learner_for("published", public_card(victim)), np.random.default_rng(3)
    x, y = victim.shares.x_test, victim.shares.y_test
    found = []
    for _ in range(20):
        rows = rng.integers(len(x), size=60)
        fit = learner.fit(x[rows], np.eye(3)[y[rows]], rng)
        found.append(judge.verify(fit.surrogate(), marks)["watermark_p"])
    assert min(found) > 0.01


def test_the_p_value_is_the_one_sided_binomial_tests() -> None:
    for hits, pairs, rate in ((0, 5, 0.1), (3, 12, 0.07), (12, 12, 0.4), (7, 200, 0.02)):
        other = binomtest(hits, pairs, rate, alternative="greater").pvalue
        assert p_value(hits, pairs, rate) == pytest.approx(other, rel=1e-10)


def test_the_p_value_is_as_by_hand() -> None:
    # two or three heads of three fair coins: 3/8 + 1/8
    assert p_value(2, 3, 0.5) == pytest.approx(0.5)
    # at least one in ten, each one in a hundred
    assert p_value(1, 10, 0.01) == pytest.approx(1 - 0.99**10)


def test_the_null_counts_what_independent_models_answer_and_adds_one(toy: Victim) -> None:
    marks, judge = planted(toy), owner(toy)
    hits = sum(int(np.sum(m.labels(marks.x) == marks.labels)) for m in judge.independent)
    assert len(judge.independent) == MODELS >= 20
    assert judge.null_rate(marks) == (hits + 1) / (MODELS * PAIRS + 2)


def test_the_null_is_never_zero_where_no_independent_model_agrees(toy: Victim) -> None:
    outputs = toy.predict(toy.shares.x_test).outputs
    assert outputs is not None
    sure = toy.shares.x_test[np.argsort(-outputs.max(axis=1))[:PAIRS]]
    marks = planted(toy)._replace(x=sure, labels=(toy.predict(sure).labels + 1) % 3)
    assert owner(toy).null_rate(marks) == 1 / (MODELS * PAIRS + 2)


def test_where_chance_agreement_is_common_the_same_agreement_proves_less(toy: Victim) -> None:
    wrong = planted(toy)
    right = wrong._replace(labels=toy.predict(wrong.x).labels)  # not a watermark at all
    judge = owner(toy)
    assert judge.verify(that_learnt(toy, right), right)["watermark_p"] > 0.01
    assert judge.null_rate(right) > 0.8


def test_independent_models_ask_the_victim_nothing(toy: Victim) -> None:
    spy, asked = counted(owned(toy))
    assert len(Owner(spy, np.random.default_rng(0)).independent) == MODELS
    assert not asked


def test_independent_models_are_good_and_differ(toy: Victim) -> None:
    x, models = toy.shares.x_test, owner(toy).independent
    labels = np.array([model.labels(x) for model in models])
    assert (labels == toy.shares.y_test).mean(axis=1).min() > 0.85
    assert len(np.unique(labels, axis=0)) == MODELS


def test_networks_start_apart(toy: Victim) -> None:
    victim = replace(owned(toy), family="mlp", architecture={"hidden": 4, "activation": "tanh"})
    models = Owner(victim, np.random.default_rng(0)).independent
    starts = [m.thetas[0][:8] for m in models if isinstance(m, Fit)]
    assert len({tuple(np.sign(start)) for start in starts}) > 3


def test_the_same_seed_draws_the_same_models_whenever_they_are_needed(toy: Victim) -> None:
    marks = planted(toy)
    early, late = owner(toy), owner(toy)
    early.null_rate(marks)
    for _ in range(3):
        assert early.null_rate(marks) == late.null_rate(marks)


def test_without_true_labels_of_a_pool_the_judges_rows_serve(toy: Victim) -> None:
    found = Owner(toy, np.random.default_rng(0)).verify(Surrogate(toy.predict), planted(toy))
    assert found["watermark_p"] == 1


def test_a_defense_without_marks_leaves_the_columns_empty(toy: Victim) -> None:
    (point,) = extract(toy, Defense(), Memory(), checkpoints=[50])
    assert all(np.isnan(point.metrics[f"watermark_{name}"]) for name in COLUMNS)


def test_an_attacker_who_was_told_no_mark_cannot_be_tested(toy: Victim) -> None:
    (point,) = extract(toy, DAWN(share=1e-9, grid=0.01), Memory(), checkpoints=[50])
    assert point.metrics["watermark_pairs"] == 0
    assert np.isnan(point.metrics["watermark_p"])


def test_rows_with_features_left_out_are_no_evidence(toy: Victim) -> None:
    marks = planted(toy)
    x = marks.x.copy()
    x[:3, 1] = np.nan
    found = owner(toy).verify(that_learnt(toy, marks), marks._replace(x=x))
    assert found["watermark_pairs"] == PAIRS - 3


def test_marks_told_to_any_of_the_attackers_accounts_count_and_to_customers_do_not(
    toy: Victim,
) -> None:
    run = Extraction(owned(toy), DAWN(share=0.3, grid=0.01), Memory(), [100])
    point, ended = (e for e in run.events() if not isinstance(e, Flag))
    assert isinstance(point, Checkpoint)
    assert isinstance(ended, Ended)
    marks = evidence_of(ended.trail.defense).marks
    assert marks is not None
    tokens = {Accounts.of(0).token("attacker", name) for name in ("one", "two")}
    assert ended.accounts == tokens
    mine = [not told.isdisjoint(tokens) for told in marks.accounts]
    assert point.metrics["watermark_pairs"] == sum(mine)
    assert 0 < sum(mine) < len(mine)


def test_a_thief_that_repeats_dawns_answers_is_proved_one_over_the_curve(toy: Victim) -> None:
    curve = list(extract(owned(toy), DAWN(share=0.1, grid=0.01), Memory(), checkpoints=[20, 200]))
    last = curve[-1].metrics
    assert last["watermark_agreement"] == 1
    assert last["watermark_pairs"] > curve[0].metrics["watermark_pairs"]
    assert last["watermark_p"] < 1e-6


def test_the_printed_table_shows_marks_only_where_there_are_any() -> None:
    nan = float("nan")
    row = {f"watermark_{name}": nan for name in COLUMNS} | {"attack": "a"}
    marked = {"attack": "b"} | {f"watermark_{name}": 0.5 for name in COLUMNS}
    marked |= {"watermark_p": 5.9e-7}
    assert of_watermark([row]) == ""
    assert "5.9e-07" in of_watermark([row, marked])
    assert "a " not in of_watermark([row, marked]).splitlines()[-1]


def test_generators_are_not_shared_with_the_judges_points(toy: Victim) -> None:
    def points(generator: Generator) -> Array:
        judge = Judge(owned(toy), generator)
        judge.owner.independent  # noqa: B018 - trains them
        return judge.samples[1].x

    plain = owned(toy).space.sample(10_000, np.random.default_rng(0))
    assert np.array_equal(points(np.random.default_rng(0)), plain)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("overrides", "proved"),
    [
        (("attack=equation_solving",), False),
        (("attack=uniform_retraining", "attack.learner=mlp"), True),
    ],
)
def test_a_linear_victims_own_family_cannot_hold_dawns_marks_and_a_network_does(
    composed: Callable[..., DictConfig], overrides: tuple[str, ...], proved: bool
) -> None:
    # measured at seeds 0, 1, 2: p = 1 each for equation solving, at most 2.2e-8 for the network
    cfg = composed("victim=softmax", "data=digits", "defense=dawn", "cache=null", *overrides)
    parts = build(cfg, overrides[0].partition("=")[2])
    (attack,) = parts.attacks.values()
    (point,) = extract(parts.victim, parts.defense, attack, checkpoints=[1300])
    assert point.metrics["fidelity_test"] > 0.98
    assert (point.metrics["watermark_p"] < 1e-6) == proved
