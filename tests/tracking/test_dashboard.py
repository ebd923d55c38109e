"""The dashboard: saved views that MLflow reads, and a server that starts or says why not."""

import base64
import json
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import pytest
from shop import new_store
from summaries import summary

from moatbench.cli import ui
from moatbench.tracking import store, views
from moatbench.tracking.log import _tags


def states() -> dict[str, dict[str, object]]:
    out = {}
    for key, value in views.tags(0):
        view = json.loads(value)
        method, _, packed = view["state"].partition(";")
        assert method == "deflate"
        out[key.removeprefix(views.TAG)] = json.loads(zlib.decompress(base64.b64decode(packed)))
    return out


def test_the_views_unpack_to_charts_against_queries_and_a_leaderboard() -> None:
    found = states()
    assert set(found) == {views.TRADE_OFF, views.BY_ATTACK, views.LEADERBOARD}
    charts = found[views.TRADE_OFF]["compareRunCharts"]
    assert isinstance(charts, list)
    lines = {c["metricKey"]: c for c in charts if c["type"] == "LINE"}
    assert lines["fidelity_uniform"]["xAxisKey"] == "step"
    sections = {s["uuid"] for s in found[views.TRADE_OFF]["compareRunSections"]}  # type: ignore[attr-defined]
    assert {c["metricSectionId"] for c in charts} <= sections
    assert found[views.LEADERBOARD]["orderByAsc"] is True


def test_a_tag_is_short_enough_for_every_store() -> None:
    assert max(len(value) for _, value in views.tags(0)) < 5000


def test_a_new_experiment_has_its_views_and_an_old_one_keeps_its_own(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    client, number = store.open_store(uri, "bench")
    written = client.get_experiment(number).tags
    assert f"{views.TAG}{views.LEADERBOARD}" in written
    assert "viewStateShareKey=tradeoff" in written["mlflow.note.content"]
    client.set_experiment_tag(number, f"{views.TAG}{views.LEADERBOARD}", "mine")
    store.open_store(uri, "bench")
    assert client.get_experiment(number).tags[f"{views.TAG}{views.LEADERBOARD}"] == "mine"
    assert store.experiments(uri) == ["bench"]
    command, links = ui.prepared([f"tracking.uri={uri}", "port=5050"])
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--workers") + 1] == "1"
    assert links["bench, trade-off"].startswith(f"http://127.0.0.1:5050/#/experiments/{number}/")


def test_a_deleted_experiment_is_told(tmp_path: Path) -> None:
    uri = new_store(tmp_path / "mlflow.db")
    client, number = store.open_store(uri, "bench")
    client.delete_experiment(number)
    with pytest.raises(store.TrackingFailed, match="'bench' was deleted in MLflow; restore it"):
        store.open_store(uri, "bench")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["tracking.uri=sqlite:///nowhere/mlflow.db"], "no store at sqlite:////"),
        (["colour=red"], "no option 'colour=red'; usage: moatbench-ui"),
        (["port=high"], "port must be a whole number from 1 to 65535, got 'high'"),
        (["tracking.uri=http://there:5000"], "is a server: open it in a browser"),
    ],
)
def test_the_dashboard_says_why_it_does_not_start(arguments: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ui.prepared(arguments)


def test_looking_for_a_store_makes_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no store at"):
        ui.prepared([f"tracking.uri=sqlite:///{tmp_path}/mlflow.db"])
    assert not list(tmp_path.iterdir())


def test_no_view_averages_data_sets_or_victims() -> None:
    for state in states().values():
        keys = [key["groupByData"] for key in state["groupBy"]["groupByKeys"]]  # type: ignore[index]
        assert keys[0] == views.ROW


def test_what_the_views_average_by_names_defense_strength_victim_and_data(tmp_path: Path) -> None:
    knobs = {"defense.mad.epsilon": 0.5, "price": 1e-4}
    tags = _tags(summary(defense="mad", victim="tree", data="wine", knobs=knobs), tmp_path)
    assert tags[views.ROW] == "mad (epsilon=0.5), tree on wine"


def test_the_leaderboard_fits_a_window_of_1280_pixels() -> None:
    chrome, boxes = 254, 40  # MLflow's sidebar and margins; the column of boxes
    assert chrome + boxes + sum(views.WIDTHS.values()) <= 1280


@pytest.mark.parametrize("port", [5060, 6000, 6667, 10080])
def test_a_port_that_browsers_refuse_is_refused(port: int) -> None:
    with pytest.raises(ValueError, match=f"got {port}; take port="):
        ui.prepared([f"port={port}"])


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_what_a_leash_holds_ends_with_its_parent(sign: signal.Signals, tmp_path: Path) -> None:
    held = tmp_path / "pid"
    worker = f"import os, time; open({str(held)!r}, 'w').write(str(os.getpid())); time.sleep(60)"
    script = f"""
import sys
from moatbench.cli import ui
ui._served([sys.executable, "-c", {worker!r}])
"""
    parent = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 30
    while not (held.exists() and held.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)
    parent.send_signal(sign)
    parent.wait(10)
    while Path(f"/proc/{held.read_text()}").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f"/proc/{held.read_text()}").exists()


@pytest.mark.parametrize("status", [0, 3])
def test_a_leash_ends_with_its_command_and_its_status(status: int) -> None:
    leash = [sys.executable, "-m", "moatbench.cli.leash", sys.executable, "-c"]
    held = subprocess.Popen(
        [*leash, f"raise SystemExit({status})"], stdin=subprocess.PIPE, start_new_session=True
    )
    try:
        assert held.wait(30) == status  # its input is open all the while
    finally:
        assert held.stdin is not None
        held.stdin.close()
