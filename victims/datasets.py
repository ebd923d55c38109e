"""Where data come from: scikit-learn, a generator, a CSV file, OpenML."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.data import Column, Dataset, Table, Units
from moatbench.data.frame import from_frame

if TYPE_CHECKING:
    import pandas as pd

# Known beforehand: by its own range, a pixel that is never lit would become 0, mid-grey
RANGES = {"digits": (0.0, 16.0)}
IMAGES = {"digits": (8, 8)}


def bundled(name: str, test_share: float = 0.3, pool_share: float = 0.25) -> Dataset:
    """Load one of scikit-learn's own sets: digits, iris, breast_cancer or wine."""
    import sklearn.datasets

    load = getattr(sklearn.datasets, f"load_{name}", None)
    if load is None:
        raise ValueError(
            "data.name must be a set that scikit-learn bundles (digits, iris, wine, ...), got "
            f"{name!r}"
        )
    raw = load()
    columns = tuple(
        Column(str(feature), np.asarray(values, dtype=np.float64), bounds=RANGES.get(name))
        for feature, values in zip(raw.feature_names, raw.data.T, strict=True)
    )
    classes = tuple(str(c) for c in raw.target_names)
    y = np.asarray(raw.target, dtype=np.int64)
    table = Table(name, columns, y, classes, IMAGES.get(name), {"source": "scikit-learn"})
    return Dataset(table, test_share, pool_share)


def generated(
    maker: str, data_seed: int, options: dict[str, Any], test_share: float, pool_share: float
) -> Dataset:
    """Generate points with one of scikit-learn's makers.

    Args:
        maker: the name of a function sklearn.datasets.make_*.
        data_seed: its random state; apart from `seed`, so that a sweep over seeds keeps the data.
        options: its other arguments.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
    """
    import sklearn.datasets

    make = getattr(sklearn.datasets, maker, None)
    if make is None or not maker.startswith("make_"):
        raise ValueError(
            "data.maker must be a generator of scikit-learn (make_circles, make_moons, ...), got "
            f"{maker!r}"
        )
    x, y = make(random_state=data_seed, **options)[:2]
    columns = tuple(Column(f"x{i}", values) for i, values in enumerate(np.asarray(x, float).T))
    classes = tuple(str(c) for c in np.unique(y))
    notes = {"source": f"{maker}, random_state {data_seed}"}
    table = Table(
        maker.removeprefix("make_"), columns, np.asarray(y, dtype=np.int64), classes, notes=notes
    )
    return Dataset(table, test_share, pool_share)


def csv(
    path: str,
    target: str,
    drop: Sequence[str],
    missing: str,
    categorical: Sequence[str],
    test_share: float,
    pool_share: float,
    name: str | None = None,
    steps: bool = True,
) -> Dataset:
    """Read a CSV file with a header; see `from_frame`. It is called by its file, or `name`.

    The API takes numbers in the file's own units; with `steps`, to the last decimal seen.
    """
    import pandas as pd

    file = Path(path)
    if not file.is_file():
        raise ValueError(
            f"data.path must be a CSV file with a header, got {path}; there is no such file"
        )
    frame = pd.read_csv(file, skipinitialspace=True)
    table = from_frame(
        frame, name or file.stem, target, drop, missing, categorical, {"source": file.name}
    )
    return Dataset(table, test_share, pool_share, "own", steps)


def openml(
    data_id: int,
    target: str,
    drop: Sequence[str],
    missing: str,
    categorical: Sequence[str],
    test_share: float,
    pool_share: float,
    steps: bool = True,
) -> Dataset:
    """Fetch a set from OpenML by its number; see `from_frame` and `csv`."""
    frame = fetched(data_id)
    notes = {"source": f"OpenML {data_id}"}
    table = from_frame(frame, f"openml-{data_id}", target, drop, missing, categorical, notes)
    return Dataset(table, test_share, pool_share, "own", steps)


def published(
    file: str,
    data_dir: str,
    target: str,
    drop: Sequence[str],
    missing: str,
    openml_id: int | None,
    openml_names: dict[str, str],
    test_share: float,
    pool_share: float,
    units: Units = "scaled",
) -> Dataset:
    """Read a set of the paper from `data_dir`/`file` if it is there, else from OpenML.

    Args:
        file: name of the CSV.
        data_dir: folder of the CSV files.
        target: column of the classes.
        drop: columns to leave out.
        missing: drop (the row) or category (one of its own).
        openml_id: OpenML's number; None where OpenML does not have it.
        openml_names: OpenML's column names, where they differ: theirs to ours.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
        units: scaled, as in the paper, or own: whole numbers are then asked as such.
    """
    path = Path(data_dir) / file
    if path.is_file() or openml_id is None:
        if not path.is_file():
            raise ValueError(
                f"there is no {path}, and OpenML does not have this set; put {file} into a folder "
                "and name it with data_dir=..."
            )
        read = csv(str(path), target, drop, missing, [], test_share, pool_share)
        return replace(read, units=units)
    frame = fetched(openml_id).rename(columns=openml_names)
    notes = {"source": f"OpenML {openml_id}"}
    table = from_frame(frame, path.stem, target, drop, missing, [], notes)
    return Dataset(table, test_share, pool_share, units)


def fetched(data_id: int) -> "pd.DataFrame":
    """Fetch a frame from OpenML."""
    from sklearn.datasets import fetch_openml

    try:
        frame: pd.DataFrame = fetch_openml(data_id=data_id, as_frame=True, parser="auto").frame
    except Exception as error:  # URL errors, time-outs, HTTP errors, checksum errors: all say no
        raise ConnectionError(
            f"OpenML did not give data {data_id} ({type(error).__name__}: {error}); download it "
            "elsewhere and use data=csv data.path=..., or put the CSV into data_dir"
        ) from error
    return frame
