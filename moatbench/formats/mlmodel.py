"""The folder of a model that MLflow saved: its file is opened as any other, MLflow is not asked.

MLflow's own loader takes the list of trusted types from the folder that it loads, and puts the
folder's code on the path.
"""

from pathlib import Path
from typing import Any

# Flavours whose file is read by what made it, and where each names it
FLAVOURS = {
    "sklearn": "pickled_model",
    "xgboost": "data",
    "lightgbm": "data",
    "catboost": "data",
    "onnx": "data",
}
MOST_BYTES = 2**20  # of an MLmodel


def within(folder: Path) -> Path:
    """Return the model's file of a folder that holds an MLmodel.

    Raises:
        ValueError: the MLmodel is none, or of a flavour that runs code of its own.
    """
    import yaml

    file = folder / "MLmodel"
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"{file} must have {MOST_BYTES} bytes at most, got {file.stat().st_size}")
    try:
        text: Any = yaml.safe_load(file.read_text())
        flavours = dict(text["flavors"])
    except (yaml.YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{file} must be an MLmodel with flavors, got another file") from error
    for flavour, key in FLAVOURS.items():
        named = (flavours.get(flavour) or {}).get(key)
        if named:
            return _inside(folder, str(named))
    if "pytorch" in flavours:
        way = "save its state_dict, and use victim=module victim.module=my_net:Net victim.weights="
    else:
        way = (
            "if it is yours, serve it from Python with victim=own "
            f"victim.model._target_=mlflow.pyfunc.load_model +victim.model.model_uri={folder}"
        )
    raise ValueError(
        f"victim.path must hold a model of {', '.join(FLAVOURS)}, got an MLmodel of "
        f"{', '.join(sorted(flavours))} in {folder}, which runs code of its own; {way}"
    )


def _inside(folder: Path, name: str) -> Path:
    """Return a file of a folder; nothing that lies outside it."""
    file = (folder / name).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.exists():
        raise ValueError(f"{folder / 'MLmodel'} must name a file within its folder, got {name}")
    return file
