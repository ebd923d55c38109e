"""What is wrong with a single run and can be told before it has a folder, without its data.

Told here, a mistake costs neither a folder nor the seconds that torch, scikit-learn and MLflow take
to load. In a sweep each run tells its own, and the others go on.
"""

import sys
import traceback
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from moatbench.api import valid_checkpoints
from moatbench.compose.build import build_one, check_attacks
from moatbench.compose.limits import check_run
from moatbench.compose.repeat import DATA, PARTS
from moatbench.compose.words.errors import WANTS_TRACEBACK, explain, missing
from moatbench.record.inputs import targets


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
        _require_file(part, cfg[part], Path(str(cfg.data_dir)))
    for node in cfg.defense.values():
        if _is_ours(node):
            build_one(node)
    if _is_ours(cfg.attack):
        check_attacks(cfg.attack, attack)


def _is_ours(node: Any) -> bool:
    return not targets(OmegaConf.to_container(node, resolve=True))


def _require_file(part: str, node: Any, data_dir: Path) -> None:
    """Refuse a path of one of our parts that leads nowhere; name the file that is meant."""
    path = node.get("path") if _is_ours(node) else None
    if not isinstance(path, str) or "://" in path:
        return
    places = [Path(path).expanduser(), data_dir / path]
    if any(place.exists() for place in places):
        return
    folder = next((p.parent for p in places if p.parent.is_dir()), None)
    beside = [file.name for file in folder.iterdir()] if folder else []
    near = get_close_matches(Path(path).name, beside, 1)
    hint = f"; did you mean {folder and folder / near[0]}?" if near else ""
    raise ValueError(f"{part}.path must be a file, got {path}; there is no such file{hint}")
