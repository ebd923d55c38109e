"""Models that LightGBM saved, as text."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from moatbench.formats.model import Model, Names, require
from moatbench.formats.readers.frames import in_categories, in_order


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
    infos = (re.search(r"^feature_infos=(.*)$", text, re.MULTILINE) or [""] * 2)[1].split(" ")
    named = any(not re.fullmatch(r"Column_\d+", name) for name in columns)

    def ask(asked: Any) -> Any:
        if not named:
            return _normalised(model.predict(asked, num_threads=1), objective)
        frame = _renamed(asked, columns)
        known = {c: in_categories(frame[c], v) for c, v in _stored(frame, infos, stored).items()}
        told = model.predict(frame.assign(**known), validate_features=True, num_threads=1)
        return _normalised(told, objective)

    theirs = {known_as(name): name for name in names}
    k = max(model.num_model_per_iteration(), 2)
    return Model(
        ask,
        f"LightGBM, {model.current_iteration()} rounds",
        columns=tuple(theirs.get(c, c) for c in columns) if named else None,
        width=len(columns),
        classes=tuple(range(k)) if classes is None else tuple(classes),
        family="gradient_boosting",  # boosting=rf, too: its trees' mean is of log-odds
    )


def known_as(name: str) -> str:
    """Return a column's name as LightGBM keeps it: without what splits words in its files."""
    return re.sub(r"\s", "_", name)


def _renamed(frame: Any, columns: tuple[str, ...]) -> Any:
    return in_order(frame.rename(columns=lambda name: known_as(str(name))), columns)


def _stored(
    frame: Any, infos: Sequence[str], stored: Sequence[Sequence[Any]]
) -> dict[str, Sequence[Any]]:
    """Return the categories that the file keeps, by column.

    It keeps them in the columns' order. Text is always such a category. Of numbers it tells whether
    they are tested as a range, [0:1], or as codes, which may be ones that were never stored; one
    that is never tested may be either.

    Raises:
        ValueError: they cannot be told apart.
    """
    texts = {c for c in frame.columns if not _is_numeric(frame[c])}
    codes = {c for c, info in zip(frame.columns, infos, strict=True) if info[:1] not in "[n"}
    idle = {c for c, info in zip(frame.columns, infos, strict=True) if info == "none"}
    for those in (texts, texts | codes, texts | codes | idle):
        named = [c for c in frame.columns if c in those]
        if len(named) == len(stored):
            return dict(zip(named, stored, strict=True))
    raise ValueError(
        f"the model's file keeps the categories of {len(stored)} columns, and which ones is not "
        f"sure: {len(codes)} are tested by codes ({', '.join(sorted(codes))}), and {len(texts)} are"
        f" text in the data ({', '.join(sorted(texts))}); give columns as numbers that it was "
        "trained on as numbers, or train it with every category of pandas' type category"
    )


def _is_numeric(column: Any) -> bool:
    from pandas.api.types import is_numeric_dtype

    return bool(is_numeric_dtype(column.dtype))


def _normalised(told: Any, objective: str) -> Any:
    """Return shares: of one class against all others, they do not sum to one by themselves."""
    if objective != "multiclassova":
        return told
    return np.asarray(told) / np.asarray(told).sum(axis=1, keepdims=True)
