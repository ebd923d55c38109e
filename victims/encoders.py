"""Which values of its columns a pipeline of scikit-learn knows, from its encoders."""

from collections.abc import Iterator, Sequence
from typing import Any

WITHIN = ("best_estimator_", "estimator_", "estimator")  # of searches, calibrations, thresholds


def known_values(model: Any, columns: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return the categories that encoders of a model were fitted on, by the name of the column.

    Pipelines, column transformers and what wraps a model are looked through.

    Args:
        model: any object.
        columns: names of the columns of the data, for models that know places only.
    """
    names = getattr(model, "feature_names_in_", None)
    names = list(columns) if names is None else [str(name) for name in names]
    return dict(_encoded(model, names))


def _encoded(model: Any, columns: list[str]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    known = getattr(model, "categories_", None)
    if known is not None and len(known) == len(columns):
        yield from zip(columns, (tuple(_plain(values)) for values in known), strict=True)
    elif hasattr(model, "transformers_"):
        for _, part, chosen in model.transformers_:
            yield from _encoded(part, _chosen(chosen, columns))
    elif isinstance(steps := getattr(model, "steps", None), list):
        for _, step in steps:
            yield from (found := list(_encoded(step, columns)))
            if found or not _keeps_columns(step):
                return
    else:
        for name in WITHIN:
            if (inner := getattr(model, name, None)) is not None:
                yield from _encoded(inner, columns)
                return
        for inner in getattr(model, "calibrated_classifiers_", [])[:1]:
            yield from _encoded(inner, columns)


def _chosen(chosen: Any, columns: list[str]) -> list[str]:
    """Name the columns that a part of a column transformer takes: by name, place, mask or slice."""
    if isinstance(chosen, slice):
        return columns[chosen] if not isinstance(chosen.start, str) else []
    chosen = [chosen] if isinstance(chosen, str | int) else list(chosen)
    if chosen and all(type(c).__name__ in ("bool", "bool_") for c in chosen):
        return [name for name, taken in zip(columns, chosen, strict=False) if taken]
    return [c if isinstance(c, str) else columns[c] for c in chosen]


def _keeps_columns(step: Any) -> bool:
    """Whether a step of a pipeline leaves each column in its place, as imputers and scalers do."""
    given, made = (
        getattr(step, "n_features_in_", None),
        getattr(step, "get_feature_names_out", None),
    )
    if step in (None, "passthrough"):
        return True
    try:
        return made is not None and len(made()) == given and not hasattr(step, "components_")
    except Exception:  # of a stranger's transformer
        return False


def _plain(values: Any) -> list[Any]:
    return list(values.tolist() if hasattr(values, "tolist") else values)
