"""From overrides to the parts of a service: a victim, a defense, and what both are known by."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from moatbench.compose.build import build_defense, build_victim, instantiate, tell, victim_seed
from moatbench.compose.limits import check_run
from moatbench.compose.schema import register
from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.learners.deep.device import computing
from moatbench.record.identity import version_of
from moatbench.record.inputs import inputs_within
from moatbench.tracking.registry import fetched
from moatbench.victim import Victim

PACKAGES = ("numpy", "scipy", "scikit-learn")


class Deployed(NamedTuple):
    """What is to be served.

    Args:
        victim: the model.
        defense: what stands before it, not deployed yet.
        name: of the model, for routes and people.
        price: US dollars an answer.
        threads: of BLAS.
        device: where its networks are asked.
        precision: in which they were trained.
        constants: columns of the data that never vary, and their value.
        order: the names of all columns, as they stand in the data.
        identity: what the deployment is known by; another is another past.
    """

    victim: Victim
    defense: Defense
    name: str
    price: float
    threads: int
    device: str
    precision: str
    constants: dict[str, float]
    order: tuple[str, ...]
    identity: dict[str, str]


def deployed(overrides: Sequence[str]) -> Deployed:
    """Build victim and defense as a run would; nothing is attacked or written."""
    with composed(overrides) as (cfg, choices), computing(cfg.device, cfg.precision):
        return _built(cfg, choices["victim"])


@contextmanager
def composed(overrides: Sequence[str]) -> Iterator[tuple[DictConfig, dict[str, str]]]:
    """Compose a config as a run would, outside of one; give it and the choice of each group."""
    register()
    around, config = GlobalHydra.instance(), HydraConfig.instance()
    kept, known = around.hydra, config.cfg
    around.hydra = None
    try:
        with initialize_config_module("moatbench.conf", version_base="1.3"):
            cfg = compose("config", list(overrides), return_hydra_config=True)
            config.set_config(cfg)
            choices = {str(k): str(v) for k, v in cfg.hydra.runtime.choices.items()}
            with open_dict(cfg):
                del cfg.hydra
            yield cfg, choices
    finally:
        around.hydra, config.cfg = kept, known


def _built(cfg: DictConfig, chosen: str) -> Deployed:
    check_run(cfg)
    cfg = fetched(cfg)
    defense = build_defense(cfg.defense)
    data: Dataset = instantiate(cfg.data)
    tell(data.table.notes)
    victim = build_victim(cfg, data, victim_seed(cfg))
    if not cfg.publish:
        victim = replace(victim, family=None, architecture={})
    taken = {feature.name for feature in victim.space.features}
    constants = {
        c.name: c.range[0] for c in data.table.columns if c.constant and c.name not in taken
    }
    return Deployed(
        victim,
        defense,
        str(cfg.victim.get("name") or chosen),
        float(cfg.price),
        int(cfg.threads),
        str(cfg.device),
        str(cfg.precision),
        constants,
        tuple(c.name for c in data.table.columns),
        _identity(cfg, data),
    )


def _identity(cfg: DictConfig, data: Dataset) -> dict[str, str]:
    """Say by what a deployment is known: its parts, the files they name, the code that runs them.

    Threads of BLAS and device are left out: answers may differ in the last bits, as on other
    hardware.
    """
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    parts = {part: tree[part] for part in ("victim", "defense")}
    parts["seed"] = victim_seed(cfg)
    found = {name: _hashed(part) for name, part in parts.items()}
    found["data"] = data.table.sha256()
    found["files"] = _hashed(inputs_within({p: tree[p] for p in ("victim", "defense", "data")}))
    return found | {package: version_of(package) for package in ("moatbench", *PACKAGES)}


def _hashed(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
