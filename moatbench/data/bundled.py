"""The small sets that come with scikit-learn, read from its files.

To import its loaders takes longer than a small run.
"""

import csv
import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from moatbench.types import Array, Labels

IRIS = [f"{part} {side} (cm)" for part in ("sepal", "petal") for side in ("length", "width")]
CELL = (
    *("radius", "texture", "perimeter", "area", "smoothness", "compactness", "concavity"),
    *("concave points", "symmetry", "fractal dimension"),
)
BREAST_CANCER = [
    *(f"mean {name}" for name in CELL),
    *(f"{name} error" for name in CELL),
    *(f"worst {name}" for name in CELL),
]
WINE = [
    *("alcohol", "malic_acid", "ash", "alcalinity_of_ash", "magnesium", "total_phenols"),
    *("flavanoids", "nonflavanoid_phenols", "proanthocyanins", "color_intensity", "hue"),
    *("od280/od315_of_diluted_wines", "proline"),
]
SIDE = 8  # pixels


class Bundled(NamedTuple):
    """Names of the columns, their values (n, d), the class of each row, the names of classes."""

    features: list[str]
    x: Array
    y: Labels
    classes: list[str]


def read(name: str) -> Bundled | None:
    """Read a set; None where it is not one of these, or does not lie where it did."""
    spec = find_spec("sklearn")
    load = SETS.get(name)
    if load is None or spec is None or spec.origin is None:
        return None
    try:
        return load(Path(spec.origin).parent / "datasets" / "data")
    except (OSError, ValueError):
        return None


def _with_heading(file: str, features: list[str]) -> Callable[[Path], Bundled]:
    """Read rows that end with a class, below a line of their number, their width, the classes."""

    def load(folder: Path) -> Bundled:
        with (folder / file).open(encoding="utf-8") as text:
            (_, _, *classes), *rows = csv.reader(text)
        values = np.array(rows, dtype=np.float64)
        return Bundled(features, values[:, :-1], values[:, -1].astype(np.int64), classes)

    return load


def _digits(folder: Path) -> Bundled:
    with gzip.open(folder / "digits.csv.gz", "rt", encoding="utf-8") as text:
        values = np.loadtxt(text, delimiter=",")
    features = [f"pixel_{row}_{column}" for row in range(SIDE) for column in range(SIDE)]
    y = values[:, -1].astype(np.int64)
    return Bundled(features, values[:, :-1], y, [str(digit) for digit in range(10)])


SETS: dict[str, Callable[[Path], Bundled]] = {
    "iris": _with_heading("iris.csv", IRIS),
    "wine": _with_heading("wine_data.csv", WINE),
    "breast_cancer": _with_heading("breast_cancer.csv", BREAST_CANCER),
    "digits": _digits,
}
