"""A restart forgets nothing: queries, alarms, waits and repeats outlive the process."""

import os
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Running, running
from shop import defense_of

from moatbench.defense import Defense
from moatbench.reply import Reply
from moatbench.serving import keys
from moatbench.serving.deployment import keeps
from moatbench.serving.state import State, StateRefused
from moatbench.serving.store import Store
from moatbench.traits import Traits
from moatbench.types import Array
from moatbench.victim import Victim

DEAR = ["prada", "seat", "hoda", "margin_counter", "extraction_warning", "vardetect", "dawn"]
REMEMBERING = [
    *("quota", "proof_of_work", "modelguard_s", "gaussian_noise"),
    *(pytest.param(name, marks=pytest.mark.slow) for name in DEAR),  # it takes long to calibrate
]
FRESH = ("defense.gaussian_noise.mode=fresh",)


def again(served: Running, victim: Victim, defense: Defense, **how: Any) -> Running:
    """Stop a service without a word, and start it anew on its folder."""
    served.state.close()
    return running(victim, defense, served.state.folder, **how)


def defense(name: str) -> Defense:
    return defense_of(name, *(FRESH if name == "gaussian_noise" else ()))


@pytest.mark.parametrize("name", REMEMBERING)
def test_a_restarted_service_answers_as_one_that_was_not(
    name: str, toy: Victim, tmp_path: Path
) -> None:
    x = toy.space.sample(120, np.random.default_rng(3))
    whole, cut = (running(toy, defense(name), tmp_path / place) for place in ("whole", "cut"))
    cut.state.close()
    secret = (tmp_path / "whole" / "secret").read_text()
    (tmp_path / "cut" / "secret").write_text(secret)
    cut = running(toy, defense(name), tmp_path / "cut")
    token = whole.state.store.accounts()[0].token
    cut.state.store.db.execute("update accounts set token = ?", (token,))
    cut = again(cut, toy, defense(name))
    for served in (whole, cut):
        for start in range(0, 80, 16):
            served.rows(x[start : start + 16])
        _no_wait(served)
    cut = again(cut, toy, defense(name))
    told = [
        [served.rows(x[80 + i : 84 + i]).body for i in range(0, 40, 4) if _no_wait(served)]
        for served in (whole, cut)
    ]
    assert told[0] == told[1]
    alarms = [served.service.clients[1].alarm for served in (whole, cut)]
    assert alarms[0] == alarms[1]


def _no_wait(served: Running) -> bool:
    """Let the account's time be over."""
    served.service.clients[1].waits_until = 0.0
    return True


def test_what_is_kept_of_a_query_is_what_the_defense_declares() -> None:
    kept = {n: keeps(defense(n)) for n in ("rounding", "quota", "prada", "proof_of_work")}
    assert kept == {
        "rounding": "none",
        "quota": "counts",
        "prada": "rows",
        "proof_of_work": "rows",
    }
    assert keeps(defense_of("[refuse_invalid,quota]")) == "rows"  # which rows are counted?
    assert keeps(defense_of("[quota,rounding]")) == "counts"


def test_counts_alone_are_kept_where_they_are_enough(toy: Victim, tmp_path: Path) -> None:
    served = running(toy, defense_of("quota", "defense.quota.monitor.limit=5"), tmp_path)
    served.rows(toy.shares.pool[:6])
    assert served.state.store.db.execute("select count(*) from log").fetchone() == (0,)
    served = again(served, toy, defense_of("quota", "defense.quota.monitor.limit=5"))
    assert served.rows(toy.shares.pool[:1]).status == 403
    assert served.ask("/usage").json()["queries"] == 7


def test_budget_wait_and_repeats_outlive_the_process(toy: Victim, tmp_path: Path) -> None:
    class Slow(Defense):
        traits = Traits({"costs"})

        def wait(self, n: int, account: str) -> float:
            return 0.0 if n == 1 else 60.0

    served, row = running(toy, Slow(), tmp_path, budget=4), toy.shares.pool[:1]
    first = served.rows(row, idempotency_key="a")
    served.rows(np.repeat(row, 2, axis=0))
    served = again(served, toy, Slow())
    assert served.rows(row, idempotency_key="a").body == first.body
    assert served.rows(row).status == 429
    _no_wait(served)
    assert [served.rows(row).status for _ in range(2)] == [200, 402]


