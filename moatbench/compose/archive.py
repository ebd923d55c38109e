"""Objects made of dataclasses and arrays, in a file that holds data only: nothing is unpickled.

A .npz of the arrays plus one entry of JSON that says how they are put together. Reading makes
objects of dataclasses alone, and only of those whose package is trusted.
"""

import json
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.compose.words.moved import new_place
from moatbench.record.whole import write_whole
from moatbench.types import Array

STRUCTURE = "structure"
TRUSTED = ("moatbench",)
CATEGORIES = "CategoricalDtype"  # its name does not tell them
PLAIN = (str, int, float, bool, type(None))


class NotArchivable(TypeError):
    """The object holds else than dataclasses, arrays and their types, plain values, containers."""


class DamagedArchive(ValueError):
    """The file is no archive, is cut off, or names what is not trusted."""


def dump(value: Any, path: Path) -> None:
    """Write `value` to `path`, whole or not at all, whoever reads it meanwhile.

    Raises:
        NotArchivable: names the type that cannot be written.
    """
    arrays: dict[str, Array] = {}
    structure = json.dumps(_taken_apart(value, arrays)).encode()
    path.parent.mkdir(parents=True, exist_ok=True)

    def save(draft: Path) -> None:
        with draft.open("wb") as file:
            np.savez(file, **{STRUCTURE: np.frombuffer(structure, np.uint8)}, **arrays)  # type: ignore[arg-type]

    write_whole(path, save)


def load(path: Path, trusted: tuple[str, ...] = TRUSTED) -> Any:
    """Read what `dump` wrote.

    Args:
        path: of the file.
        trusted: top-level packages whose dataclasses may be made.

    Raises:
        DamagedArchive: the file cannot be read, or names other packages or no dataclass.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        structure = json.loads(arrays.pop(STRUCTURE).tobytes())
        return _put_together(structure, arrays, trusted)
    except Exception as error:  # whatever a damaged file makes its readers raise
        raise DamagedArchive(f"{path} cannot be read: {error}") from error


def _taken_apart(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, np.ndarray) and value.dtype != object:
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {"array": name, "writeable": bool(value.flags.writeable)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_taken_apart(v, arrays) for v in value]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {"dict": {key: _taken_apart(v, arrays) for key, v in value.items()}}
    if (kind_of_column := _dtype_name(value)) is not None:
        return {"dtype": kind_of_column}
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        parts = {f.name: _taken_apart(getattr(value, f.name), arrays) for f in _given(value)}
        return {"object": f"{kind.__module__}:{kind.__qualname__}", "fields": parts}
    raise NotArchivable(f"a {type(value).__module__}.{type(value).__qualname__} is not plain data")


def _put_together(node: Any, arrays: dict[str, Array], trusted: tuple[str, ...]) -> Any:
    if not isinstance(node, dict):
        return node
    if "array" in node:
        array = arrays[node["array"]]
        array.setflags(write=node["writeable"])
        return array
    if "dtype" in node:
        from pandas.api.types import pandas_dtype

        return pandas_dtype(node["dtype"])
    if "object" in node:
        parts = {k: _put_together(v, arrays, trusted) for k, v in node["fields"].items()}
        return _dataclass(node["object"], trusted)(**parts)
    if "dict" in node:
        return {k: _put_together(v, arrays, trusted) for k, v in node["dict"].items()}
    kind, items = next(iter(node.items()))
    made = [_put_together(v, arrays, trusted) for v in items]
    return tuple(made) if kind == "tuple" else made


def _dtype_name(value: Any) -> str | None:
    """Name a type of arrays or columns; None of what is none, or is not told by its name."""
    if isinstance(value, np.dtype):
        return None if value.hasobject or value.names else value.str
    of_pandas = type(value).__module__.partition(".")[0] == "pandas"
    kind = type(value).__name__
    return str(value) if of_pandas and kind.endswith("Dtype") and kind != CATEGORIES else None


def _dataclass(name: str, trusted: tuple[str, ...]) -> Any:
    """Find the class `module:Name`; one that was written by an earlier version, where it is now."""
    module, _, qualname = name.partition(":")
    if new := new_place(f"{module}.{qualname}"):
        module, _, qualname = new.rpartition(".")
    if module.split(".")[0] not in trusted:
        raise ValueError(f"{name} is in none of the trusted packages ({', '.join(trusted)})")
    found = getattr(import_module(module), qualname, None)
    if not (isinstance(found, type) and is_dataclass(found)):
        raise ValueError(f"{name} is no dataclass")
    return found


def _given(value: Any) -> list[Any]:
    """List the fields that its constructor takes."""
    return [f for f in fields(value) if f.init]
