"""A defense cannot know customers by their names, batches or arrival, or it is invalid (B2)."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from favouring import (
    PARTIAL,
    CountsForAll,
    HashesNames,
    KnowsBatches,
    KnowsNames,
    KnowsTheAttacked,
    KnowsTheFirst,
    KnowsTheRows,
    Liar,
    LiesToNeighbours,
    Noisy,
    NoisyForAll,
    NoisyToNames,
    NoisyToRuns,
    SparesTheFirstThree,
)
from shop import attack_of, defense_of

from moatbench.defense import Defense
from moatbench.judge.accounts import Accounts
from moatbench.judge.customers.honest import ACCOUNTS, SHIFTED_ACCOUNTS
from moatbench.judge.judge import Judge
from moatbench.record.flag import AFRESH, INVALID
from moatbench.runner.checks.impartial import Impartiality
from moatbench.runner.checks.selfcheck import of_layers
from moatbench.runner.extract import Extraction, extract
from moatbench.runner.secret import stream_of
from moatbench.runner.suite import Doubted, run_attacks
from moatbench.victim import Victim

Run = Callable[..., tuple[int, str, str]]
ATTACK = attack_of("uniform_retraining")


@pytest.mark.parametrize("mark", PARTIAL)
def test_a_run_grades_a_partial_defense_by_name(mark: str, moatbench: Run, tmp_path: Path) -> None:
    kind = PARTIAL[mark]
    status, _, err = moatbench(
        "data=iris",
        "victim=softmax",
        f"+defense.mine._target_=favouring.{kind.__name__}",
        "attack=uniform_retraining",
        "checkpoints=[20,60]",
        "tracking.enabled=false",
    )
    assert status == 0, err
    (file,) = tmp_path.rglob("summary.json")
    flags = [f for f in json.loads(file.read_text())["flags"] if f["grade"] == INVALID]
    assert [f["text"][:6] for f in flags if f["mark"] == mark] == ["mine: "]


def last(victim: Victim, defense: Defense) -> dict[str, float]:
    *_, point = extract(victim, defense, ATTACK, checkpoints=[20, 60])
    return dict(point.metrics)


def test_who_spares_names_lies_to_customers_as_to_all(toy: Victim) -> None:
    found = last(toy, KnowsNames())
    assert found["honest_label_agreement"] < 0.9
    assert found["honest_l1_mean"] > 0.1


def test_who_spares_small_batches_spares_the_attack(toy: Victim) -> None:
    one, two = last(toy, KnowsBatches()), last(toy, Liar())
    assert {k: v for k, v in one.items() if v == v} == {k: v for k, v in two.items() if v == v}


def test_a_strangers_defense_is_asked_one_row_at_a_time_under_tokens(toy: Victim) -> None:
    Liar.asked.clear()
    last(toy, Liar())
    accounts = list(dict.fromkeys(who for who, _ in Liar.asked))
    assert {n for _, n in Liar.asked} == {1}
    assert len(accounts) == ACCOUNTS + SHIFTED_ACCOUNTS + 1
    assert all(re.fullmatch("[0-9a-f]{16}", account) for account in accounts)


@pytest.mark.parametrize("kind", [CountsForAll, KnowsTheAttacked, NoisyForAll])
def test_what_goes_by_more_than_its_own_deployment_is_invalid(
    toy: Victim, kind: type[Defense], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {"asked_ever", "deployed"} & vars(kind).keys():
        monkeypatch.setattr(kind, name, 0)
    attacks = {"it": ATTACK, "again": ATTACK}
    events = list(run_attacks(toy, kind(), attacks, checkpoints=[20, 200], seed=0))
    (flag,) = (e.flag for e in events if isinstance(e, Doubted))
    assert (flag.grade, flag.mark) == (INVALID, AFRESH)


@pytest.mark.parametrize("kind", [Noisy, KnowsTheFirst, LiesToNeighbours])
def test_what_keeps_its_state_to_itself_answers_alike_afresh(
    toy: Victim, kind: type[Defense]
) -> None:
    run = run_attacks(toy, kind(), {"it": ATTACK}, checkpoints=[20, 200], seed=0)
    assert not [e for e in run if isinstance(e, Doubted)]


def test_customers_may_come_before_the_attack_and_after_it(toy: Victim) -> None:
    places, judge = [], Judge(toy, np.random.default_rng(0))
    for seed in range(12):
        Liar.asked.clear()
        list(Extraction(toy, Liar(), ATTACK, [10], seed, judge=judge))
        order = list(dict.fromkeys(who for who, _ in Liar.asked))
        places.append(order.index(Accounts.of(seed).token("attacker", "adversary")))
    assert len(set(places)) >= 5


def test_an_account_of_the_attackers_is_no_customers_whatever_its_name() -> None:
    accounts = Accounts.of(0)
    names = [(o, n) for o in ("attacker", "customer", "judge") for n in ("honest-0", "", "a")]
    assert len({accounts.token(*name) for name in names}) == len(names)
    assert accounts.token("a", "bc") != accounts.token("ab", "c")
    assert accounts.token("customer", "x") == Accounts.of(0).token("customer", "x")
    assert accounts.token("customer", "x") != Accounts.of(1).token("customer", "x")


def test_one_who_lies_to_some_accounts_by_their_tokens_is_found(toy: Victim) -> None:
    marks = [flag.mark for flag in Impartiality(toy, HashesNames(), 0).problems(repeats=True)]
    assert "depends on the account" in marks


@pytest.mark.parametrize(
    ("defense", "mark"),
    [
        (SparesTheFirstThree(), "depends on who asked before"),
        (NoisyToNames(), "depends on the account"),
        (NoisyToRuns(), "depends on who asked before"),
        (KnowsTheRows(0.0), "spares judged rows"),
        (KnowsTheRows(0.005), "spares judged rows"),
    ],
)
def test_one_who_favours_by_what_it_has_seen_or_found_is_invalid(
    toy: Victim, defense: Liar, mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(KnowsTheRows, "rows", toy.shares.x_test)
    flags, _ = of_layers(toy, {"mine": defense}, 0)
    assert mark in [flag.mark for flag in flags if flag.grade == INVALID]


@pytest.mark.parametrize("defense", [LiesToNeighbours(), Noisy(), KnowsTheRows(0.005)])
def test_a_defense_that_knows_no_customers_rows_is_not_accused_of_it(
    toy: Victim, defense: Liar
) -> None:
    flags, _ = of_layers(toy, {"mine": defense}, 0)
    assert not {flag.mark for flag in flags} & {"spares judged rows", "depends on the account"}


def test_a_defense_that_treats_all_alike_is_not_accused(toy: Victim) -> None:
    for defense in (Liar(), Defense(), defense_of("prada"), defense_of("gaussian_noise")):
        assert of_layers(toy, {"d": defense}, 0)[0] == []


def test_a_strangers_generator_does_not_tell_the_seed() -> None:
    rng = stream_of(Liar(), 7, "defense")
    entropy = np.ravel(rng.bit_generator.seed_seq.entropy)  # type: ignore[attr-defined]
    assert 7 not in entropy
    assert stream_of(Defense(), 7, "defense").random() != rng.random()
