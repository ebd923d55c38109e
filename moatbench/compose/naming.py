"""Names of a run's parts: a config's name, or a name of their own for what a user brings."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from omegaconf import DictConfig, OmegaConf

from moatbench.compose.limits import layers_of
from moatbench.record.summary import SERVICE
from moatbench.tables.opened import bare

# Configs of which everybody has a content of their own
BROUGHT = {
    *("csv", "npz", "images", "idx", "openml"),
    *("own", "model", "skops", "module", "mlflow", "http"),
}


def data_name(cfg: DictConfig, choice: str, overrides: Iterable[str], cwd: Path) -> str:
    """Name the data: `data.name=`, the file's stem, or the config; and a pool of other data."""
    pool: Any = cfg.get("pool")
    if pool is None:
        return _one_name(cfg, choice, overrides, cwd)
    path = pool.get("name") or pool.get("path")
    other = stem(str(path), cwd, str(cfg.data_dir)) if path else _short(str(pool._target_))
    return f"{_one_name(cfg, choice, overrides, cwd)} (pool {other.rpartition('.')[2]})"


def _one_name(cfg: DictConfig, choice: str, overrides: Iterable[str], cwd: Path) -> str:
    node = cfg.data
    if node.get("name"):
        return str(node.name)
    given = choice in BROUGHT or _overrides(overrides, "data", "path")
    if given and node.get("path"):
        return stem(str(node.path), cwd, str(cfg.data_dir))
    return f"{choice}-{node.data_id}" if choice == "openml" else choice


def victim_name(cfg: DictConfig, choice: str, overrides: Iterable[str], cwd: Path) -> str:
    """Name the victim: `victim.name=`, its file's stem, its class, or the config."""
    overrides = list(overrides)
    node: Any = cfg.victim
    if node.get("name"):
        return str(node.name)
    model = node.get("model") or {}
    if "registry_uri" in node:
        return str(node.get("version") or node.uri).partition(":")[2].lstrip("/")
    if "key_env" in node:
        return urlsplit(str(node.url)).netloc
    if choice in BROUGHT:
        path = node.get("path") or node.get("weights") or model.get("path")
        target = str(model.get("_target_", choice))
        return stem(str(path), cwd, str(cfg.data_dir)) if path else _short(target)
    return _with_class(choice, str(node.get("_target_", "")), overrides, "victim")


def defense_name(cfg: DictConfig, overrides: Iterable[str]) -> str:
    """Name the layers of the defense, with a plus sign between; `none` without any.

    A service's own, whatever it is, is called `service`.
    """
    if OmegaConf.select(cfg, "victim.defended"):
        return SERVICE
    overrides = list(overrides)
    layers = [
        _with_class(name, str(node.get("_target_")), overrides, f"defense.{name}")
        for name, node in layers_of(cfg).items()
    ]
    return "+".join(layers) or "none"


def attack_name(cfg: DictConfig, choice: str, overrides: Iterable[str]) -> str:
    """Name the attack: the config, with the class where the command line names another."""
    return _with_class(choice, str(cfg.attack.get("_target_", "")), overrides, "attack")


def stem(path: str, cwd: Path, data_dir: str) -> str:
    """Return a file's name without its ending; with its folder, where it lies in another one.

    Files of one name in two folders are told apart by it.
    """
    file = cwd / Path(path).expanduser()
    if file.parent in (cwd, cwd / data_dir) or not file.parent.name:
        return bare(file)
    return f"{file.parent.name}/{bare(file)}"


def _with_class(name: str, target: str, overrides: Iterable[str], prefix: str) -> str:
    return f"{name} ({_short(target)})" if _overrides(overrides, prefix, "_target_") else name


def _overrides(overrides: Iterable[str], prefix: str, key: str) -> bool:
    """Whether the command line gives a knob itself."""
    return any(o.lstrip("+").startswith(f"{prefix}.{key}=") for o in overrides)


def _short(target: str) -> str:
    """Return a class without its module; a function with the file that it stands in."""
    module, _, last = target.rpartition(".")
    return last if last[:1].isupper() or not module else f"{module.rpartition('.')[2]}.{last}"
