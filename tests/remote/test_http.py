"""A service over HTTP as a victim: over a real socket on loopback, as it is used."""

import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import running
from services import Answer, answering, serving, thirds
from shop import attack_of

from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.remote.address import NotAuthorized, is_loopback
from moatbench.remote.client import Stopped
from moatbench.remote.endpoint import Endpoint
from moatbench.remote.memo import kept_in
from moatbench.runner.extract import extract
from moatbench.victim import Victim
from moatbench.victims.datasets import bundled
from moatbench.victims.linear import softmax
from moatbench.victims.remote import http


def victim_at(url: str, data: Dataset | None = None, **knobs: Any) -> Victim:
    knobs = {"family": "softmax"} | knobs
    made: Victim = http(data or bundled("iris"), np.random.default_rng(0), url, **knobs)
    return made


ATTACK = "equation_solving"


def rows_of(requests: list[Any]) -> int:
    return sum(len(body["dataframe_split"]["data"]) for _, _, body in requests)


def pause(victim: Victim) -> list[float]:
    """Let a client not sleep; return the list of how long it would have."""
    slept: list[float] = []
    assert isinstance(victim.predict, Endpoint)
    victim.predict.client.sleep = slept.append
    return slept


def curve(
    victim: Victim, attack: str, checkpoints: Sequence[int] = (50,), seed: int = 0
) -> list[Mapping[str, float]]:
    points = extract(victim, Defense(), attack_of(attack), checkpoints=checkpoints, seed=seed)
    return [{k: v for k, v in p.metrics.items() if v == v} for p in points]


def test_softmax_on_digits_gives_the_same_curve_through_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside, attack = softmax(bundled("digits"), np.random.default_rng(0)), attack_of(ATTACK)
    service = running(inside, Defense(), tmp_path)
    monkeypatch.setenv("KEY", service.key)
    with serving(service.app) as url:
        through = victim_at(
            url,
            bundled("digits"),
            units="scaled",
            key_env="KEY",
            judge_rows=22_000,
            most_rows=22_000,
            batch=5_000,
        )
        curves = [
            list(extract(victim, Defense(), attack, checkpoints=[25, 50]))
            for victim in (inside, through)
        ]
    for here, there in zip(*curves, strict=True):
        measured = dict(here.metrics)
        del measured["parameter_error"]  # a service's own parameters are not to be seen
        assert there.metrics == pytest.approx(measured, rel=0, abs=0, nan_ok=True)
        for name, value in here.parameters.items():
            assert there.parameters[name].tobytes() == value.tobytes()


def test_an_attack_costs_at_most_1400_rows_and_the_next_its_budget(tmp_path: Path) -> None:
    with answering(thirds) as (url, requests), kept_in(tmp_path):
        first = curve(victim_at(url), ATTACK)
        paid = rows_of(requests)
        again = curve(victim_at(url), ATTACK)
        assert rows_of(requests) == paid <= 1400
        curve(victim_at(url), ATTACK, seed=1)
        assert rows_of(requests) <= paid + 50
    assert first == again


def test_a_service_that_is_gone_midway_leaves_the_curve_and_the_same_goes_on(
    tmp_path: Path,
) -> None:
    down = False

    def answer(body: Any) -> Answer:
        return (400, {"error": "gone fishing"}) if down else thirds(body)

    with answering(answer) as (url, requests), kept_in(tmp_path):
        victim = victim_at(url)
        points = extract(victim, Defense(), attack_of(ATTACK), checkpoints=[20, 50])
        reached = [next(points)]
        down = True
        with pytest.raises(Stopped, match=r"400: .*gone fishing"):
            next(points)
        down, paid = False, rows_of(requests)
        again = curve(victim_at(url), ATTACK, [20, 50])
        assert rows_of(requests) == paid + 30
    assert reached[0].metrics["fidelity_test"] == again[0]["fidelity_test"]
    with pytest.raises(Stopped, match=r"gone fishing"):  # at once, without asking
        victim.predict(victim.space.sample(3, np.random.default_rng(9)))


