"""Models in a registry of MLflow: an address to a version, and its files to a folder.

MLflow copies files, and loads nothing. The registry need not be where runs are recorded.
"""

import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from omegaconf import DictConfig, OmegaConf, open_dict

from moatbench.tracking.store import WAIT, address, calm, cause, connect, database, locked

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

SCHEME = "models:/"
FOLDER = "models"  # below the cache
ELSEWHERE = "runs/cache"  # without one
FORMS = "models:/name/3, models:/name/latest or models:/name@alias"
NAMED = re.compile(r"models:/+(?P<name>[^/@]+)(?:/(?P<version>\d+|latest)|@(?P<alias>[^/@]+))")


class Downloaded(NamedTuple):
    """A registered model, here.

    Attributes:
        folder: of its files.
        version: its address with the number of its version, whatever alias led to it.
    """

    folder: Path
    version: str


def download(uri: str, registry_uri: str | None, below: Path) -> Downloaded:
    """Resolve the address of a registered model, and copy its files, unless they are here.

    Args:
        uri: of the model, one of `FORMS`.
        registry_uri: of the registry; None is SQLite at runs/mlflow.db.
        below: the folder below which its own is made.

    Raises:
        ValueError: the address is none, or the registry has no such model, or cannot be reached.
    """
    parts = NAMED.fullmatch(uri)
    if parts is None:
        raise ValueError(f"victim.uri must be {FORMS}, got {uri!r}")
    registry = address(registry_uri)
    store = database(registry)
    if store is not None and not store.is_file():  # MLflow would make an empty one
        raise ValueError(
            f"victim.registry_uri must be a registry of MLflow, got {registry}, where there is "
            f"none; name the one that has {uri}"
        )
    calm()
    try:
        with locked(registry, WAIT):
            client = connect(registry)
            found = _version(client, parts)
            known = f"{SCHEME}{found.name}/{found.version}"
            # A registry that was made anew may have another model under the same number
            key = (registry, known, found.source, found.creation_timestamp)
            folder = below / hashlib.sha256(repr(key).encode()).hexdigest()[:16]
            if not folder.is_dir():
                place = client.get_model_version_download_uri(found.name, found.version)
                _copy(place, registry, folder)
    except Exception as error:  # MLflow raises many kinds, requests and SQLAlchemy add theirs
        raise ValueError(
            f"victim.uri must be a model of the registry at {registry}, got {uri}, which it does "
            f"not give ({cause(error)}); see victim.registry_uri"
        ) from error
    return Downloaded(folder, known)


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


def _version(client: "MlflowClient", parts: "re.Match[str]") -> "ModelVersion":
    """Ask the registry for the version that an address means."""
    name = parts["name"]
    if parts["alias"]:
        return client.get_model_version_by_alias(name, parts["alias"])
    if parts["version"] != "latest":
        return client.get_model_version(name, parts["version"])
    versions: list[ModelVersion] = client.get_registered_model(name).latest_versions  # a stage each
    if not versions:
        raise ValueError(f"no version of {name}")
    return max(versions, key=lambda version: int(version.version))


def _copy(place: str, registry: str, folder: Path) -> None:
    """Copy the files of a model, whole or not at all."""
    from mlflow.artifacts import download_artifacts

    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as draft:
        copied = download_artifacts(artifact_uri=place, dst_path=draft, tracking_uri=registry)
        if not folder.is_dir():
            shutil.copytree(copied, f"{draft}/whole", dirs_exist_ok=True)
            os.replace(f"{draft}/whole", folder)
