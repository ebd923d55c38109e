"""Models that XGBoost saved, as JSON or UBJSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from moatbench.formats.model import Model, Names, require
from moatbench.formats.readers.frames import in_categories, in_order, with_categories

BY_SIGN = {"binary:hinge", "multi:softmax"}  # objectives that answer labels only


def open_xgboost(path: Path, names: Names) -> Model:
    """Open a file of XGBoost's.

    Args:
        path: of the file.
        names: the data's columns; files of before XGBoost 3.1 keep the codes of names alone, which
            are then taken for the places of the data's own.
    """
    require("xgboost", "boosting", "XGBoost")
    import xgboost

    return booster(xgboost.Booster(model_file=str(path)), names)


def booster(model: Any, names: Names, classes: Any = None) -> Model:
    """Describe a Booster of XGBoost; `classes` where its owner knows their names.

    Raises:
        ValueError: it predicts no classes.
    """
    from xgboost import DMatrix

    learner = json.loads(model.save_config())["learner"]
    objective = str(learner["objective"]["name"])
    if not objective.startswith(("binary:", "multi:", "reg:logistic")):
        raise ValueError(
            f"victim.path must be a classifier, got a model of XGBoost with objective {objective}; "
            "train one with binary:logistic or multi:softprob"
        )
    columns = None if model.feature_names is None else tuple(model.feature_names)
    stored = _stored(model, names)
    known = {
        column: values
        for column, values in names.items()
        if values is not None and column not in stored
    }
    rounds = _rounds(model)
    model.set_param({"nthread": 1})  # a block is small, and threads that wait for each other slow

    def ask(asked: Any) -> Any:
        if columns is None:
            matrix = DMatrix(asked)
        else:
            frame = in_order(asked, columns)
            frame = frame.assign(**{c: in_categories(frame[c], v) for c, v in stored.items()})
            frame = with_categories(frame, known)
            matrix = DMatrix(frame, enable_categorical=True)
        told = model.predict(matrix, iteration_range=rounds)
        if objective == "binary:logitraw":
            return expit(told)  # in single precision, as the log-odds are: no more is known
        return told.astype(np.int64) if objective in BY_SIGN else told

    kind = str(learner["gradient_booster"]["name"])
    k = max(int(learner["learner_model_param"]["num_class"]), 2)
    return Model(
        ask,
        f"XGBoost, {model.num_boosted_rounds()} rounds",
        columns=columns,
        width=int(model.num_features()),
        classes=tuple(range(k)) if classes is None else tuple(classes),
        family="softmax" if kind == "gblinear" else "gradient_boosting",
    )


def _stored(model: Any, names: Names) -> dict[str, Any]:
    """Return the categories that a model keeps, by column: words or whole numbers.

    Of a column of codes, that was never a category of pandas', there are none.

    Raises:
        ValueError: it takes numbers as categories, and this XGBoost cannot tell which.
    """
    told = zip(model.feature_names or (), model.feature_types or (), strict=False)
    columns = [column for column, kind in told if kind == "c"]
    if not columns:
        return {}
    if not hasattr(model, "get_categories"):
        numbers = [column for column in columns if names.get(column, ()) is None]
        if not numbers:
            return {}
        raise ValueError(
            f"the model takes numbers as categories ({', '.join(numbers)}), and which ones XGBoost "
            'tells from version 3.1 on; pip install "xgboost-cpu>=3.1", and train the model with it'
        )
    kept = model.get_categories(export_to_arrow=True).to_arrow()
    return {name: array.to_pandas() for name, array in kept if array is not None}


def _rounds(model: Any) -> tuple[int, int]:
    """Say which rounds predict: those up to the best one, where scikit-learn's wrapper stopped."""
    kept = model.attributes()
    if "scikit_learn" in kept and "best_iteration" in kept:
        return 0, int(kept["best_iteration"]) + 1
    return 0, 0
