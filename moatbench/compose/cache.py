"""Trained victims, kept by what they were trained from.

The key is a hash of all that can change a victim: its config, the files that this names, the data
and how they are shared out, the seed, the threads of BLAS, the versions of the libraries, and our
source code. A change of any of them is another key, so nothing is ever stale; files may be deleted
at any time. What somebody else's code reads beside cannot be known: such victims are not kept.
"""

import hashlib
import json
import logging
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from filelock import FileLock

import moatbench
from moatbench.compose.archive import DamagedArchive, NotArchivable, dump, load
from moatbench.data import Dataset
from moatbench.learners.deep.device import described
from moatbench.record.identity import version_of
from moatbench.record.inputs import inputs_within, targets
from moatbench.victim import Victim

log = logging.getLogger(__name__)

LIBRARIES = ("numpy", "scipy", "scikit-learn", "torch", "pandas", "skops")
READERS = ("onnxruntime", "xgboost", "xgboost-cpu", "lightgbm", "catboost")  # if they are here
# What no victim imports. All else of ours can change one, a new noun or room too.
NOUNS_ABOVE = {"__main__", "api", "attack", "defense", "monitor", "stack", "traits"}
SHOWN = {
    "cli",
    "conf",
    "display",
    "record",
    "report",
    "reproduce",
    "sweep",
    "tracking",
    "verdict",
}
ROOMS_ABOVE = {
    "compose",
    "inverses",
    "isolation",
    "judge",
    "runner",
    "serving",
    "solvers",
    "strategies",
    "testing",
}
ABOVE = {"adapters", "attacks", "defenses", *NOUNS_ABOVE, *SHOWN, *ROOMS_ABOVE}
OURS = sorted({m.name for m in iter_modules(moatbench.__path__)} - ABOVE | {"victims"})
MOST_BYTES = 2**28  # of a victim with its data; a larger one is trained each time


def victim_key(node: Mapping[str, Any], data: Dataset, seed: int, threads: int) -> str:
    """Hash all that can change the victim which `node`, a resolved config, describes.

    The device and the precision are those of the run that asks.
    """
    table = data.table
    types = [(str(column.dtype), column.originals) for column in table.columns]
    others = [other and other.sha256() for other in (data.pool, data.outliers, data.foreign)]
    test = None if data.test is None else (len(data.test), int(data.test.sum()))
    shares = (data.test_share, data.pool_share, data.units, data.steps, others, test)
    shared = (table.name, table.sha256(), types, *shares, dict(table.notes))
    ours = [f"moatbench.{name}" for name in OURS]
    origin = {
        "victim": node,
        "data": repr(shared),
        "seed": seed,
        "threads": threads,
        "on": described(),
        "versions": [sys.version, *(f"{name} {version_of(name)}" for name in LIBRARIES)],
        "readers": _readers(),
        "source": [_source(package) for package in ours],
        "files": inputs_within(node),
    }
    return hashlib.sha256(json.dumps(origin, sort_keys=True).encode()).hexdigest()[:32]


def _readers() -> list[str]:
    """Return the versions of the libraries that read files of own models."""
    found = []
    for name in READERS:
        with suppress(PackageNotFoundError):
            found.append(f"{name} {version(name)}")
    return found


def is_known(node: Any) -> bool:
    """Whether all that a victim depends on is: no `_target_` in its config is a stranger's."""
    return not targets(node)


def trained(folder: Path, key: str, train: Callable[[], Victim]) -> Victim:
    """Fetch the victim of this key, or train it and keep it.

    Of several processes that want it at once, one trains and the others wait. A victim that is not
    plain data (an object of your own) is trained each time; a file that is damaged is replaced.

    Args:
        folder: where the files lie.
        key: from `victim_key`.
        train: makes the victim.
    """
    file = folder / f"{key}.npz"
    if (kept := _kept(file)) is not None:
        return kept
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(f"{file}.lock")
        lock.acquire()
    except OSError as error:
        log.warning("victims cannot be kept in %s (%s); this one is trained", folder, error)
        return train()
    try:
        if (kept := _kept(file)) is not None:
            return kept
        victim = train()
        _keep(victim, file)
        return victim
    finally:
        lock.release()


def _kept(file: Path) -> Victim | None:
    if not file.exists():
        return None
    try:
        victim = load(file)
    except DamagedArchive as error:
        log.warning("%s; the victim is trained again", error)
        return None
    return victim if isinstance(victim, Victim) else None


def _keep(victim: Victim, file: Path) -> None:
    shares = victim.shares
    if sum(x.nbytes for x in (shares.x_train, shares.pool, shares.x_test)) > MOST_BYTES:
        return
    try:
        dump(victim, file)
    except NotArchivable as reason:
        log.debug("the victim is not kept: %s", reason)
    except OSError as error:
        log.warning("the victim cannot be kept in %s (%s)", file.parent, error)


@cache
def _source(package: str) -> str:
    """Hash the source of a module, or of all modules of a package."""
    digest = hashlib.sha256(package.encode())
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return digest.hexdigest()
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [file for place in places for file in sorted(place.rglob("*.py"))]
    for file in files or [Path(spec.origin)]:
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()
