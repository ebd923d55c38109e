"""The owner's page and /metrics."""

import re
import subprocess
from pathlib import Path

import made_runs
import pytest
from asking import Running, ask, now, running
from shop import defense_of, tool
from summaries import summary

from moatbench.defense import Defense
from moatbench.record.curve import CurveFile
from moatbench.serving import keys
from moatbench.serving.owner import Curve, measured, overview, owner_page, written
from moatbench.victim import Victim


@pytest.fixture
def record(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    file = CurveFile(folder / "curve.csv")
    for row in made_runs.rows((0.5, 0.8, 0.9)):
        file.add(row)
    summary().write(folder)
    return folder


@pytest.fixture
def served(toy: Victim, tmp_path: Path) -> Running:
    return running(toy, defense_of("prada"), tmp_path / "state")


def test_without_the_owners_key_pages_are_403(served: Running) -> None:
    page = owner_page(served.app, "k" * 64)
    for headers in ({}, {"authorization": f"Bearer {served.key}"}, {"cookie": "moatbench_owner=x"}):
        for path in ("/", "/?key=x", "/state.json"):
            told = now(ask(page, path, None, headers))
            assert (told.status, "alice" in told.body.decode()) == (403, False)
    for headers in (
        {"authorization": f"Bearer {'k' * 64}"},
        {"cookie": f"moatbench_owner={'k' * 64}"},
    ):
        assert now(ask(page, "/", None, headers)).status == 200
    to = now(ask(page, f"/?key={'k' * 64}"))
    assert (to.status, to.headers["location"]) == (303, "/")
    assert "HttpOnly" in to.headers["set-cookie"]


def test_it_tells_of_accounts_alarms_and_scores(served: Running, toy: Victim) -> None:
    step = (toy.shares.pool[1] - toy.shares.pool[0]) / 200
    for start in range(0, 200, 20):
        served.rows([(toy.shares.pool[0] + i * step).tolist() for i in range(start, start + 20)])
    keys.create(served.state.store, "bob", 7)
    seen = overview(served.app, None)
    assert seen["lead"].startswith("PRADA in front of toy. Accounts: 2, 1 of them with an alarm.")
    alice, bob = seen["accounts"]
    assert (alice["queries"], alice["name"], bob["left"]) == (200, "alice", 7)
    assert 0 < alice["alarm"] <= 200
    (line,) = alice["lines"]
    assert line["monitor"] == "PRADA"
    assert line["points"][-1]["queries"] == 200
    told = measured(served.app).decode()
    assert 'moatbench_accounts{state="alarm"} 1.0' in told
    assert 'moatbench_alarms_total{monitor="PRADA"} 1.0' in told
    assert re.search(r'moatbench_rows_total\{outcome="(answered|refused)"\} [1-9]', told)
    assert "alice" not in told


def test_scores_are_there_again_after_a_restart(served: Running, toy: Victim) -> None:
    served.rows(toy.shares.pool[:150])
    before = overview(served.app, None)["accounts"][0]["lines"]
    served.state.close()
    after = running(toy, defense_of("prada"), served.state.folder)
    again = overview(after.app, None)["accounts"][0]["lines"]
    assert [p["queries"] for p in again[0]["points"]] == [p["queries"] for p in before[0]["points"]]
    assert again[0]["points"][0]["time"] == pytest.approx(before[0]["points"][0]["time"], abs=1)


def test_a_thief_could_have_the_best_that_was_measured_with_as_many_queries(record: Path) -> None:
    curve = Curve.read(record)
    assert [curve.by(n) for n in (9, 10, 49, 1000)] == [
        None,
        {"fidelity": 0.5, "queries": 10},
        {"fidelity": 0.8, "queries": 20},
        {"fidelity": 0.9, "queries": 50},
    ]


def test_names_cannot_break_out_of_the_page(toy: Victim, tmp_path: Path) -> None:
    served = running(toy, Defense(), tmp_path)
    keys.create(served.state.store, "</script><b>bob")
    assert "</script><b>" not in written(served.app, None)


@pytest.mark.needs("chromium")
def test_a_browser_draws_it_without_a_network(
    served: Running, toy: Victim, record: Path, tmp_path: Path
) -> None:
    served.rows(toy.shares.pool[:150])
    served.rows(toy.shares.pool[150:200])
    file = tmp_path / "page.html"
    file.write_text(written(served.app, Curve.read(record)))
    calm = "--headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking"
    done = subprocess.run(
        [
            tool("chromium"),
            *calm.split(),
            f"--user-data-dir={tmp_path / 'profile'}",
            "--virtual-time-budget=1500",
            "--enable-logging=stderr",
            f"--screenshot={tmp_path / 'page.png'}",
            "--window-size=1200,900",
            "--dump-dom",
            file.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    body = done.stdout.partition("<tbody")[2]
    assert "alice" in body
    assert "90.0 %" in body
    assert "<svg" in body
    assert "<circle" in body
    assert not re.findall(r'(?:src|href)="(?!data:)', done.stdout)
    assert "Uncaught" not in done.stderr.replace(
        "Uncaught (in promise) TypeError: Failed to fetch", ""
    )
