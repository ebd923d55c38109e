"""What a run was given beside its overrides, and could not be repeated without."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from moatbench.record.command import Command

PARTS = ("data", "pool", "outliers", "foreign", "victim", "defense", "attack")
DATA = ("data", "pool", "outliers", "foreign")
DATA_DIR = "MOATBENCH_DATA_DIR"
OURS = "moatbench"
CODE = ("_target_", "module")  # keys that name a class or function
CONFIG, NAME = "moatbench.conf", "config"  # of the command, unless it says otherwise


def repeating(cfg: DictConfig, hydra: Any) -> Command:
    """Return the command that repeats this run alone, from wherever it is pasted.

    Args:
        cfg: the composed config.
        hydra: Hydra's own.
    """
    # Each in its place: a node that is taken out of the tree loses what it refers to.
    parts = {n: OmegaConf.to_container(cfg[n], resolve=True) for n in PARTS if cfg.get(n)}
    values = list(_strings(parts))
    data = [value for n in DATA for value in _strings(parts.get(n, {}))]
    cwd, environment = Path(hydra.runtime.cwd), _imports(cfg, hydra)
    if os.environ.get(DATA_DIR) and any(v.startswith(str(cfg.data_dir)) for v in data):
        environment[DATA_DIR] = str(cwd / os.environ[DATA_DIR])
    sources = [Path(s.path) for s in hydra.runtime.config_sources if s.schema == "file"]
    starts_here = any(_is_file_here(cwd, value, str(cfg.data_dir)) for value in values)
    folder = str(cwd) if starts_here or not all(s.is_absolute() for s in sources) else ""
    return Command(as_given(hydra.overrides.task), tuple(_options(hydra)), environment, folder)


def as_given(overrides: Any) -> tuple[str, ...]:
    """Return overrides as they were typed: what stands in `${}` is no matter of Hydra's own."""
    typed: Any = OmegaConf.to_container(overrides, resolve=False)
    return tuple(map(str, typed))


def _options(hydra: Any) -> Iterator[str]:
    """Yield what says where configs lie."""
    for source in hydra.runtime.config_sources:
        if source.provider == "main" and source.path != CONFIG:
            place = source.path if source.schema == "file" else f"{source.schema}://{source.path}"
            yield from ("--config-path", place)
        elif source.provider == "command-line":
            yield from ("--config-dir", source.path)
    if hydra.job.config_name not in (None, NAME):
        yield from ("--config-name", hydra.job.config_name)
    for override in as_given(hydra.overrides.hydra):
        if override.lstrip("+").startswith("hydra.searchpath="):
            yield override.lstrip("+")


def _imports(cfg: DictConfig, hydra: Any) -> dict[str, str]:
    """Say where parts that are not ours were imported from, unless they are installed."""
    tree: Any = OmegaConf.to_container(cfg, resolve=False)
    named = [value for key, value in _items(tree) if key in CODE and value != "???"]
    named += [s.path for s in hydra.runtime.config_sources if s.schema == "pkg"]
    modules = {name.partition(":")[0] for name in named}
    tops = {m.partition(".")[0] for m in modules} - {OURS, "hydra", "hydra_plugins", ""}
    if not tops:
        return {}
    given = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    found = [place for top in sorted(tops) if (place := _place(top))]
    places = list(dict.fromkeys([*given, *found]))
    return {"PYTHONPATH": os.pathsep.join(places)} if places else {}


def _place(top: str) -> str:
    """Return the folder that a package lies in; '' where every Python of this place finds it."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return ""
    if spec is None or spec.origin in ("built-in", "frozen"):
        return ""
    inside = list(spec.submodule_search_locations or [])
    file = Path(inside[0] if inside else str(spec.origin))
    folder = file.parent.resolve()
    installed = {Path(p).resolve() for p in (sys.prefix, sys.base_prefix)}
    return "" if installed & set(folder.parents) else str(folder)


def _is_file_here(cwd: Path, value: str, data_dir: str) -> bool:
    """Whether a value is a path that means something else in another folder."""
    if not value or os.path.isabs(value) or "\0" in value:
        return False
    try:
        there = cwd / value
        return there.is_file() or (there.is_dir() and ("/" in value or value == data_dir))
    except OSError:  # too long for a name
        return False


def _strings(tree: Any) -> Iterator[str]:
    return (value for _, value in _items(tree))


def _items(tree: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield the texts of a config, each with its key."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _items(value, str(name))
    elif isinstance(tree, list):
        for value in tree:
            yield from _items(value, key)
    elif isinstance(tree, str):
        yield key, tree