def test_a_full_disk_under_the_memo_ends_it_with_a_reason_and_the_same_goes_on(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(9)
    with answering(thirds) as (url, requests), kept_in(tmp_path):
        victim = victim_at(url)
        assert isinstance(victim.predict, Endpoint)
        known = victim.space.sample(5, rng)
        victim.predict(known)
        victim.predict.memo._db.execute("pragma max_page_count = 1")  # as many as there are
        with pytest.raises(Stopped, match=r"no longer be kept .*full\); .*command goes on"):
            victim.predict(victim.space.sample(2000, rng))
        paid = len(requests)
        with pytest.raises(Stopped, match="no longer be kept"):  # at once, without asking
            victim.predict(victim.space.sample(3, rng))
        assert len(requests) == paid
        victim_at(url).predict(known)
        assert len(requests) == paid


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        kept_in(tmp_path / "file" / "below"),
        pytest.raises(ValueError, match=r"cache must be a folder that can be written, got "),
    ):
        victim_at("http://127.0.0.1:1")


def test_nobody_who_is_gone_is_asked_for_ever(tmp_path: Path) -> None:
    with answering(thirds) as (url, _):
        victim = victim_at(url, tries=2)
        pause(victim)
        victim.predict.client.close()  # type: ignore[attr-defined]
    with pytest.raises(Stopped, match=r"does not answer .* tried 2 times; .* same command goes on"):
        victim.predict(victim.space.sample(3, np.random.default_rng(9)))


def test_another_schema_stops_it(tmp_path: Path) -> None:
    other: list[Any] = []

    def answer(body: Any) -> Answer:
        return (200, {"scores": other}) if other else thirds(body)

    with answering(answer) as (url, requests):
        victim = victim_at(url)
        other.append(1)
        requests.clear()
        with pytest.raises(Stopped, match=r"changed its schema: .*with the keys scores: \{"):
            victim.predict(victim.space.sample(3, np.random.default_rng(9)))
        assert len(requests) == 3


def test_nonsense_is_not_remembered(tmp_path: Path) -> None:
    sick = False

    def answer(body: Any) -> Answer:
        told = thirds(body)[1]["predictions"]
        return 200, {"predictions": [[9.0, 9.0, 9.0]] * len(told) if sick else told}

    with answering(answer) as (url, _), kept_in(tmp_path):
        victim = victim_at(url)
        x, sick = victim.space.sample(3, np.random.default_rng(9)), True
        with pytest.raises(Stopped, match=r"outputs must be probabilities"):
            victim.predict(x)
        sick = False
        assert len(victim_at(url).predict(x)) == 3


def test_a_key_that_the_service_echoes_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", "s3cret")
    with answering(lambda body: (400, "bad s3cret")) as (url, requests):
        with pytest.raises(Stopped, match=r"400: .bad \.\.\."):
            victim_at(url, key_env="KEY")
        assert requests[0][1]["Authorization"] == "Bearer s3cret"


