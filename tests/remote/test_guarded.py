"""A service with a defense of its own, over loopback: keys, a reference or agreement, no memo."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Running, running
from services import serving
from shop import Run, attack_of, defense_of

from moatbench.defense import Defense
from moatbench.judge.service import OwnDefense
from moatbench.runner.extract import Extraction
from moatbench.runner.points import Checkpoint
from moatbench.serving import keys
from moatbench.victim import NotApplicable, Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax
from moatbench.victims.remote import http

NAMES = ("JUDGE", "A", "B", "C")


def iris() -> Victim:
    made: Victim = softmax(bundled("iris"), np.random.default_rng(0))
    return made


@contextmanager
def guarded(
    defense: Defense, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Running]]:
    """Serve iris behind a defense, with a key in each of the variables."""
    service = running(iris(), defense, folder)
    for name in NAMES:
        monkeypatch.setenv(name, keys.create(service.state.store, name)[1])
    service.service.clients.refresh()
    with serving(service.app) as url:
        yield url, service


def victim_at(url: str, reference: Victim | None = None, **knobs: Any) -> Victim:
    knobs = {"units": "scaled", "family": "softmax", "judge_rows": 60, "defended": True} | knobs
    rng, data = np.random.default_rng(0), bundled("iris")
    made: Victim = http(data, rng, url, key_env="JUDGE", reference=reference, **knobs)
    return made


def curve(
    victim: Victim, attack: str = "equation_solving", checkpoints: Sequence[int] = (20, 40)
) -> list[Mapping[str, float]]:
    run = Extraction(victim, OwnDefense(), attack_of(attack), checkpoints)
    return [event.metrics for event in run.events() if isinstance(event, Checkpoint)]


def several(victim: Victim, keys: int, accounts: int) -> None:
    attack = attack_of("evasion", f"attack.accounts={accounts}")
    list(Extraction(victim, OwnDefense(keys=keys), attack, [20, 40]))


def used(service: Running) -> dict[str, int]:
    return {a.name: a.queries for a in service.state.store.accounts() if a.queries}


def test_attack_and_customers_ask_under_keys_of_their_own_and_nothing_is_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(defense_of("rounding"), tmp_path, monkeypatch) as (url, service):
        victim = victim_at(url, iris(), keys_env=["A"], customer_keys_env=["B", "C"])
        reached = curve(victim)
        asked = used(service)
        assert asked["A"] == 40
        assert asked["B"] == asked["C"] == 45  # all test rows
        assert asked["JUDGE"] == 40  # how it is read; the judge asks the reference
        assert 0.9 < reached[-1]["fidelity_test"] <= 1
        assert 0 < reached[-1]["honest_l1_mean"] < 0.02
        curve(victim)
        assert used(service)["A"] == 80


def test_without_a_reference_surrogates_are_judged_by_agreement_with_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(defense_of("label_only"), tmp_path, monkeypatch) as (url, service):
        victim = victim_at(url, keys_env=["A"])
        reached = curve(victim, "uniform_retraining")
        assert victim.shares.provenance["judged_by"] == "agreement"
        assert not victim.confidences
        assert used(service)["A"] == 40
        assert 0.5 < reached[-1]["fidelity_test"] <= 1


def test_refused_rows_are_metered_and_the_attack_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = defense_of("quota", "defense.quota.monitor.limit=25")
    with guarded(quota, tmp_path, monkeypatch) as (url, service):
        victim = victim_at(url, iris(), keys_env=["A"])
        run = Extraction(victim, OwnDefense(), attack_of("uniform_retraining"), [20, 40])
        points = [event for event in run.events() if isinstance(event, Checkpoint)]
        assert [point.refused for point in points] == [0, 15]
        assert used(service)["A"] == 40


def test_several_accounts_need_several_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with guarded(Defense(), tmp_path, monkeypatch) as (url, service):
        with pytest.raises(NotApplicable, match="there is nothing to evade"):
            several(victim_at(url, iris(), keys_env=["A"]), 1, accounts=2)
        with pytest.raises(NotApplicable, match=r"victim.keys_env names 2; name more"):
            several(victim_at(url, iris(), keys_env=["A", "B"]), 2, accounts=3)
        several(victim_at(url, iris(), keys_env=["A", "B", "C"]), 3, accounts=3)
        assert {"A", "B", "C"} <= used(service).keys()


def test_a_run_says_by_what_it_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moatbench: Run
) -> None:
    with guarded(defense_of("rounding"), tmp_path, monkeypatch) as (url, _):
        status, _, _ = moatbench(
            *("victim=http", f"victim.url={url}", "data=iris", "victim.units=scaled"),
            *("victim.defended=true", "victim.key_env=JUDGE", "victim.keys_env=[A,B]"),
            *("victim.family=softmax", "victim.judge_rows=60", "defense=none"),
            *("attack=equation_solving", "checkpoints=[20]", "tracking.enabled=false"),
            *(f"hydra.run.dir={tmp_path}/run", f"cache={tmp_path}/cache"),
        )
    told = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert (status, told["status"], told["defense"]) == (0, "finished", "service")
    assert "agreement only" in {flag["mark"] for flag in told["flags"]}


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"defended": False, "keys_env": ["A"]}, "left out unless victim.defended=true"),
        ({"keys_env": ["A"], "customer_keys_env": ["A"]}, "must name each variable once"),
    ],
)
def test_keys_are_checked_before_anything_is_sent(
    knobs: dict[str, Any], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.setenv(name, "x")
    with pytest.raises(ValueError, match=said):
        victim_at("http://127.0.0.1:9", **knobs)
