"""The types of the top-level keys, so that `seed=abc` fails when the config is composed."""

from dataclasses import dataclass, field
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Tracking:
    """Where MLflow is."""

    uri: str | None = None
    artifacts: str | None = None
    enabled: bool = True


@dataclass
class Schema:
    """One run. The groups are plain YAML; their constructors check them."""

    data: Any = MISSING
    pool: Any = None
    outliers: Any = None
    foreign: Any = None
    victim: Any = MISSING
    defense: dict[str, Any] = field(default_factory=dict)
    attack: Any = MISSING
    name: str = MISSING
    seed: int = MISSING
    victim_seed: int | None = None
    publish: bool = True
    subgroup: str | None = None
    transfer: float | None = None
    side_labels: bool = False
    checkpoints: list[int] | None = None
    price: float = MISSING
    threads: int = MISSING
    device: str = MISSING
    precision: str = MISSING
    isolation: str = "auto"
    isolation_limit: float = MISSING
    secret: str | None = None
    force: bool = False
    data_dir: str = MISSING
    cache: str | None = MISSING
    report: str | None = None
    confirm: int = 0
    strengths: bool = False
    advise: bool = False
    confirmation: bool = False
    verbose: bool = False
    tracking: Tracking = field(default_factory=Tracking)


def register() -> None:
    """Make the schema known to Hydra."""
    ConfigStore.instance().store(name="schema", node=Schema)
