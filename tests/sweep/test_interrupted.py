"""Ctrl-C: one line, nothing that was whole is lost, nothing runs on, and a shell is told."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from moatbench.cli import main as command
from moatbench.sweep.manifest import Entry
from moatbench.sweep.progress import LOST, Job
from moatbench.sweep.workers import stop_workers

RUN = (
    *(sys.executable, "-m", "moatbench", "-m", "data=digits", "attack=adaptive_retraining"),
    *("seed=range(0,6)", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"),
)


def alive(group: int) -> list[str]:
    """Name the processes of a group that still run; a zombie does not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:  # it has just ended
            continue
        state, _, of, *_ = rest.split()
        found += [name] if int(of) == group and state != "Z" else []
    return found


def test_an_interrupted_command_exits_as_a_shell_expects(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "job", pressed)
    monkeypatch.setattr(sys, "argv", ["moatbench"])
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as left:
            command.main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert left.value.code == 130
    assert capsys.readouterr().err.count("\n") == 1


def test_a_run_that_was_under_way_is_told_from_one_that_failed(tmp_path: Path) -> None:
    def job(**more: Any) -> Job:
        known: dict[str, Any] = {"report": None, "confirm": 0, "verbose": False, "advise": False}
        return Job(Entry(0, str(tmp_path), "x", None, **{**known, **more}), None)

    cut, wrong = job(), job(done=True, error="no such column")
    assert (cut.lost, cut.failure) == (True, LOST)
    assert (wrong.lost, wrong.failure) == (False, "no such column")


def test_workers_are_ended_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[dict[str, bool]] = []
    held = SimpleNamespace(shutdown=lambda **how: told.append(how))
    where = "joblib.externals.loky.reusable_executor"
    monkeypatch.setitem(sys.modules, where, SimpleNamespace(_executor=held))
    stop_workers()
    monkeypatch.setitem(sys.modules, where, SimpleNamespace(_executor=None))
    stop_workers()
    assert told == [{"wait": True, "kill_workers": True}]


@pytest.mark.slow
@pytest.mark.parametrize("sent", [os.killpg, os.kill], ids=["to all", "to the command"])
def test_an_interrupted_sweep_leaves_no_worker(
    sent: Callable[[int, int], None], tmp_path: Path
) -> None:
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # Tests that a shell started in the background ignore Ctrl-C, and hand that on
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    pipes |= {"start_new_session": True, "preexec_fn": heeding}
    with subprocess.Popen(RUN, cwd=tmp_path, **pipes) as sweep:
        until = time.monotonic() + 300
        while not list(tmp_path.glob("runs/*/*/*/summary.json")) and time.monotonic() < until:
            time.sleep(0.1)
        sent(sweep.pid, signal.SIGINT)
        out, err = sweep.communicate(timeout=60)
        assert sweep.returncode == 130
        assert "the sweep ended early" in out
        assert err.splitlines()[-1].startswith("moatbench: interrupted")
        assert "Traceback" not in err
        assert "Warning" not in err
        until = time.monotonic() + 10
        while alive(sweep.pid) and time.monotonic() < until:
            time.sleep(0.1)
        assert alive(sweep.pid) == []