def test_who_varies_must_be_said_to(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def answer(body: Any) -> Answer:
        p = rng.dirichlet([1, 1, 1], len(body["dataframe_split"]["data"]))
        return 200, {"predictions": p.tolist()}

    with answering(answer) as (url, _):
        with pytest.raises(ValueError, match=r"alike each time, .* victim.stochastic=true"):
            victim_at(url)
        victim = victim_at(url, stochastic=True)
    assert victim.shares.provenance["agrees_with_itself"] < 1


def test_another_model_at_the_same_address_is_told(tmp_path: Path) -> None:
    shift = 0.0

    def answer(body: Any) -> Answer:
        told = thirds(body)[1]["predictions"]
        return 200, {"predictions": [[a * (1 - shift), b + a * shift, c] for a, b, c in told]}

    with answering(answer) as (url, _), kept_in(tmp_path):
        victim_at(url)
        shift = 0.01
        victim_at(url)  # seen a moment ago: nothing is asked
        with pytest.raises(ValueError, match=r"it is another model now; victim.memo=new"):
            victim_at(url, recheck=0.0)
        victim_at(url, recheck=0.0, memo="new")


def test_caps_hold_and_nothing_paid_is_lost(tmp_path: Path) -> None:
    with answering(thirds) as (url, requests), kept_in(tmp_path):
        victim = victim_at(url, most_rows=100, judge_rows=40)
        x = victim.space.sample(80, np.random.default_rng(9))
        with pytest.raises(Stopped, match=r"victim.most_rows=100 is reached"):
            victim.predict(x)
        assert rows_of(requests) == 100
        victim_at(url, judge_rows=40).predict(x)
        assert rows_of(requests) == 20 + 20 + 8 + 80
        requests.clear()
        with pytest.raises(Stopped, match=r"victim.most_dollars=0.5 is reached, after 50 rows"):
            victim_at(url, price=0.01, most_dollars=0.5, recheck=0.0).predict(-x)
        assert rows_of(requests) <= 50


def test_waits_and_smaller_batches_are_what_the_service_asks_for(tmp_path: Path) -> None:
    answers: list[Answer] = []

    def answer(body: Any) -> Answer:
        if len(body["dataframe_split"]["data"]) > 10:
            return 413, {"error": "too large"}
        return answers.pop() if answers else thirds(body)

    with answering(answer) as (url, requests):
        victim = victim_at(url)
        slept = pause(victim)
        answers += [(502, ""), (429, "", {"Retry-After": "7"}), (500, ""), (503, "")]
        x = victim.space.sample(10, np.random.default_rng(9))
        requests.clear()
        assert len(victim.predict(x)) == 10
        assert slept[2] == 7
        assert len({headers["Idempotency-Key"] for _, headers, _ in requests}) == 1
        answers.append((429, "", {"Retry-After": "61"}))
        with pytest.raises(Stopped, match=r"asks to wait 61 s, and victim.most_wait is 60"):
            victim.predict(x / 2)


def test_an_answer_that_is_cut_off_is_asked_for_again() -> None:
    cut = [False]

    def answer(body: Any) -> Answer:
        whole = thirds(body)
        return (*whole, {"Content-Length": "9999", "Connection": "close"}) if cut.pop() else whole

    with answering(lambda body: answer(body) if cut else thirds(body)) as (url, requests):
        victim = victim_at(url)
        pause(victim)
        cut.append(True)
        requests.clear()
        assert len(victim.predict(victim.space.sample(3, np.random.default_rng(9)))) == 3
        assert len(requests) == 2


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (401, {}, "victim.key_env must name .* valid key"),
        (402, {}, "the budget of the key is spent"),
        (302, {"Location": "http://10.0.0.1/"}, "redirects to 'http://10.0.0.1/', and no redirect"),
        (422, {}, "422: .no such column"),
    ],
)
def test_what_cannot_be_helped_stops_at_once(
    status: int, headers: dict[str, str], said: str
) -> None:
    with answering(lambda body: (status, "no such column", headers)) as (url, requests):
        with pytest.raises(Stopped, match=said):
            victim_at(url)
        assert len(requests) == 1


def test_beyond_this_machine_it_takes_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    def elsewhere(*_: Any, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.2.1", 80))]

    def dialled(*_: Any) -> None:
        raise OSError("dialled")

    monkeypatch.setattr(socket, "getaddrinfo", elsewhere)
    monkeypatch.setattr(socket.socket, "connect", dialled)
    with pytest.raises(NotAuthorized, match=r"192.0.2.1, .* victim.i_am_authorized=true"):
        victim_at("http://localhost:80")  # a name may lead anywhere: the address counts
    with pytest.raises(Stopped, match=r"does not answer .dialled"):
        victim_at("http://mine.example", i_am_authorized=True, tries=1)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1", "127.8.0.1"])
def test_loopback_is_this_machine(address: str) -> None:
    assert is_loopback(address)
    assert not is_loopback("10.0.0.1")


@pytest.mark.parametrize(
    ("knobs", "said"),
    [
        ({"key": "abc"}, "victim.key must be left out, as Hydra writes it down"),
        ({"key_env": "NO_SUCH"}, "NO_SUCH is not set"),
        ({"url": "http://me:secret@127.0.0.1"}, "victim.url must hold no secret"),
        ({"url": "http://127.0.0.1/?api_key=a"}, "victim.url must hold no secret"),
        ({"url": "ftp://127.0.0.1"}, "victim.url must be an address like"),
        ({"protocol": "v2"}, "victim.url must name the model"),
        ({"protocol": "soap"}, "victim.protocol must be mlflow or v2 or template"),
        ({"protocol": "template", "request": {"a": "$all"}}, "placeholders of .* got .all"),
        ({"protocol": "template", "request": "$rows"}, "must be a JMESPath into the answer"),
        (
            {"protocol": "template", "request": "$rows", "labels": "a[?"},
            "must be a JMESPath, got",
        ),
        ({"request": "$rows"}, "unless victim.protocol=template"),
    ],
)
def test_knobs_are_checked_before_anything_is_sent(knobs: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        victim_at(**{"url": "http://127.0.0.1:9", **knobs})
