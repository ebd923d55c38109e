"""Configs and victims of conf/, for the programs of this folder."""

import os
from pathlib import Path

from hydra import compose, initialize_config_module
from omegaconf import DictConfig

from moatbench.compose.build import instantiate
from moatbench.compose.schema import register
from moatbench.randomness import stream
from moatbench.victim import Victim

DATA_DIR = os.environ.get("MOATBENCH_DATA_DIR", Path(__file__).parents[2] / "shared" / "data")

register()


def composed(*overrides: str) -> DictConfig:
    """Compose a config as the command line would."""
    with initialize_config_module("moatbench.conf", version_base="1.3"):
        return compose("config", [f"data_dir={DATA_DIR}", *overrides])


def victim_of(data: str, seed: int) -> Victim:
    """Train a softmax victim on data of conf/."""
    cfg = composed(f"data={data}", "victim=softmax")
    victim: Victim = instantiate(cfg.victim, instantiate(cfg.data), stream(seed, "victim"))
    return victim
