"""The folder a report goes to: an earlier report is replaced, anything else is left alone."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from moatbench import __version__

MANIFEST = "report.json"


class OutputRefused(RuntimeError):
    """The folder holds what is not ours to overwrite."""


def require_free(out: Path) -> None:
    """Make sure that `out` is new, empty, or holds an earlier report that nobody changed.

    Raises:
        OutputRefused: names what is in the way.
    """
    if out.exists() and not out.is_dir():
        raise OutputRefused(f"out={out} is a file; give a folder")
    if not out.exists() or not any(out.iterdir()):
        return
    if not (out / MANIFEST).is_file():
        raise OutputRefused(
            f"out={out} holds other files ({_some(sorted(p.name for p in out.iterdir()))}) and no "
            "report of ours; nothing was written: give a new folder"
        )
    changed = [
        name
        for name, digest in _ours(out).items()
        if (out / name).is_file() and _sha256(out / name) != digest
    ]
    if changed:
        raise OutputRefused(
            f"out={out} holds an earlier report with files that were changed since "
            f"({_some(changed)}); nothing was written: move them away, or give a new folder"
        )


@contextmanager
def written(out: Path) -> Iterator[Path]:
    """Give a folder to write to; move it to `out` in one go once all is written.

    Raises:
        OutputRefused: a file of somebody else's has a name that a new one needs.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        yield staged
        _publish(staged, out)
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _publish(staged: Path, out: Path) -> None:
    names = sorted(str(p.relative_to(staged)) for p in staged.rglob("*") if p.is_file())
    old = set(_ours(out)) if (out / MANIFEST).is_file() else set()
    alien = [name for name in names if name not in old and (out / name).exists()]
    if alien:
        raise OutputRefused(
            f"out={out}: {_some(alien)} is not of our earlier report; nothing was written"
        )
    manifest = {
        "written by": f"moatbench-report {__version__}",
        "files": {name: _sha256(staged / name) for name in names},
    }
    for name in names:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged / name, out / name)
    for name in old - set(names):
        (out / name).unlink(missing_ok=True)
    (out / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def _ours(out: Path) -> dict[str, str]:
    """Files of the earlier report, with the hashes they had."""
    try:
        found = json.loads((out / MANIFEST).read_text())
        files = {str(name): str(digest) for name, digest in found["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OutputRefused(
            f"out={out}: its {MANIFEST} is not of a report of ours; nothing was written"
        ) from error
    return {n: d for n, d in files.items() if (out / n).resolve().is_relative_to(out.resolve())}


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
