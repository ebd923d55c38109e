"""Parts by the name of their config file: conf/ is the registry."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from moatbench.compose.schema import register
from moatbench.reply import from_outputs
from moatbench.runner.job import one_pool
from moatbench.space import InputSpace
from moatbench.types import Array
from moatbench.victim import Shares, Victim

ROOT = Path(__file__).parents[1]
DATA_DIR = ROOT.parent / "shared" / "data"

register()

Compose = Callable[..., DictConfig]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Bit-identical results need a fixed number of BLAS threads."""
    with one_pool(1):
        yield


@pytest.fixture
def composed() -> Iterator[Compose]:
    """Compose a config as the command line would."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        yield lambda *overrides: compose("config", list(overrides))


@pytest.fixture
def toy() -> Victim:
    """A softmax victim with four features and three classes, made by hand."""
    rng = np.random.default_rng(5)
    weights, bias = rng.normal(size=(4, 3)) * 2, rng.normal(size=3)

    def outputs(x: Array) -> Array:
        z = x @ weights + bias
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return np.asarray(e / e.sum(axis=1, keepdims=True))

    x = rng.uniform(-1, 1, (900, 4))
    y = outputs(x).argmax(axis=1)
    shares = Shares(
        InputSpace.box(4), ("a", "b", "c"), x[:400], y[:400], x[400:600], x[600:], y[600:]
    )
    return Victim(shares, lambda q: from_outputs(outputs(q)), "softmax")


@pytest.fixture
def moatbench(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Run:
    """Run the command in an empty folder; return exit status, stdout and stderr."""
    from moatbench.cli import main as cli

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")

    def run(*arguments: str) -> tuple[int, str, str]:
        GlobalHydra.instance().clear()
        HydraConfig.instance().cfg = None
        monkeypatch.setattr(sys, "argv", ["moatbench", *arguments])
        status, message = 0, ""
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else 1
            message = stop.code if isinstance(stop.code, str) else ""
        out = capfd.readouterr()
        return status, out.out, out.err + message

    return run
