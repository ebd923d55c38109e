"""Tables whose columns have types: Parquet, Arrow, Feather, and data frames."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from moatbench.tables.look import Look, with_gaps
from moatbench.tables.told import Report, override
from moatbench.tables.values import NAME, NUMBER, TRUTH, Values

if TYPE_CHECKING:
    import pandas as pd


def loaded(raw: bytes, kind: str, file: Path, report: Report) -> "pd.DataFrame":
    """Load Parquet, Arrow (file or stream) or Feather; an index that is none of the data is told.

    Raises:
        ValueError: the file is broken.
    """
    import pyarrow as pa
    from pyarrow import feather, parquet

    try:
        if kind == "parquet":
            table = parquet.read_table(BytesIO(raw))
        elif kind == "feather":
            table = feather.read_table(BytesIO(raw))
        else:
            table = pa.ipc.open_file(BytesIO(raw)).read_all()
        frame: pd.DataFrame = table.to_pandas(types_mapper=_nullable().get)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"data.path must be a whole file of {kind}, got {file} ({error}); write it again"
        ) from error
    report.read.append(f"the types of {kind}")
    _tell_categories(table, kind, report)
    if frame.index.name is not None or frame.index.nlevels > 1:
        report.notes.append(
            f"index {', '.join(map(str, frame.index.names))} left out; reset_index() before "
            "writing makes columns of it"
        )
    return frame.reset_index(drop=True)


def _nullable() -> dict[Any, Any]:
    """Map the types that have no missing value in NumPy: whole numbers stay whole."""
    import pandas as pd
    import pyarrow as pa

    sizes = (8, 16, 32, 64)
    whole = {getattr(pa, f"int{n}")(): getattr(pd, f"Int{n}Dtype")() for n in sizes}
    whole |= {getattr(pa, f"uint{n}")(): getattr(pd, f"UInt{n}Dtype")() for n in sizes}
    return whole | {pa.bool_(): pd.BooleanDtype()}


def _tell_categories(table: Any, kind: str, report: Report) -> None:
    """Tell of numbers that were categories: they are read as pandas does, and its models know."""
    import pyarrow as pa

    told = (table.schema.pandas_metadata or {}).get("columns", [])
    declared = {str(c["field_name"]) for c in told if c["pandas_type"] == "categorical"}
    for field in table.schema:
        plain = pa.types.is_integer(field.type) or pa.types.is_floating(field.type)
        if field.name in declared and plain:
            report.notes.append(
                f"column {field.name} was a category, of which {kind} keeps the numbers; "
                f"{override('categorical', field.name)} takes them for names"
            )


def columns_of(frame: "pd.DataFrame", source: str = "data") -> dict[str, Look | Values]:
    """Take each column by its type; texts are looked at as the cells of a file.

    Raises:
        ValueError: two columns have one name, or there is no row.
    """
    names = [str(name) for name in frame.columns]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{source}: columns must have names of their own, got {twice[0]!r} twice")
    if frame.empty:
        raise ValueError(
            f"{source}: a table must have rows, got columns {', '.join(names[:5])} and none"
        )
    rows = np.arange(1, len(frame) + 1)
    return {name: _column(name, frame.iloc[:, i], rows) for i, name in enumerate(names)}


def _column(name: str, values: "pd.Series[Any]", rows: Any) -> Look | Values:
    import pandas as pd

    kinds = pd.api.types
    missing = values.isna().to_numpy(dtype=bool)
    if isinstance(values.dtype, pd.CategoricalDtype):
        texts = np.array([str(v).strip() for v in values.astype(object)], dtype=object)
        return Values(NAME, with_gaps(texts, missing), missing, rows)
    if kinds.is_bool_dtype(values.dtype):
        filled = values.fillna(False) if missing.any() else values
        return Values(TRUTH, filled.to_numpy(dtype=bool), missing, rows)
    if kinds.is_integer_dtype(values.dtype):
        whole = values.fillna(0) if missing.any() else values
        dtype = np.uint64 if kinds.is_unsigned_integer_dtype(values.dtype) else np.int64
        return Values(NUMBER, whole.to_numpy(dtype=dtype), missing, rows)
    if kinds.is_float_dtype(values.dtype):
        numbers = values.to_numpy(dtype=np.float64, na_value=np.nan)
        return Values(NUMBER, numbers, missing, rows)
    # Dates too become texts, and are refused as a file's are
    cells = ["" if gone else _text(v).strip() for v, gone in zip(values, missing, strict=True)]
    return Look(name, np.array(cells, dtype=object), rows, "row")


def _text(value: Any) -> str:
    """Write a value as a cell; bytes are texts that a file does not declare so."""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
