"""What the jobs of a sweep were, as each says itself: whatever its folder is called.

The process that starts a sweep chooses a folder; Hydra takes its name to the workers, with the
callback, and each job leaves a line there of where it runs and what it was asked for.
"""

import json
import os
import shutil
import socket
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path

PLACE = ".sweeps"  # in a sweep's folder, beside the runs


@dataclass(frozen=True)
class Entry:
    """What a job says of itself.

    Args:
        number: of the job, in the order in which the sweep lists them.
        folder: of its run, absolute.
        name: of the experiment in MLflow.
        uri: of the MLflow store; None for none.
        report: folder of the report that the sweep is to write; None for none.
        confirm: fresh seeds on which the sweep confirms its worst cases.
        verbose: whether the end of the sweep tells all.
        advise: whether the sweep ends with what to deploy.
        done: whether it has ended; False too of one that was killed.
        error: what ended it, where its summary cannot say so; '' else.
        config: the hash of its config, by which a summary is its own; '' where nobody knows.
    """

    number: int
    folder: str
    name: str = "moatbench"
    uri: str | None = None
    report: str | None = None
    confirm: int = 0
    verbose: bool = False
    advise: bool = False
    done: bool = False
    error: str = ""
    config: str = ""

    def write(self, manifest: Path) -> None:
        """Write it, whole or not at all: the watch reads at any time."""
        manifest.mkdir(parents=True, exist_ok=True)
        draft = manifest / f".{self.number}.{socket.gethostname()}.{os.getpid()}"
        draft.write_text(json.dumps(asdict(self)))
        draft.replace(manifest / f"{self.number}.json")


def manifest_of(sweep: Path) -> Path:
    """Return where the jobs write of the sweep that this process runs in the folder `sweep`."""
    return sweep.absolute() / PLACE / f"{socket.gethostname()}-{os.getpid()}"


def begun(sweep: Path) -> Path:
    """Return the same, emptied of what an earlier process of the same number left."""
    manifest = manifest_of(sweep)
    shutil.rmtree(manifest, ignore_errors=True)
    return manifest


def entries(manifest: Path, known: Collection[int] = ()) -> list[Entry]:
    """Read what the jobs said so far, in the order of their numbers; not again what is known."""
    new = [file for file in manifest.glob("*.json") if int(file.stem) not in known]
    found = [Entry(**json.loads(file.read_text())) for file in new]
    return sorted(found, key=lambda entry: entry.number)
