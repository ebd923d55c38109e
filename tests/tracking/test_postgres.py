"""Team-scale tracking: a store on PostgreSQL takes eight writers at once and loses nothing."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from urllib.request import urlopen

import pytest
from databases import free_port, postgres

from moatbench.cli.ui import LEAN
from moatbench.tracking import store
from moatbench.tracking.log import log_run
from moatbench.tracking.resume import finished

WRITERS, EACH = 8, 3
pytestmark = [
    pytest.mark.slow,
    pytest.mark.needs("postgresql"),
    pytest.mark.skipif(not find_spec("psycopg2"), reason="psycopg2 is not installed"),
]


@pytest.fixture
def database() -> Iterator[str]:
    with postgres("tracking") as url:
        yield url.replace("postgresql:", "postgresql+psycopg2:")


@pytest.fixture(params=["database", "server"])
def tracking(request: pytest.FixtureRequest, database: str, tmp_path: Path) -> Iterator[str]:
    """Return a tracking URI: the database itself, or an MLflow server before it."""
    if request.param == "database":
        yield database
        return
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", database]
    command += ["--artifacts-destination", str(tmp_path / "root"), "--port", str(port)]
    started = subprocess.Popen(
        [*command, "--workers", "2"],
        env={**os.environ, **LEAN},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with suppress(OSError), urlopen(f"{uri}/health", timeout=5):
                break
            time.sleep(0.5)
        yield uri
    finally:
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()


def write(job: tuple[str, Path, int]) -> list[str]:
    """Log a few runs, each with its own hash."""
    uri, base, writer = job
    made = []
    for number in range(EACH):
        folder = base / f"{writer}-{number}"
        folder.mkdir()
        summary = json.loads((base / "summary.json").read_text())
        summary |= {"seed": number, "config_hash": f"{writer}-{number}"}
        (folder / "summary.json").write_text(json.dumps(summary))
        shutil.copy(base / "curve.csv", folder)
        made.append(log_run(folder, uri))
    return made


def test_eight_processes_log_at_once_and_nothing_is_lost(tracking: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    command = [sys.executable, "-m", "moatbench", "data=iris", "attack=equation_solving"]
    here = [*command, "checkpoints=[5,10]", f"hydra.run.dir={tmp_path}", "tracking.enabled=false"]
    subprocess.run(here, check=True, cwd=tmp_path, capture_output=True)
    root = None if tracking.startswith("http") else str(tmp_path / "root")
    store.open_store(tracking, "moatbench", root)  # as a sweep does, before its workers
    with ProcessPoolExecutor(WRITERS, mp_context=get_context("spawn")) as pool:
        made = list(pool.map(write, [(tracking, tmp_path, n) for n in range(WRITERS)]))
    client = MlflowClient(tracking)
    (experiment,) = [e for e in client.search_experiments() if e.name == "moatbench"]
    runs = client.search_runs([experiment.experiment_id], max_results=1000)
    assert {r.info.run_id for r in runs} == {run for runs in made for run in runs}
    assert len(runs) == WRITERS * EACH
    assert {r.info.status for r in runs} == {"FINISHED"}
    assert len({r.data.tags["config_hash"] for r in runs}) == WRITERS * EACH
    first = client.get_metric_history(runs[0].info.run_id, "fidelity_test")
    assert [point.step for point in first] == [5, 10]
    assert finished(tracking, "moatbench", "3-1")
