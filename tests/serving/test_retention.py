"""What is forgotten, what metrics tell of accounts, who sees the owner's page, what time tells."""

import re
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from asking import Running, ask, now, running
from shop import defense_of

from moatbench.serving import keys
from moatbench.serving.kept.retention import DAY, Retention
from moatbench.serving.meters import MOST_ACCOUNTS, Meters
from moatbench.serving.owner import measured
from moatbench.serving.servers import Here, is_here
from moatbench.victim import Victim


def asked(served: Running, victim: Victim, n: int, requests: int) -> None:
    x = victim.space.sample(n, np.random.default_rng(0))
    for part in np.array_split(x, requests):
        served.rows(part)


def test_only_the_newest_rows_are_kept_and_counts_and_alarms_stay(
    toy: Victim, tmp_path: Path
) -> None:
    prada = defense_of("seat", "response@defense.seat.response=log")
    served = running(toy, prada, tmp_path)
    asked(served, toy, 100, 10)
    assert Retention.of("35 rows").apply(served.state.store) == 7
    assert sum(len(x) for _, _, x, _ in served.state.store.logged(4)) == 30
    served.state.close()
    again = running(toy, prada, tmp_path)
    assert again.service.replayed == 30
    assert again.service.clients[1].queries == 100


def test_what_is_older_than_so_many_days_is_forgotten(
    toy: Victim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = running(toy, defense_of("seat", "response@defense.seat.response=log"), tmp_path)
    asked(served, toy, 10, 2)
    month = Retention.of("30d")
    assert month.apply(served.state.store) == 0
    later = time.time() + 31 * DAY
    monkeypatch.setattr(time, "time", lambda: later)
    served.rows(np.zeros((1, 4)))
    assert month.apply(served.state.store) == 2
    assert len(list(served.state.store.logged(4))) == 1


@pytest.mark.parametrize("told", ["", "0", "soon", "-3d", "1.5", "3 weeks"])
def test_a_retention_is_days_or_rows(told: str) -> None:
    with pytest.raises(ValueError, match=r"forget_after must be rows or days, 100000 or 30d, got"):
        Retention.of(told)


def test_metrics_name_accounts_by_number_only_where_that_is_asked_for(
    toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, defense_of("rounding"), tmp_path)
    asked(served, toy, 10, 1)
    assert b"account_rows" not in measured(served.app)
    told = measured(served.app, accounts=True).decode()
    assert 'moatbench_account_rows_total{account="1",outcome="answered"} 10.0' in told
    assert "alice" not in told


def test_metrics_tell_of_a_thousand_accounts_at_most() -> None:
    many = ((number, 1, 0) for number in range(MOST_ACCOUNTS + 50))
    told = Meters().text({}, 0, many).decode()
    assert len(re.findall(r'outcome="answered"\} 1.0', told)) == MOST_ACCOUNTS


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:8081", 200), ("127.0.0.1", 200), ("[::1]:1", 200), ("evil.example", 421)],
)
def test_a_page_that_somebody_led_here_by_a_name_of_theirs_is_not_told(
    host: str, status: int, toy: Victim, tmp_path: Path
) -> None:
    served = running(toy, defense_of("rounding"), tmp_path)
    assert is_here(host.encode()) == (status == 200)
    assert now(ask(Here(served.app), "/ping", headers={"host": host})).status == status


@pytest.mark.slow
def test_the_time_of_a_refusal_tells_nothing_of_a_key(toy: Victim, tmp_path: Path) -> None:
    served = running(toy, defense_of("rounding"), tmp_path)
    _, gone = keys.create(served.state.store, "bob")
    keys.revoke(served.state.store, "bob")
    sent: Mapping[str, Mapping[str, str]] = {
        "absent": {},
        "wrong": {"authorization": f"Bearer {keys.PREFIX}{'a' * 43}"},
        "revoked": {"authorization": f"Bearer {gone}"},
    }
    took: dict[str, list[float]] = {name: [] for name in sent}

    async def each() -> None:
        for _ in range(2000):  # in turn: what slows the machine slows all
            for name, headers in sent.items():
                begun = time.perf_counter()
                await ask(served.app, "/invocations", {"inputs": [[0.0] * 4]}, headers)
                took[name].append(time.perf_counter() - begun)

    now(each())
    medians = {name: statistics.median(times) for name, times in took.items()}
    widths = [q[2] - q[0] for q in (statistics.quantiles(t, n=4) for t in took.values())]
    assert max(medians.values()) - min(medians.values()) < min(widths)
