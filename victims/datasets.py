"""Where data come from: scikit-learn, a generator, a CSV file, OpenML."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.data import Column, Dataset, Table, Units
from moatbench.data.bundled import Bundled
from moatbench.data.bundled import read as read_bundled
from moatbench.data.frame import from_frame
from moatbench.knobs import check_whole

if TYPE_CHECKING:
    import pandas as pd

    from moatbench.tables.told import Understood

# Known beforehand: by its own range, a pixel that is never lit would become 0, mid-grey
RANGES = {"digits": (0.0, 16.0)}
IMAGES = {"digits": (1, 8, 8)}


def bundled(name: str, test_share: float = 0.3, pool_share: float = 0.25) -> Dataset:
    """Load one of scikit-learn's own sets: digits, iris, breast_cancer or wine."""
    raw = read_bundled(name) or _loaded(name)
    columns = tuple(
        Column(feature, np.asarray(values, dtype=np.float64), bounds=RANGES.get(name))
        for feature, values in zip(raw.features, raw.x.T, strict=True)
    )
    notes = {"source": "scikit-learn"}
    table = Table(name, columns, raw.y, tuple(raw.classes), IMAGES.get(name), notes)
    return Dataset(table, test_share, pool_share)


def _loaded(name: str) -> Bundled:
    """Let scikit-learn load one of its sets."""
    import sklearn.datasets

    load = getattr(sklearn.datasets, f"load_{name}", None)
    if load is None:
        raise ValueError(
            "data.name must be a set that scikit-learn bundles (digits, iris, wine, ...), got "
            f"{name!r}"
        )
    raw = load()
    features, classes = map(str, raw.feature_names), map(str, raw.target_names)
    return Bundled([*features], raw.data, np.asarray(raw.target, dtype=np.int64), [*classes])


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
    target: str | int | None,
    drop: str | Sequence[str],
    missing: str,
    categorical: str | Sequence[str],
    test_share: float,
    pool_share: float,
    name: str | None = None,
    missing_marks: str | Sequence[str] | None = None,
    separator: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    encoding: str | None = None,
    header: bool | None = None,
    steps: bool = True,
) -> Dataset:
    """Read a table: CSV, TSV and their kin, packed or not, Parquet, Arrow, Feather.

    Args:
        path: of the file.
        target: column of the classes.
        drop: columns to leave out.
        missing: see `from_frame`.
        categorical: columns of numbers that are names all the same.
        test_share: of all rows, the judge's.
        pool_share: of the other rows, the attacker's.
        name: in tables and records; None is the file's.
        missing_marks: this and what follows: see `tables.told.Knobs`; None is found out and told.
        separator: between values.
        decimal: of numbers.
        thousands: between groups of three digits.
        encoding: of the text.
        header: whether the first line names the columns.
        steps: whether the API takes numbers to the last decimal seen; else any number, as always
            in the file's own units.

    Raises:
        ValueError: something in the file must be decided first; it names file, column and line.
    """
    from moatbench.tables.opened import bare
    from moatbench.tables.read import read
    from moatbench.tables.told import knobs  # of all data, only files of the owner's are read so

    if target is None:
        raise ValueError(
            "data.target must be a column, got null; moatbench-data path=... shows all"
        )
    file = Path(path).expanduser()
    chosen = knobs(
        target=target,
        drop=drop,
        categorical=categorical,
        missing=missing,
        missing_marks=missing_marks,
        separator=separator,
        decimal=decimal,
        thousands=thousands,
        encoding=encoding,
        header=header,
    )
    table = _table(read(file, chosen), name or bare(file), str(chosen.target), missing)
    notes = {"source": file.name, **table.notes}
    return Dataset(replace(table, notes=notes), test_share, pool_share, "own", steps)


def openml(
    data_id: int,
    target: str,
    drop: str | Sequence[str],
    missing: str,
    categorical: str | Sequence[str],
    test_share: float,
    pool_share: float,
    steps: bool = True,
    missing_marks: str | Sequence[str] | None = None,
    image: Sequence[int] | None = None,
) -> Dataset:
    """Fetch a set from OpenML by its number; see `csv`.

    Where its columns are 8-bit pixels, `image` is their (channels, height, width).
    """
    from moatbench.tables.read import from_typed
    from moatbench.tables.told import knobs

    check_whole("data.data_id", data_id, 1)
    if image is not None:
        from moatbench.victims.pictures import openml_pictures

        pictures: Dataset = openml_pictures(data_id, target, image, test_share, pool_share)
        return pictures
    name = f"openml-{data_id}"
    chosen = knobs(
        target=target,
        drop=drop,
        categorical=categorical,
        missing=missing,
        missing_marks=missing_marks,
    )
    table = _table(from_typed(fetched(data_id), name, chosen), name, str(chosen.target), missing)
    notes = {"source": f"OpenML {data_id}", **table.notes}
    return Dataset(replace(table, notes=notes), test_share, pool_share, "own", steps)


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
    import pandas as pd

    path = Path(data_dir) / file
    if path.is_file() or openml_id is None:
        if not path.is_file():
            raise ValueError(
                f"there is no {path}, and OpenML does not have this set; put {file} into a folder "
                "and name it with data_dir=..."
            )
        # Files that are known: numbers among names (gss: 89 OR OLDER) are as the paper has them
        frame, source = pd.read_csv(path, skipinitialspace=True), path.name
    else:
        frame, source = fetched(openml_id).rename(columns=openml_names), f"OpenML {openml_id}"
    notes = {"source": source}
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


def _table(understood: "Understood", name: str, target: str, missing: str) -> Table:
    """Make a table of a frame that is understood, and keep what was told of it."""
    target = understood.target or target
    table = from_frame(understood.frame, name, target, [], missing, [], {})
    return replace(table, notes={**table.notes, **understood.facts})
