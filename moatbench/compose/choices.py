"""The choices of a config group: files of ours, and of other packages on the search path."""

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

OURS = ("pkg", "moatbench.conf")


def options_of(group: str, sources: Iterable[tuple[str, str]] = ()) -> list[str]:
    """Name the choices of a group.

    Args:
        group: its folder, `defense` or `hydra/launcher`.
        sources: of configs beside ours, each a schema (`file`, `pkg`) and a path.
    """
    folders: list[Traversable] = []
    for schema, path in dict.fromkeys([OURS, *sources]):
        if schema == "file":
            folders.append(Path(path) / group)
        elif schema == "pkg" and path not in ("", "hydra.conf"):
            folders.append(files(path) / group)
    found = {f.name for folder in folders if folder.is_dir() for f in folder.iterdir()}
    return sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml"))
