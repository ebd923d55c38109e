"""What other people's programs do with a served defense: `mlflow models serve`, nginx, HAProxy."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
from load import request, sent
from services import serving

from moatbench.defenses.rounding import Rounding
from moatbench.serving import Forward, keys, protect
from moatbench.serving.servers import listening
from moatbench.serving.store import Store
from moatbench.space import InputSpace, Numeric

pytestmark = pytest.mark.slow


def free() -> int:
    with listening(0) as place:
        return int(place.getsockname()[1])


@contextmanager
def running(command: list[str], ready: str, folder: Path, **variables: str) -> Iterator[None]:
    """Run a program, until an address answers; end it afterwards."""
    with (folder / "out.txt").open("ab") as out:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **variables},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        for _ in range(600):
            assert process.poll() is None, (folder / "out.txt").read_text()
            try:
                urlopen(ready, timeout=5).close()
            except OSError:
                time.sleep(0.1)
            else:
                break
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)  # what it started as well
        process.wait(20)


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])


def told(port: int, rows: Any, key: str = "") -> tuple[int, Any]:
    body = json.dumps({"inputs": np.asarray(rows).tolist()}).encode()
    status, data = asyncio.run(sent(port, request("/invocations", body, key)))
    return status, json.loads(data)


def test_protect_stands_before_mlflow_models_serve(tmp_path: Path) -> None:
    import mlflow
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    x, y = load_iris(return_X_y=True)
    model = LogisticRegression(max_iter=1000).fit(x, y)
    place = tmp_path / "model"
    known: Mapping[str, Any] = {"pyfunc_predict_fn": "predict_proba", "pip_requirements": []}
    mlflow.sklearn.save_model(model, place, **known)
    port = free()
    serve = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(place), "-p", str(port)]
    space = InputSpace(tuple(Numeric(f"x{i}", 0, 10) for i in range(4)))
    app = protect(
        Forward(f"http://127.0.0.1:{port}"),
        defense=Rounding(decimals=2),
        space=space,
        state=tmp_path / "state",
    )
    store = Store(tmp_path / "state")
    key = keys.create(store, "alice", 60)[1]
    store.close()
    programs = [str(Path(place).parents[3] / "bin") for place in mlflow.__path__]  # uvicorn's
    path = os.pathsep.join([str(Path(sys.executable).parent), *programs, os.environ["PATH"]])
    with (
        running(
            [*serve, "--env-manager", "local"], f"http://127.0.0.1:{port}/ping", tmp_path, PATH=path
        ),
        serving(app) as url,
    ):
        status, answer = told(port_of(url), x[::3], key)
        assert status == 200
        assert np.array_equal(answer["predictions"], np.round(model.predict_proba(x[::3]), 2))
        assert told(port_of(url), x[:1])[0] == 401
        assert told(port_of(url), x[:20], key)[0] == 402  # its budget is spent
        _, plain = told(port, x[:1])
        assert np.allclose(plain["predictions"], model.predict_proba(x[:1]))
    app.close()
