"""What a run is known by: its config, and the code that ran it."""

import hashlib
import json
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf

from moatbench import __version__


class Key(NamedTuple):
    """What a top-level key of the config is.

    Args:
        result: whether it can change the result; else it says where things lie and what follows.
        free: whether runs of one report may differ in it, within a setting.
        passed_on: whether a rerun on fresh seeds takes it over.
    """

    result: bool = True
    free: bool = False
    passed_on: bool = True


_PART = _PLAN = Key()
_PLACE = Key(result=False)
_FOLLOWS = Key(result=False, passed_on=False)
KEYS = {
    **dict.fromkeys(("data", "pool", "outliers", "foreign", "victim", "defense", "attack"), _PART),
    **dict.fromkeys(
        ("publish", "side_labels", "subgroup", "transfer", "checkpoints", "price", "isolation"),
        _PLAN,
    ),
    "isolation_limit": Key(free=True),
    "secret": Key(free=True, passed_on=False),
    "seed": Key(free=True, passed_on=False),
    "victim_seed": Key(free=True),
    "threads": Key(free=True),
    **dict.fromkeys(("device", "precision"), _PLAN),
    "confirmation": Key(free=True, passed_on=False),
    **dict.fromkeys(("data_dir", "cache"), _PLACE),
    **dict.fromkeys(
        ("name", "tracking", "force", "report", "confirm", "strengths", "advise", "verbose"),
        _FOLLOWS,
    ),
}
ELSEWHERE: tuple[str, ...] = tuple(name for name, key in KEYS.items() if not key.result)
FREE: tuple[str, ...] = tuple(name for name, key in KEYS.items() if key.free)
OWN: tuple[str, ...] = tuple(
    name for name, key in KEYS.items() if not key.passed_on
)  # a rerun sets its own

CODE = ("moatbench", "attacks", "defenses", "victims")  # folders of a checkout
PACKAGES = ("moatbench", "numpy", "scipy", "scikit-learn", "hydra-core", "mlflow")


def config_hash(cfg: DictConfig) -> str:
    """Identify a run by all in its config that can change its result."""
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    kept = {key: value for key, value in tree.items() if key not in ELSEWHERE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16]


def knobs(cfg: DictConfig) -> dict[str, Any]:
    """Flatten a config to `a.b.c: value`, without the keys that say where things lie."""
    return flat(OmegaConf.to_container(cfg, resolve=True))


def flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Flatten a tree to `a.b.c: value`, as `knobs`."""
    out: dict[str, Any] = {}
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path in ELSEWHERE or (key.startswith("_") and not _of_a_stranger(key, value)):
            continue
        out |= flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return out


def _of_a_stranger(key: str, value: Any) -> bool:
    """Whether a key says whose code a part is, and it is not ours."""
    return key == "_target_" and not str(value).startswith("moatbench.")


@cache  # it takes milliseconds, and each run of a sweep asks for all
def version_of(package: str) -> str:
    """Return the installed version of a package; of ours, with its commit."""
    return code_version() if package == "moatbench" else version(package)


@cache
def code_version() -> str:
    """Return the version; with the commit where the package runs from a checkout of its own.

    Where the code is not the commit's, edited or with a part that is not added yet, `.dirty.` and
    a hash of it stand behind: two edits are two versions. So do they where git tells no commit.
    """
    return version_in(Path(__file__).parents[2])


def version_in(root: Path) -> str:
    """Return the version of the code in a checkout; of an installed package, its own."""
    if not (root / "pyproject.toml").exists():
        return __version__
    commit = _git(root, "rev-parse", "--short=10", "HEAD") if (root / ".git").exists() else ""
    code = [f"{folder}/*.py" for folder in CODE]
    if commit and not _git(root, "status", "--porcelain", "--untracked-files=all", "--", *code):
        return f"{__version__}+g{commit}"
    digest = hashlib.sha256()
    for file in sorted(f for folder in CODE for f in (root / folder).rglob("*.py")):
        text = file.read_bytes()
        digest.update(f"{file.relative_to(root)}\0{len(text)}\0".encode() + text)
    return f"{__version__}+{f'g{commit}.' if commit else ''}dirty.{digest.hexdigest()[:10]}"


def _git(root: Path, *arguments: str) -> str:
    """Ask git of a checkout; '' where it does not tell."""
    asked = ("git", "-C", str(root), *arguments)
    with suppress(OSError):  # there is no git
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return ""
