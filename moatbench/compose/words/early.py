"""What is wrong with a single run and can be told before it has a folder, without its data.

Told here, a mistake costs neither a folder nor the seconds that torch, scikit-learn and MLflow take
to load. In a sweep each run tells its own, and the others go on.
"""

import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from difflib import get_close_matches
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.utils import get_method
from omegaconf import DictConfig, OmegaConf

from moatbench.api import valid_checkpoints
from moatbench.compose.build import build_one, check_attacks
from moatbench.compose.limits import check_run
from moatbench.compose.repeat import DATA, PARTS
from moatbench.compose.words.errors import WANTS_TRACEBACK, explain, missing
from moatbench.data.shares import check_sharing
from moatbench.record.inputs import targets

OURS = "moatbench."
FILES = ("weights", "path")  # keys that name one
GIVEN = {"data": set[str](), "victim": {"data", "rng"}}  # what a run adds to the knobs


class Checked(Callback):
    """Check a run's config before anything else of it; end the command where it is wrong."""

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        try:
            check(config, str(config.hydra.runtime.choices.attack))
        except Exception as error:  # Hydra would only warn of one, and go on
            if WANTS_TRACEBACK:
                traceback.print_exc()
            sys.exit(f"moatbench: {explain(error)}")


def check(cfg: DictConfig, attack: str) -> None:
    """Raise for what is wrong with a config whatever its data are.

    Somebody else's parts are built only once, when the run is.

    Args:
        cfg: the composed config.
        attack: the name of the choice in the group `attack`.

    Raises:
        ValueError: or whatever the constructor of a part raises.
    """
    check_run(cfg)
    if cfg.checkpoints is not None:
        valid_checkpoints(tuple(cfg.checkpoints))
    for part in (part for part in PARTS if cfg[part] is not None):
        if absent := sorted(OmegaConf.missing_keys(cfg[part])):
            raise ValueError(missing(absent[0]))
    for part in (part for part in (*DATA, "victim") if cfg[part] is not None):
        _require_modules(part, cfg[part])
        _require_file(part, cfg[part], Path(str(cfg.data_dir)))
    for layer in cfg.defense.values():
        if _is_ours(layer):
            build_one(layer)
    for part, check_part in {"data": check_data, "victim": check_victim}.items():
        node: Any = OmegaConf.to_container(cfg[part], resolve=True)
        if str(node.get("_target_")).startswith(OURS):
            make = get_method(node["_target_"])
            knobs = {key: value for key, value in node.items() if not key.startswith("_")}
            require_known(part, knobs, make)
            check_part(make, knobs)
    if _is_ours(cfg.attack):
        check_attacks(cfg.attack, attack)


class Reached(Exception):
    """A victim has found no fault with its knobs: it wants its data."""


class Unread:
    """Data that are not read yet."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Reached(name)


def require_known(part: str, knobs: Mapping[str, Any], make: Callable[..., Any]) -> None:
    """Refuse a knob that what makes a part does not take."""
    known = [name for name in signature(make).parameters if name not in GIVEN[part]]
    if unknown := sorted(set(knobs) - set(known)):
        raise ValueError(f"no knob {unknown[0]!r} in {part}. Known: {', '.join(known)}")


def check_data(make: Callable[..., Any], knobs: Mapping[str, Any]) -> None:
    """Check how data are shared out, before they are read."""
    names = signature(check_sharing).parameters
    check_sharing(**{name: knobs[name] for name in names if name in knobs})


def check_victim(make: Callable[..., Any], knobs: Mapping[str, Any]) -> None:
    """Make one of our victims up to where it wants its data, before which its knobs are checked.

    Raises:
        ValueError: names the knob.
    """
    given = {k: None if isinstance(v, dict) and "_target_" in v else v for k, v in knobs.items()}
    if "registry_uri" in given:  # its files are not copied yet
        given |= {"path": "", "version": ""}
    if "???" in given.values():  # what is missing is told by its own name
        return
    with suppress(Reached):
        make(Unread(), np.random.default_rng(0), **given)


def _is_ours(node: Any) -> bool:
    return not targets(OmegaConf.to_container(node, resolve=True))


def _require_modules(part: str, node: Any) -> None:
    """Refuse somebody's own code that Python does not find; none of it is imported."""
    for top in targets(OmegaConf.to_container(node, resolve=True)):
        # What stands in memory needs no file: `__main__` of a notebook, a module made on the spot
        if top not in sys.modules and find_spec(top) is None:
            raise ValueError(
                f"{part} must be made by a module that Python finds, got {top}, and there is none "
                f"of that name; start where {top}.py lies with PYTHONPATH=., or install it"
            )


def _require_file(part: str, node: Any, data_dir: Path) -> None:
    """Refuse a path of one of our parts that leads nowhere; name the file that is meant."""
    ours = str(node.get("_target_")).startswith(OURS)
    given = {key: node.get(key) for key in FILES} if ours else {}
    key, path = next((pair for pair in given.items() if pair[1] is not None), ("", None))
    if not isinstance(path, str) or "://" in path:
        return
    places = [Path(path).expanduser(), data_dir / path]
    if any(place.exists() for place in places):
        return
    folder = next((p.parent for p in places if p.parent.is_dir()), None)
    beside = [file.name for file in folder.iterdir()] if folder else []
    near = get_close_matches(Path(path).name, beside, 1)
    hint = f"; did you mean {folder and folder / near[0]}?" if near else ""
    raise ValueError(f"{part}.{key} must be a file, got {path}; there is no such file{hint}")
