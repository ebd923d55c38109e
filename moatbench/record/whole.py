"""Files are written whole or not at all: a disk that is full, or a kill, leaves no half of one."""

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a draft beside `path`; once it is on the disk, give it the name.

    The draft keeps the ending of `path`, by which some writers choose the format.

    Raises:
        OSError: it could not be written; what `path` was before stands.
    """
    draft = path.with_name(f".{os.getpid()}-{uuid4().hex[:8]}-{path.name}")
    try:
        write(draft)
        with draft.open("rb") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    write_whole(path, lambda draft: draft.write_text(text))
