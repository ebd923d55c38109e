"""Fixtures that every test may ask for; what else tests share is in shop.py."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import shop
from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from shop import Compose, Run, by_hand, new_store, softmax_of

from moatbench.runner.job import one_pool
from moatbench.victim import Victim


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A case of a part of ART's needs ART."""
    for item in items:
        called = getattr(item, "callspec", None)
        values = [] if called is None else called.params.values()
        if any(isinstance(v, str) and v.split("_")[0] == "art" for v in values):
            item.add_marker(pytest.mark.needs("art"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test for want of a tool; where the tool had to be installed, fail."""
    for mark in item.iter_markers("needs"):
        (name,) = mark.args
        if shop.TOOLS[name]() is not None:
            continue
        if name in shop.required():
            pytest.fail(f"{name} had to be here (MOATBENCH_REQUIRE), and is not")
        pytest.skip(f"{name} is not here")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Bit-identical results need a fixed number of BLAS threads."""
    with one_pool(1):
        yield


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    """Close the states of services that a test has opened."""
    yield
    if (asking := sys.modules.get("asking")) is not None:
        while asking.OPENED:
            asking.OPENED.pop().close()


@pytest.fixture
def composed() -> Iterator[Compose]:
    """Compose as `shop.composed` does, with Hydra up: a suite composes its attacks by it."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        yield shop.composed


@pytest.fixture
def toy() -> Victim:
    """A softmax victim with four features and three classes, made by hand."""
    rng = np.random.default_rng(5)
    predict = softmax_of(rng.normal(size=(4, 3)) * 2, rng.normal(size=3))
    return by_hand(predict, rng.uniform(-1, 1, (900, 4)), (400, 600), family="softmax")


@pytest.fixture
def tracked(tmp_path: Path) -> str:
    """Lay an empty store where a command that runs in `tmp_path` looks for one."""
    return new_store(tmp_path / "runs" / "mlflow.db")


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