def test_it_is_written_down_before_it_is_told(
    toy: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = running(toy, Defense(), tmp_path)

    def full(entries: Any) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(served.state.store, "write", full)
    told = served.rows(toy.shares.pool[:1])
    assert (told.status, b"predictions" in told.body) == (500, False)


def test_another_deployment_is_refused_until_something_is_chosen(
    toy: Victim, tmp_path: Path
) -> None:
    noisy = running(toy, defense_of("prada"), tmp_path)
    noisy.rows(toy.shares.pool[:30])
    noisy.state.store.db.execute("insert into alarms values(1, 0, 7)")
    noisy.state.close()
    state = State(tmp_path)
    with pytest.raises(StateRefused, match=r"differs in defense; add state=keep .* state=new"):
        state.adopt({"defense": "Other"})
    state.close()
    kept = running(toy, defense_of("modelguard_s"), tmp_path, choice="keep")
    assert (kept.service.replayed, kept.service.clients[1].alarm) == (30, 7)
    kept.state.close()
    new = running(toy, defense_of("dawn"), tmp_path, choice="new")
    assert (new.service.replayed, new.service.clients[1].queries) == (0, 0)
    assert new.rows(toy.shares.pool[:1]).status == 200  # the key goes on
    assert len(list(tmp_path.glob("before-*/state.db"))) == 1


def test_the_secret_is_the_systems_once_and_its_owners_alone(tmp_path: Path) -> None:
    states = [State(tmp_path / name) for name in "ab"]
    one, two = (state.secret() for state in states)
    assert one != two
    assert one.bit_length() > 200
    states[0].close()
    assert State(tmp_path / "a").secret() == one
    for name in ("secret", "state.db"):
        mode = stat.S_IMODE(os.stat(tmp_path / "a" / name).st_mode)
        assert mode == 0o600
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o700


def test_two_processes_cannot_serve_one_folder(tmp_path: Path) -> None:
    first = State(tmp_path)
    with pytest.raises(StateRefused, match="must be served by one process"):
        State(tmp_path)
    first.close()
    State(tmp_path).close()


def test_a_model_that_varies_is_replayed_by_its_stored_replies(toy: Victim, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)

    def predict(x: Array) -> Reply:
        p = rng.dirichlet(np.ones(3), len(x))
        return Reply(p.argmax(axis=1).astype(np.int64), p)

    victim = replace(toy, predict=predict)
    served = running(victim, defense_of("modelguard_s"), tmp_path)
    assert served.service.deployment.varies
    served.rows(toy.shares.pool[:40])
    before: Any = served.service.deployment.defense
    after: Any = again(served, victim, defense_of("modelguard_s")).service.deployment.defense
    for one, two in zip(before.centroids, after.centroids, strict=True):
        assert np.array_equal(one, two)


def test_a_key_is_told_once_and_its_name_is_taken(tmp_path: Path) -> None:
    state = State(tmp_path)
    keys.create(state.store, "alice", 10)
    with pytest.raises(ValueError, match="name must be new, got 'alice'"):
        keys.create(state.store, "alice")
    keys.revoke(state.store, "1")
    with pytest.raises(ValueError, match="name must be one of none, got 'alice'"):
        keys.revoke(state.store, "alice")
    keys.create(state.store, "alice")


def test_durable_is_one_of_two_words(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="durable must be process or machine, got 'no'"):
        State(tmp_path, "no")
    state = State(tmp_path, "machine")
    assert state.store.db.execute("pragma synchronous").fetchone() == (2,)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "state.db").write_bytes(b"no database" * 500)
    for place in (tmp_path / "file", tmp_path / "file" / "below", tmp_path):
        for opened in (State, Store):
            with pytest.raises(ValueError, match=r"^state must be a folder .* got .*; mend it"):
                opened(place)


@pytest.mark.parametrize("held", ["", "zz", "12"])
def test_a_secret_that_is_broken_is_told_and_not_replaced(held: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(held)
    state = State(tmp_path)
    with pytest.raises(StateRefused, match="must hold the 64 hex digits"):
        state.secret()
    assert (tmp_path / "secret").read_text() == held
    state.close()
