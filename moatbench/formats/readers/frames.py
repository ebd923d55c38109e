"""Frames as the libraries of boosted trees take them: names as categories, in their order."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


def with_categories(frame: "DataFrame", known: Mapping[str, Sequence[Any]]) -> "DataFrame":
    """Return the frame with each column of names as categories; those that are known, in order."""
    import pandas as pd

    changed: dict[str, Any] = {}
    for name, column in frame.items():
        values = known.get(str(name))
        if isinstance(column.dtype, pd.CategoricalDtype) and values is None:
            continue
        if values is not None:
            changed[str(name)] = pd.Categorical(column.astype(object), categories=list(values))
        elif not pd.api.types.is_numeric_dtype(column.dtype):
            changed[str(name)] = column.astype("category")
    return frame.assign(**changed) if changed else frame


def in_order(frame: "DataFrame", columns: Sequence[str]) -> "DataFrame":
    """Return the columns that a model knows, in its order."""
    return frame if list(frame.columns) == list(columns) else frame[list(columns)]
