"""Frames as the libraries of boosted trees take them: names as categories, in their order."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pandas import DataFrame


TELLING = 30  # names: a model may not know a few of the data's, but hardly any of them


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


def in_categories(column: Any, values: Sequence[Any]) -> Any:
    """Return a column as a category of a model's own values; what is left out is none of them.

    Each is known as it is written, and where the model has no two that are the same number, such as
    01 and 1, however either writes numbers.

    Raises:
        ValueError: a column of numbers has one that is no such value, or names have none at all.
    """
    import pandas as pd

    own = {str(value): place for place, value in enumerate(values)}
    numbers = {_written(value): place for place, value in enumerate(values)}
    if len(numbers) < len(own):
        numbers = {}
    asked = column.astype(object)
    missing = np.asarray(asked.isna())
    codes = np.array(
        [own.get(str(value), numbers.get(_written(value), -1)) for value in asked], dtype=np.intp
    )
    codes[missing] = -1
    bad = (codes < 0) & ~missing
    strange = len(bad) >= TELLING and bad.all()
    if strange or (bad.any() and pd.api.types.is_numeric_dtype(column.dtype)):
        few = ", ".join(map(str, list(values)[:5]))
        raise ValueError(
            f"the model takes {column.name} as one of the categories {few}, got "
            f"{asked[bad].iloc[0]}; say data.categorical=[{column.name}], or give its own values"
        )
    return pd.Categorical.from_codes(codes, categories=pd.Index(values))


def _written(value: Any) -> str:
    """Return how a category is known: 101, 101.0, "101" and True, 1 are the same."""
    text = {"True": "1", "False": "0"}.get(str(value), str(value))
    try:
        return repr(float(text))
    except ValueError:
        return text


def in_order(frame: "DataFrame", columns: Sequence[str]) -> "DataFrame":
    """Return the columns that a model knows, in its order."""
    return frame if list(frame.columns) == list(columns) else frame[list(columns)]
