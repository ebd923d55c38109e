"""The first look at a model's file, in a process of its own that it may end or fill up.

Readers of native files are not memory-safe: one changed index ends the process. Here that is the
child's. What goes in is ours; what comes back is text.
"""

import json
import pickle
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from moatbench.formats.model import Names
from moatbench.formats.opened import opened

SECONDS = 300
SPARE, TIMES = 2**30, 16  # bytes a child may take beyond its own: so many, and times the file


def look(path: Path, names: Names, rows: Any = None, **how: Any) -> None:
    """Open a file and ask it some rows, elsewhere.

    Args:
        path: of the file.
        names: the data's columns.
        rows: what it is asked; None asks nothing.
        how: as `opened` takes it.

    Raises:
        ValueError: what `opened` says; or the process ended, or took too long.
    """
    task = pickle.dumps((path, names, rows, how))
    command = [sys.executable, "-m", "moatbench.formats.look"]
    try:
        done = subprocess.run(
            command, input=task, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(
            f"victim.path must open within {SECONDS} s, got a file that took longer: {path}"
        ) from None
    told = done.stdout.decode(errors="replace").strip().splitlines()
    if done.returncode == 0 and told and told[-1].startswith("{"):
        if problem := json.loads(told[-1])["problem"]:
            raise ValueError(problem)
        return
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
    ended = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
    raise ValueError(
        f"victim.path is damaged or hostile, got {path}: the process that opened it and asked it "
        f"{0 if rows is None else len(rows)} rows ended with {ended}"
        f"{': ' if last else ''}{''.join(last)[:200]}"
    )


def _main() -> None:
    """Read a task, do it, and say what was wrong."""
    path, names, rows, how = pickle.load(sys.stdin.buffer)
    _limit(path)
    problem = ""
    try:
        model = opened(path, names, **how)
        if rows is not None:
            model.ask(rows)
    except MemoryError:
        problem = f"victim.path takes too much memory for its size to open, got {path}"
    except ValueError as error:
        problem = str(error)
    sys.stdout.write("\n" + json.dumps({"problem": problem}) + "\n")


def _limit(path: Path) -> None:
    """Bound the memory that this process may take from here on."""
    files: Sequence[Path] = [path] if path.is_file() else list(path.rglob("*"))
    size = sum(f.stat().st_size for f in files if f.is_file())
    status = Path("/proc/self/status")
    taken = 0
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmData:"):
                taken = int(line.split()[1]) * 1024
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # no dump, should it end by a signal
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = taken + SPARE + TIMES * size
    if most == resource.RLIM_INFINITY or limit < most:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


if __name__ == "__main__":
    _main()
