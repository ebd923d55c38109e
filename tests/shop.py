"""What several test files share: parts by their name in conf/, victims by hand, spies, tools."""

import os
import shutil
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self, TypeVar

import numpy as np
import pytest
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from moatbench.api import ADVERSARY
from moatbench.attack import Attack
from moatbench.compose.build import build_attacks, build_defense, instantiate
from moatbench.compose.schema import register
from moatbench.defense import Defense
from moatbench.models import forward
from moatbench.randomness import stream
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.traits import NoiseModel, Traits
from moatbench.types import Array
from moatbench.victim import NotApplicable, Shares, Victim

ROOT = Path(__file__).parents[1]
DATA_DIR = Path(os.environ.get("MOATBENCH_DATA_DIR", ROOT.parent / "shared" / "data"))

Compose = Callable[..., DictConfig]
Run = Callable[..., tuple[int, str, str]]

register()


# ---- parts by name -----------------------------------------------------------------------


@cache
def composed(*overrides: str) -> DictConfig:
    """Compose a config as the command line would, once a session: it is to be read only."""
    around = GlobalHydra.instance()
    kept, around.hydra = around.hydra, None  # a Hydra that a fixture or a command has up
    try:
        with initialize_config_module("moatbench.conf", version_base="1.3"):
            cfg = compose("config", list(overrides))
    finally:
        GlobalHydra.instance().hydra = kept
    OmegaConf.set_readonly(cfg, True)
    return cfg


def defense_of(choice: str, *overrides: str) -> Defense:
    """Build a defense, or a stack, by name."""
    return build_defense(composed(f"defense={choice}", *overrides).defense)


def attack_of(name: str, *overrides: str) -> Attack:
    """Build an attack by name."""
    return build_attacks(composed(f"attack={name}", *overrides).attack, name)[name]


@cache
def victim_of(family: str, data: str, *knobs: str, seed: int = 0) -> Victim:
    """Train a victim of conf/ on data of conf/, once a session."""
    cfg = composed(f"victim={family}", f"data={data}", f"data_dir={DATA_DIR}", *knobs)
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim


D = TypeVar("D", bound=Defense)


def deployed(defense: D, victim: Victim, seed: int = 0) -> D:
    """Deploy a defense before a victim."""
    defense.deploy(victim, np.random.default_rng(seed))
    return defense


def fresh(defense: D, victim: Victim, seed: int = 0) -> D:
    """Deploy a copy, so that what several tests start from stays as it is."""
    return deployed(copy(defense), victim, seed)


def outputs_told(defense: Defense, outputs: Array, x: Array | None = None) -> Array:
    """(n, k) what a deployed defense makes of outputs, at inputs of four features."""
    x = np.zeros((len(outputs), 4)) if x is None else x
    told = defense.respond(x, from_outputs(outputs), "alice").outputs
    assert told is not None
    return told


def refuses_what_it_cannot_train_on(defense: Defense, toy: Victim) -> None:
    """A defense that trains on whole distributions says which of its needs is not met."""
    with pytest.raises(NotApplicable, match="this victim answers labels only"):
        fresh(defense, Victim(toy.shares, lambda x: Reply(toy.predict(x).labels)))
    with pytest.raises(NotApplicable, match="needs whole distributions"):
        fresh(defense, replace(toy, full=False))
    shares = replace(toy.shares, x_train=np.zeros((0, 4)), y_train=np.zeros(0, dtype=np.int64))
    with pytest.raises(NotApplicable, match="this victim has 0 training rows"):
        fresh(defense, replace(toy, shares=shares))


# ---- victims by hand ---------------------------------------------------------------------


def by_hand(
    predict: Callable[[Array], Reply],
    x: Array,
    ends: tuple[int, int],
    space: InputSpace | None = None,
    classes: tuple[str, ...] = ("a", "b", "c"),
    family: str | None = None,
    architecture: Mapping[str, Any] | None = None,
) -> Victim:
    """Make a victim of a function; `x` is its training rows, then pool, then test rows.

    Args:
        predict: answers rows.
        x: (n, d) all its data, which it labels itself.
        ends: where the training rows end, and where the pool ends.
        space: of its inputs; None is the box from -1 to 1.
        classes: their names.
        family: what its card tells.
        architecture: the same.
    """
    (a, b), y = ends, predict(x).labels
    space = space or InputSpace.box(x.shape[1])
    shares = Shares(space, classes, x[:a], y[:a], x[a:b], x[b:], y[b:])
    return Victim(shares, predict, family, architecture or {})


def softmax_of(weights: Array, bias: Array) -> Callable[[Array], Reply]:
    """Answer as softmax regression with these coefficients (d, k) and (k,)."""
    return lambda x: from_outputs(forward.softmax(x @ weights + bias))


def counted(victim: Victim) -> tuple[Victim, list[int]]:
    """Return the victim, and a list that grows by the rows of each batch that it is asked."""
    asked: list[int] = []

    def predict(x: Array) -> Reply:
        asked.append(len(x))
        return victim.predict(x)

    spied = replace(victim, predict=predict)
    asked.clear()  # a victim is asked when it is made
    return spied, asked


# ---- spies -------------------------------------------------------------------------------


class Spy(Defense):
    """Lets everything pass, and remembers the attacker's queries; may claim a mode of noise."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode
        self.seen: list[Array] = []

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """What a run deploys is a copy; the spy's tells the spy."""
        return self

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        if account == ADVERSARY:
            self.seen.append(x.copy())
        return reply

    @property
    def traits(self) -> Traits:
        return Traits() if self.mode is None else Traits({"noisy"}, noise=NoiseModel(self.mode))


# ---- stores of MLflow --------------------------------------------------------------------


@cache
def blank_store() -> bytes:
    """Let MLflow make a store, once: its migrations take most of a second of every new one."""
    from mlflow import MlflowClient

    with TemporaryDirectory() as folder:
        MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
        return (Path(folder) / "mlflow.db").read_bytes()


def new_store(file: Path) -> str:
    """Lay an empty store as this file; return its URI."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(blank_store())
    return f"sqlite:///{file}"


# ---- tools that a machine may lack -------------------------------------------------------


def postgresql() -> str | None:
    """Return the folder of the newest PostgreSQL's programs."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return str(folders[-1]) if folders else None


def package(name: str) -> Callable[[], str | None]:
    """Return what tells the version of a package of PyPI, where it is installed."""

    def find() -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None

    return find


TOOLS: dict[str, Callable[[], str | None]] = {
    "art": package("adversarial-robustness-toolbox"),
    "mlxtend": package("mlxtend"),
    "onnxruntime": package("onnxruntime"),
    "xgboost": package("xgboost-cpu"),
    "lightgbm": package("lightgbm"),
    "chromium": lambda: shutil.which("chromium") or shutil.which("google-chrome"),
    "pdflatex": lambda: shutil.which("pdflatex"),
    "postgresql": postgresql,
    "nginx": lambda: shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
    "haproxy": lambda: shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin"),
    "../shared/data": lambda: str(DATA_DIR) if DATA_DIR.is_dir() else None,
}


def tool(name: str) -> str:
    """Return where a tool is, for tests that are marked `needs(name)`."""
    found = TOOLS[name]()
    assert found is not None, f"{name} is not on this machine; mark the test needs({name!r})"
    return found


def required() -> list[str]:
    """Name the tools without which no test may be skipped: `.ci/run` has installed them."""
    return [name for name in os.environ.get("MOATBENCH_REQUIRE", "").split(",") if name]
