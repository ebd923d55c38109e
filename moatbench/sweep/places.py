"""Where a command's runs lie: each gets a folder of its own, before anything is written there."""

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from moatbench.record.command import literal
from moatbench.record.folder import FolderTaken, fresh, hold, let_go, require_free
from moatbench.record.identity import ELSEWHERE, config_hash
from moatbench.record.whole import write_text

STAMP = "${now:"  # a folder that is named after the time is meant to be a new one
CLAIM = ".sweep.json"  # in a sweep's folder: which sweep it belongs to


def place_run(config: DictConfig) -> None:
    """Claim the folder of a single run; end the command where another run has it.

    Args:
        config: as composed, with Hydra's own; its `hydra.run.dir` becomes what was claimed.
    """
    with _told("hydra.run.dir"):
        let_go()
        folder = Path(config.hydra.run.dir)
        if _is_stamped(config.hydra.run):
            folder = fresh(folder)
            _set(config.hydra.run, folder)
        hold(folder)
        if told := require_free(folder, config_hash(task_of(config)), force=bool(config.force)):
            print(told, flush=True)


def place_sweep(config: DictConfig) -> None:
    """Claim a folder for a sweep: the one that is asked for, or one within it if that is taken.

    The same sweep as before goes on in its folder.

    Args:
        config: as `place_run`; its `hydra.sweep.dir` becomes what was claimed, for the jobs too.
    """
    with _told("hydra.sweep.dir"):
        let_go()
        _tell_jobs_apart(config)
        asked = Path(config.hydra.sweep.dir)
        stamped = _is_stamped(config.hydra.sweep)
        folder = _claimed(fresh(asked) if stamped else asked, _identity(config))
        if folder == asked:
            return
        if not stamped:
            print(f"{asked} holds runs of another sweep; this one takes {folder}", flush=True)
        _set(config.hydra.sweep, folder)
        _for_jobs(config, "dir", str(folder))


def _tell_jobs_apart(config: DictConfig) -> None:
    """Give each job of a sweep a folder within the one that all were given."""
    tree: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    if "${" not in str(tree["subdir"]):
        print(f"hydra.sweep.subdir={tree['subdir']} is one for all runs; each gets one within it")
        _for_jobs(config, "subdir", f"{tree['subdir']}/${{hydra.job.num}}")


def _for_jobs(config: DictConfig, key: str, text: str) -> None:
    """Set a key of `hydra.sweep` for jobs, which are composed anew from the overrides."""
    with read_write(config.hydra), open_dict(config.hydra):
        config.hydra.overrides.hydra.append(f"hydra.sweep.{key}={literal(text)}")


def _claimed(asked: Path, identity: str) -> Path:
    """Hold the first folder that is free, or that this very sweep has left."""
    for number in count(1):
        folder = asked if number == 1 else asked / f"sweep-{number}"
        try:
            hold(folder)
        except FolderTaken:  # by a sweep that is still going on
            continue
        if _left_by(folder) in ("", identity):
            write_text(folder / CLAIM, json.dumps({"sweep": identity}) + "\n")
            return folder
        let_go(folder)
    raise AssertionError("unreachable")


def _left_by(folder: Path) -> str:
    """Name the sweep that a folder belongs to; '' where it is free."""
    try:
        return str(json.loads((folder / CLAIM).read_text())["sweep"])
    except (OSError, ValueError, KeyError, TypeError):
        used = any(any(folder.glob(p)) for p in ("multirun.yaml", "*/.hydra", "*/summary.json"))
        return "unknown" if used or (folder / ".hydra").exists() else ""


def _identity(config: DictConfig) -> str:
    """Hash what decides a sweep's runs and their order."""
    given = [str(o) for o in config.hydra.overrides.task]
    kept = [o for o in given if o.lstrip("+~").partition("=")[0].partition(".")[0] not in ELSEWHERE]
    sweeper = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
    parts = [kept, sweeper, str(config.name), config_hash(task_of(config))]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def task_of(config: DictConfig) -> DictConfig:
    """Return the config as a run gets it: without Hydra's own."""
    # Not a copy that loses a key: Hydra's own is the larger part, and each job does this
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def _is_stamped(node: Any) -> bool:
    return STAMP in str(OmegaConf.to_container(node, resolve=False)["dir"])  # type: ignore[call-overload,index]


def _set(node: Any, folder: Path) -> None:
    with read_write(node):
        node.dir = str(folder)


@contextmanager
def _told(key: str) -> Iterator[None]:
    """End the command with one line: an Exception Hydra would only warn of, and go on."""
    try:
        yield
    except FolderTaken as taken:
        sys.exit(f"moatbench: {taken}")
    except OSError as error:
        asked = error.filename or "its default"
        sys.exit(
            f"moatbench: {key} must be a folder that can be made and written to, got {asked} "
            f"({error.strerror or error}); give another with {key}=..."
        )
