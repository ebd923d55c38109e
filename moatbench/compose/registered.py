"""A registered model as a victim: its address becomes a folder, before a run is identified."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from moatbench.tracking.registry import download

FOLDER = "models"  # below the cache
ELSEWHERE = "runs/cache"  # without one


def fetched(cfg: DictConfig) -> DictConfig:
    """Return the config with its registered model here: `victim.path` and the version it is of.

    So what the run read, and not what an alias means on another day, is what identifies it. A
    config of another victim, or of one that is here, is returned as it is.
    """
    victim: Any = cfg.victim
    if "registry_uri" not in victim or victim.get("path"):
        return cfg
    below = Path(cfg.cache or ELSEWHERE) / FOLDER
    registry = victim.registry_uri or cfg.tracking.uri
    found = download(str(victim.uri), registry, below)
    cfg = OmegaConf.create(cfg)
    OmegaConf.set_readonly(cfg, False)
    with open_dict(cfg):
        cfg.victim.path, cfg.victim.version = str(found.folder), found.version
    return cfg
