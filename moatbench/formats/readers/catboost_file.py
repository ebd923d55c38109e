"""Models that CatBoost saved, as cbm."""

from pathlib import Path
from typing import Any

from moatbench.formats.model import Model, require
from moatbench.formats.readers.frames import in_order


def open_catboost(path: Path) -> Model:
    """Open a file of CatBoost's.

    Raises:
        ValueError: it predicts no classes.
    """
    require("catboost", "catboost", "CatBoost")
    from catboost import CatBoostClassifier

    model = CatBoostClassifier()
    model.load_model(str(path))
    classes = tuple(model.classes_)
    if len(classes) < 2:
        raise ValueError(
            f"victim.path must be a classifier, got a model of CatBoost without classes in {path}; "
            "train one with CatBoostClassifier"
        )
    columns = tuple(model.feature_names_)
    named = list(columns) != [str(i) for i in range(len(columns))]
    texts = [columns[i] for i in model.get_cat_feature_indices()]

    def ask(asked: Any) -> Any:
        if named:
            asked = in_order(asked, columns)
        if texts:  # whole numbers as well are names, if the model was told so
            asked = asked.astype(dict.fromkeys(texts, str)).astype(dict.fromkeys(texts, object))
        return model.predict_proba(asked, thread_count=1)

    return Model(
        ask,
        f"CatBoost, {model.tree_count_} trees",
        columns=columns if named else None,
        width=len(columns),
        classes=classes,
        family="gradient_boosting",
    )
