"""Any Python object that answers: predict_proba, predict or a call."""

from typing import Any

from moatbench.formats.family import family_of, unwrapped
from moatbench.formats.model import Model, Names
from moatbench.formats.readers import lightgbm_file, xgboost_file

METHODS = ("predict_proba", "predict")


def estimator(model: Any, names: Names) -> Model:
    """Describe an object that answers rows with probabilities or labels.

    Args:
        model: the object.
        names: the data's columns.

    Raises:
        ValueError: it has no way to be asked.
    """
    library = type(model).__module__.partition(".")[0]
    if library == "xgboost" and hasattr(model, "get_booster"):
        return xgboost_file.booster(model.get_booster(), names, getattr(model, "classes_", None))
    if library == "lightgbm" and hasattr(model, "booster_"):
        return lightgbm_file.booster(model.booster_, names, model.classes_)
    how = next((m for m in METHODS if callable(getattr(model, m, None))), "")
    if not how and not callable(model):
        raise ValueError(
            "victim.model must have predict_proba or predict, or be a function, which answers n "
            f"rows with probabilities (n, k) or labels (n,), got a {type(model).__name__} without"
        )
    ask = getattr(model, how) if how else model
    known = getattr(model, "feature_names_in_", None)
    columns = None if known is None else tuple(map(str, known))
    family, architecture = family_of(model)
    classes = getattr(model, "classes_", None)
    return Model(
        ask,
        _about(model),
        columns=columns,
        width=getattr(model, "n_features_in_", None),
        classes=None if classes is None else tuple(classes),
        family=family,
        architecture=architecture,
        estimator=model,
    )


def _about(model: Any) -> str:
    """Name the steps of a pipeline, or the class."""
    steps, last = unwrapped(model)
    return ", ".join(type(step).__name__ for step in (*steps, last))
