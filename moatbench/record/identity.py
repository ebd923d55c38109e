"""What a run is known by."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from moatbench import __version__

ELSEWHERE = (  # where things lie and what follows, not what they are
    "tracking",
    "data_dir",
    "cache",
    "name",
    "force",
    "report",
    "confirm",
)
PACKAGES = ("moatbench", "numpy", "scipy", "scikit-learn", "hydra-core", "mlflow")
QUIETLY: dict[str, Any] = {"capture_output": True, "text": True, "check": False}


def config_hash(cfg: DictConfig) -> str:
    """Identify a run by all in its config that can change its result."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    kept = {key: value for key, value in tree.items() if key not in ELSEWHERE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def title(report: Mapping[str, Any]) -> str:
    """Name a run for people."""
    return "{defense} / {attack} / {victim} on {data} / s{seed}".format(**report)


def command() -> str:
    """Return the command that repeats this run alone."""
    return " ".join(["moatbench", *(_quoted(o) for o in HydraConfig.get().overrides.task)])


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a config to `a.b.c: value`, without the keys that say where things lie."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if key.startswith("_") or path in ELSEWHERE:
            continue
        out |= flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return out


def _quoted(override: str) -> str:
    return f"'{override}'" if set(override) & set("[]{}()$*? ,;&|<>") else override


def version_of(package: str) -> str:
    """Return the installed version of a package; of ours, with its commit."""
    return code_version() if package == "moatbench" else version(package)


@cache
def code_version() -> str:
    """Return the version, with the commit where the package runs from a checkout of its own."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return __version__
    git = ("git", "-C", str(root))
    commit = subprocess.run([*git, "rev-parse", "--short=10", "HEAD"], **QUIETLY).stdout.strip()
    dirty = subprocess.run([*git, "status", "--porcelain", "-uno"], **QUIETLY).stdout.strip()
    return f"{__version__}+g{commit}{'.dirty' if dirty else ''}" if commit else __version__
