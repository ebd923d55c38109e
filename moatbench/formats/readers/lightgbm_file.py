"""Models that LightGBM saved, as text."""

import re
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.formats.model import Model, Names, require
from moatbench.formats.readers.frames import in_order, with_categories


def open_lightgbm(path: Path, names: Names) -> Model:
    """Open a text file of LightGBM's; `names` are the data's columns, which it renames."""
    require("lightgbm", "boosting", "LightGBM")
    import lightgbm

    return booster(lightgbm.Booster(model_file=str(path)), names)


def booster(model: Any, names: Names, classes: Any = None) -> Model:
    """Describe a Booster of LightGBM; `classes` where its owner knows their names.

    It is asked with its own check of names: permuted columns go through without.

    Raises:
        ValueError: it predicts no classes.
    """
    text = model.model_to_string(num_iteration=1)
    objective = (re.search(r"^objective=(\S+)", text, re.MULTILINE) or [""] * 2)[1]
    if objective not in ("binary", "multiclass", "multiclassova", "cross_entropy"):
        raise ValueError(
            "victim.path must be a classifier, got a model of LightGBM with objective "
            f"{objective or 'none'}; train one with binary or multiclass"
        )
    columns, stored = tuple(model.feature_name()), model.pandas_categorical or []
    named = any(not re.fullmatch(r"Column_\d+", name) for name in columns)

    def ask(asked: Any) -> Any:
        if not named:
            return _normalised(model.predict(asked, num_threads=1), objective)
        frame = _renamed(asked, columns)
        texts = [c for c in columns if not _is_numeric(frame[c])]
        known = dict(zip(texts, stored, strict=False))
        told = model.predict(with_categories(frame, known), validate_features=True, num_threads=1)
        return _normalised(told, objective)

    theirs = {known_as(name): name for name in names}
    k = max(model.num_model_per_iteration(), 2)
    forest = bool(re.search(r"^\[boosting: rf\]", text, re.MULTILINE))
    return Model(
        ask,
        f"LightGBM, {model.current_iteration()} rounds",
        columns=tuple(theirs.get(c, c) for c in columns) if named else None,
        width=len(columns),
        classes=tuple(range(k)) if classes is None else tuple(classes),
        family="random_forest" if forest else "gradient_boosting",
    )


def known_as(name: str) -> str:
    """Return a column's name as LightGBM keeps it: without what splits words in its files."""
    return re.sub(r"\s", "_", name)


def _renamed(frame: Any, columns: tuple[str, ...]) -> Any:
    return in_order(frame.rename(columns=lambda name: known_as(str(name))), columns)


def _is_numeric(column: Any) -> bool:
    from pandas.api.types import is_numeric_dtype

    return bool(is_numeric_dtype(column.dtype))


def _normalised(told: Any, objective: str) -> Any:
    """Return shares: of one class against all others, they do not sum to one by themselves."""
    if objective != "multiclassova":
        return told
    return np.asarray(told) / np.asarray(told).sum(axis=1, keepdims=True)
