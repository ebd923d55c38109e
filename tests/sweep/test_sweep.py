"""What surrounds the runs of a sweep: the count, the lines, the resume after a kill, the store."""

import os
import pickle
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_module
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig, OmegaConf
from summaries import summary

import moatbench.conf
from moatbench.record.flag import Flag
from moatbench.sweep.callback import Watched, compose_seeds_once, planned
from moatbench.sweep.manifest import Entry
from moatbench.sweep.progress import Progress, jobs, result

Run = Callable[..., tuple[int, str, str]]
QUICK = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]")
SUMMARY = summary(
    attack="equation_solving",
    seconds=2.0,
    checkpoints=[5, 1000],
    summaries={"equation_solving": {"final_fidelity_test": 0.9, "final_fidelity_uniform": 0.8}},
)


def swept(*overrides: str, **sweeper: Any) -> DictConfig:
    """Compose what Hydra hands to a callback at the start of a multirun."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        cfg = compose("config", return_hydra_config=True)
    OmegaConf.set_struct(cfg, False)
    cfg.hydra.overrides.task = list(overrides)
    cfg.hydra.sweeper = {**cfg.hydra.sweeper, **sweeper}
    return cfg


def test_the_runs_of_a_grid_are_counted() -> None:
    assert planned(swept("seed=0,1,2", "defense=none,[prada,rounding]")) == 6
    assert planned(swept("seed=0")) == 1
    assert planned(swept("price=1", params={"seed": "0,1", "data": "iris,wine"})) == 4
    assert planned(swept("seed=7", params={"seed": "0,1", "data": "iris,wine"})) == 2


def test_a_glob_counts_as_the_options_it_stands_for() -> None:
    config = swept("seed=0,1", params={"defense": "glob(*)"})
    defenses = list((Path(moatbench.conf.__path__[0]) / "defense").glob("*.yaml"))
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        assert planned(config) == 2 * len(defenses)


def test_a_search_is_as_long_as_its_trials() -> None:
    search = {"_target_": "theirs.Sweeper"}
    assert planned(swept("seed=0,1", **search)) is None
    assert planned(swept("seed=0,1", **search, n_trials=9)) == 9


def said(manifest: Path, number: int, name: str, **more: Any) -> None:
    """Leave what a job says of itself, and its folder."""
    folder = manifest / name
    folder.mkdir(parents=True, exist_ok=True)
    Entry(number, str(folder), **more).write(manifest)


def test_each_finished_run_is_told_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(tmp_path, 3)
    progress.start()
    said(tmp_path, 0, "a=b", done=True)
    SUMMARY.write(tmp_path / "a=b")
    said(tmp_path, 1, "deep/er")
    (tmp_path / "deep" / "er" / "summary.json").write_text('{"half": ')  # still being written
    time.sleep(1.2)
    replace(SUMMARY, fetched="abc").write(tmp_path / "deep" / "er")
    said(tmp_path, 1, "deep/er", done=True)
    progress.stop()
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("[1/3] none / equation_solving / softmax on iris / s0: 90.00")
    assert re.search(r"80\.00 % stolen \(2\.0 s, about \d+ s left\)$", first)
    assert second.startswith("[2/3]")
    assert "(already in MLflow, about" in second


def test_the_time_left_is_estimated_from_what_really_ran(tmp_path: Path) -> None:
    progress = Progress(tmp_path, 4)
    progress._began -= 100
    assert progress.time_left() == ""
    progress._told, progress._ran = {0, 1}, 1  # the other one was known already
    assert progress.time_left() == "about 3 min left"
    progress._told = {0, 1, 2, 3}
    assert progress.time_left() == ""


def test_a_run_without_numbers_says_why() -> None:
    skipped = replace(SUMMARY, status="not_applicable", reason="needs confidences")
    assert result(skipped) == "not applicable: needs confidences"
    assert result(
        replace(SUMMARY, flags=[Flag("A", "a"), Flag("B", "b"), Flag("C", "c")])
    ).endswith("% stolen, A: invalid; B: bound")


def test_a_run_that_left_nothing_is_a_failure(tmp_path: Path) -> None:
    said(tmp_path, 0, "0")
    said(tmp_path, 1, "1", error="no such column")
    killed, refused = jobs(tmp_path)
    assert killed.failure.startswith("no result")
    assert refused.failure == "no such column"
    assert jobs(tmp_path / "nowhere") == []


def test_launchers_may_send_the_callback_to_their_workers(tmp_path: Path) -> None:
    callback = Watched(tmp_path)
    callback._progress = Progress(tmp_path, 1)
    sent = pickle.loads(pickle.dumps(callback))
    assert (sent._manifest, sent._progress) == (tmp_path, None)


def sweep_command(*more: str) -> list[str]:
    command = [sys.executable, "-m", "moatbench", "-m", *QUICK, "defense=none,rounding"]
    return [*command, "seed=0,1,2,3", *more]


def finished_runs(folder: Path) -> list[tuple[str, str]]:
    """Return (config_hash, status) of every run in the store."""
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{folder}/runs/mlflow.db")
    found = client.search_experiments(filter_string="name = 'moatbench'")
    runs = client.search_runs([e.experiment_id for e in found], max_results=1000)
    return [(run.data.tags["config_hash"], run.info.status) for run in runs]


@pytest.mark.usefixtures("tracked")
def test_after_two_kills_a_sweep_is_whole_and_nothing_is_twice(tmp_path: Path) -> None:
    """Kill -9 the whole process group when some runs are in, twice; then the same command again."""
    for goal, launcher in ((1, ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")), (5, ())):
        sweep = subprocess.Popen(
            sweep_command(*launcher),
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and sweep.poll() is None:
            if len(list(tmp_path.glob("runs/*/*/*/summary.json"))) >= goal:
                break
            time.sleep(0.05)
        os.killpg(sweep.pid, signal.SIGKILL)
        sweep.wait()
    last = subprocess.run(sweep_command(), cwd=tmp_path, capture_output=True, text=True)
    assert last.returncode == 0, last.stderr
    assert "(already in MLflow" in last.stdout
    whole = [config for config, status in finished_runs(tmp_path) if status == "FINISHED"]
    assert len(whole) == len(set(whole)) == 8


@pytest.mark.usefixtures("tracked")
def test_a_sweep_ends_with_what_opens_its_charts(moatbench: Run) -> None:
    status, out, _ = moatbench("-m", *QUICK, "defense=none,rounding", "seed=0", "verbose=true")
    assert status == 0
    assert out.startswith("sweep of 2 runs in ")
    assert "[2/2]" in out
    assert "moatbench-ui" in out
    assert "viewStateShareKey=tradeoff" in out
    assert out.endswith("moatbench-report experiment=moatbench out=report\n")


def test_runs_that_differ_in_their_seeds_alone_are_tried_out_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tried: list[list[str]] = []

    def note(self: object, batch: list[list[str]]) -> None:
        tried.extend(batch)

    monkeypatch.setattr(Sweeper, "validate_batch_is_legal", note)
    compose_seeds_once()
    batch = [["defense=none", "seed=0"], ["defense=none", "seed=1"], ["defense=x", "seed=1"]]
    sweeper: Any = object()
    Sweeper.validate_batch_is_legal(sweeper, [*batch, ["defense=none", "seed=abc"]])
    assert len(tried) == 3
    assert ["defense=none", "seed=abc"] in tried
