"""What a run reads beside its config: the files that this names, and other people's code.

Each has a name and the sha256 of its content, so that a change is told by name.
"""

import ast
import hashlib
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from moatbench.record.identity import ELSEWHERE

OURS = "moatbench"
# Their versions are in the record
LIBRARIES = {"numpy", "scipy", "sklearn", "torch", "omegaconf", "hydra", "builtins"}
TARGET = "_target_"
CLASS = "module"  # names one as well, my_net:Net
FOLDERS = ("path", "file", "folder", "dir", "directory", "weights", "model", "checkpoint")
RACY = 2.0  # seconds; a file that changed since may change again with the same time stamps
INSTALLED = {"site-packages", "dist-packages"}
_known: dict[tuple[int, ...], str] = {}


def inputs_of(cfg: DictConfig) -> dict[str, str]:
    """Name and hash what a composed config makes a run read.

    Every value that names a file (as it stands, or within `data_dir`), whatever its key; a folder
    where its key or a slash says that it is a place; the source of what each `_target_` of somebody
    else's belongs to, with the modules beside it that this imports.
    """
    tree: Any = OmegaConf.to_container(cfg, resolve=True)
    kept = {key: value for key, value in tree.items() if key not in ELSEWHERE}
    return inputs_within(kept, Path(str(tree.get("data_dir") or ".")))


def inputs_within(tree: Any, data_dir: Path = Path()) -> dict[str, str]:
    """Do the same for a part of a resolved config."""
    found: dict[str, str] = {}
    for key, text in _leaves("", tree):
        # Both, where both are there: which of them is read is for the part to decide
        places = {os.path.realpath(p): p for p in (Path(text).expanduser(), data_dir / text)}
        contents = [digest for p in places.values() if (digest := _content(key, text, p))]
        if contents:
            found[text] = contents[0] if len(contents) == 1 else _joint(contents)
    for name in targets(tree):
        found |= sources(name)
    return dict(sorted(found.items()))


def targets(tree: Any) -> list[str]:
    """Name the top-level package of each `_target_` or class that is neither ours nor a library's.

    A class is named under `module`, as my_net:Net.
    """
    leaves = [(k, t.replace(":", ".") if k == CLASS else t) for k, t in _leaves("", tree)]
    named = [text for key, text in leaves if key in (TARGET, CLASS) or "." in text]
    calls = {text for key, text in leaves if key in (TARGET, CLASS)}
    by_path = any(call.startswith("hydra.utils.get_") for call in calls)  # path: names the object
    tops = {t.partition(".")[0] for t in (named if by_path else calls)}
    return sorted(t for t in tops if t.isidentifier() and _is_strange(t))


@cache  # what a process has imported stays as it was
def sources(top: str) -> Mapping[str, str]:
    """Hash the source of a top-level package, and of the modules beside it that it imports."""
    found: dict[str, str] = {}
    todo = [top]
    while todo:
        name = todo.pop()
        if f"code of {name}" in found or not (files := _files(name)):
            continue
        digest = hashlib.sha256()
        for file in files:
            text = file.read_bytes()
            digest.update(f"{file.name}\0{len(text)}\0".encode() + text)
            if not _is_installed(file):
                todo += [t for t in _imports(text) if _is_strange(t) and _is_beside(t)]
        found[f"code of {name}"] = digest.hexdigest()
    return found


def changes(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say by name what is not as it was."""
    names = sorted(before.keys() | now.keys())
    return [n for n in names if before.get(n) != now.get(n)]


def _leaves(key: str, tree: Any) -> Iterator[tuple[str, str]]:
    """Yield each text of a config with the key that it stands under."""
    if isinstance(tree, Mapping):
        for name, value in tree.items():
            yield from _leaves(str(name), value)
    elif isinstance(tree, list | tuple):
        for value in tree:
            yield from _leaves(key, value)
    elif isinstance(tree, str) and tree and len(tree) < 4096 and "\0" not in tree:
        yield key, tree


def _content(key: str, text: str, place: Path) -> str:
    """Hash a file, or a folder that is meant as one; '' where there is neither."""
    try:
        if place.is_file():
            return _hash(place)
        if place.is_dir() and (os.sep in text or key.endswith(FOLDERS)):
            return _joint(f"{f.relative_to(place)}\0{_hash(f)}" for f in _all_files(place))
    except OSError:  # a name too long for one, or a file that may not be read: the run will say
        pass
    return ""


def _all_files(folder: Path) -> list[Path]:
    """List the files at any depth, those behind links to folders too, each folder once a branch."""
    found: list[Path] = []
    todo = [(folder, {os.path.realpath(folder)})]
    while todo:
        place, above = todo.pop()
        for one in place.iterdir():
            if one.is_file():
                found.append(one)
            elif one.is_dir() and (real := os.path.realpath(one)) not in above:  # a circle ends
                todo.append((one, above | {real}))
    return sorted(found)


def _joint(texts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(f"{text}\0".encode())
    return digest.hexdigest()


def _hash(file: Path) -> str:
    """Hash a file; one that has lain still for a while is read once a process."""
    s = file.stat()
    key = (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns)
    if key in _known:
        return _known[key]
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    if time.time() - max(s.st_mtime, s.st_ctime) > RACY:
        _known[key] = digest
    return digest


def _is_strange(top: str) -> bool:
    return top not in LIBRARIES and top != OURS and top not in sys.stdlib_module_names


def _files(top: str) -> list[Path]:
    """List the Python files of a top-level module or package; none where it is not found."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return []
    if spec is None:
        return []
    places = [Path(place) for place in spec.submodule_search_locations or ()]
    files = [file for place in places for file in sorted(place.rglob("*.py"))]
    single = [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
    return files or single


def _is_beside(top: str) -> bool:
    """Whether a module is somebody's own, not an installed one, whose version stands for it."""
    return any(not _is_installed(file) for file in _files(top)[:1])


def _is_installed(file: Path) -> bool:
    return bool(INSTALLED & set(file.parts))


def _imports(source: bytes) -> Iterable[str]:
    """Name the top-level modules that a file imports; none of a file that does not parse."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return []
    found = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    return sorted(found - {""})
