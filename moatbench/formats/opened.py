"""A model's file, opened by the reader of its kind."""

from collections.abc import Sequence
from pathlib import Path

from moatbench.formats.kinds import KINDS, kind_of
from moatbench.formats.mlmodel import within
from moatbench.formats.model import Model, Names
from moatbench.formats.readers import (
    catboost_file,
    lightgbm_file,
    onnx_file,
    skops_file,
    xgboost_file,
)
from moatbench.knobs import check_choice


def opened(
    path: Path,
    names: Names,
    *,
    kind: str | None = None,
    trusted: Sequence[str] = (),
    trust: bool = False,
) -> Model:
    """Open a model's file.

    Args:
        path: of a file, or of a folder as MLflow saves one.
        names: the data's columns.
        kind: what it is, one of `KINDS`; None tells by its content.
        trusted: types in a skops file that its owner vouches for.
        trust: whether its owner vouches for the whole file, which may then run code of its own.

    Raises:
        ValueError: there is none, it is of another kind, or it is not to be trusted.
    """
    found = kind_to_open(path, kind, trust=trust)
    if found == "mlflow":
        file = within(path)
        return opened(file, names, trusted=trusted, trust=trust)
    if found == "skops":
        return skops_file.open_skops(path, names, trusted)
    if found == "pickle":
        return skops_file.open_pickle(path, names)
    if found == "onnx":
        return onnx_file.open_onnx(path)
    if found == "xgboost":
        return xgboost_file.open_xgboost(path, names)
    if found == "lightgbm":
        return lightgbm_file.open_lightgbm(path, names)
    return catboost_file.open_catboost(path)


def kind_to_open(path: Path, kind: str | None = None, *, trust: bool = False) -> str:
    """Return the kind of a model's file, for which nothing but its content is looked at.

    Raises:
        ValueError: see `opened`.
    """
    if kind is not None:
        check_choice("victim.kind", kind, KINDS)
    found = kind_of(path) if kind is None or not path.exists() else kind
    if found == "torch":
        raise ValueError(
            f"victim.path holds weights alone, got {path}, and a model needs its code too; use "
            f"victim=module victim.module=my_net:Net victim.weights={path}"
        )
    if found == "pickle" and not trust:
        raise ValueError(
            f"victim.path is a pickle, got {path}, and to load one runs whatever it says; save the "
            "model with skops.io.dump, or if the file is yours, vouch for it with victim.trust=true"
        )
    return found
