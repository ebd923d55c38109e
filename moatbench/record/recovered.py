"""recovered.npz: what a run's attacks recovered of the victim's parameters, as plain arrays."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from moatbench.record.whole import write_whole
from moatbench.types import Array

FILE = "recovered.npz"


def write(folder: Path, recovered: Mapping[str, Mapping[str, Array]]) -> None:
    """Write the arrays of each attack that has some, as `<attack>/<name>`; no file where none has.

    Args:
        folder: of the run.
        recovered: by attack, `Surrogate.parameters` of its last checkpoint; no name has a slash.
    """
    named = {
        # a stranger's names may be any text, and not all text can be written
        f"{attack}/{name}".encode(errors="backslashreplace").decode(): array
        for attack, arrays in recovered.items()
        for name, array in arrays.items()
    }
    if named:
        save: Callable[..., None] = np.savez_compressed  # NumPy types it as if no name were free
        write_whole(folder / FILE, lambda draft: save(draft, **named))


def read(folder: Path) -> dict[str, dict[str, Array]]:
    """Return the arrays of a run by attack and name; empty where none was recovered.

    Raises:
        ValueError: the file is damaged, or holds what is no plain array.
    """
    found: dict[str, dict[str, Array]] = {}
    if not (folder / FILE).exists():
        return found
    with np.load(folder / FILE, allow_pickle=False) as file:
        for key in file.files:
            attack, _, name = key.rpartition("/")  # an attack's may be mine/one
            found.setdefault(attack, {})[name] = file[key]
    return found
