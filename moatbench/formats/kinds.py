"""The kind of a model's file, from its content; the ending of its name decides nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile, ZipFile

KINDS = ("skops", "onnx", "xgboost", "lightgbm", "catboost", "mlflow", "pickle")
HEAD = 4096  # bytes that tell a kind


def kind_of(path: Path) -> str:
    """Name the kind of a model's file, or of a folder that holds an MLmodel or one ONNX file.

    Raises:
        ValueError: there is no file, or it is of no kind that is known.
    """
    if path.is_dir():
        return _kind_of_folder(path)
    if not path.is_file():
        raise ValueError(
            f"victim.path must be a model's file or a folder with an MLmodel, got {path}, where "
            "there is none; give a path from where you start moatbench"
        )
    with path.open("rb") as opened:
        head = opened.read(HEAD)
    for kind, fits in _SIGNS.items():
        if fits(path, head):
            return kind
    if head[:8] == b"\x89HDF\r\n\x1a\n" or path.suffix == ".keras":
        raise ValueError(_own(path, "a model of Keras"))
    raise ValueError(
        f"victim.path must be a model of a known kind, got {path}, which looks like none; save it "
        f"as one of skops, ONNX, XGBoost (json, ubj), LightGBM (text), CatBoost (cbm), or say "
        f"which with victim.kind= (one of {', '.join(KINDS)})"
    )


def _kind_of_folder(path: Path) -> str:
    if (path / "MLmodel").is_file():
        return "mlflow"
    if len(list(path.glob("*.onnx"))) == 1:
        return "onnx"
    raise ValueError(
        f"victim.path must be a model's file or a folder with an MLmodel, got the folder {path} "
        "without one; give the file within"
    )


def _own(path: Path, what: str) -> str:
    return (
        f"victim.path is {what}, which is not read as a file, got {path}; serve it from Python "
        "with victim=own victim.model._target_=my_module.load_it, or save it as ONNX"
    )


def _is_skops(path: Path, head: bytes) -> bool:
    return head[:2] == b"PK" and "schema.json" in _names(path)


def _is_torch(path: Path, head: bytes) -> bool:
    """Whether it holds weights alone: a zip of torch's, or safetensors."""
    if head[:2] == b"PK" and any(name.endswith("data.pkl") for name in _names(path)):
        return True
    return head[8:10] == b'{"' and b'"dtype"' in head and b'"data_offsets"' in head


def _names(path: Path) -> list[str]:
    try:
        with ZipFile(path) as archive:
            return archive.namelist()
    except BadZipFile:
        return []


def _is_xgboost(path: Path, head: bytes) -> bool:
    if head[:1] != b"{":
        return False
    if b'"learner"' in head or b"learner{" in head[:32]:
        return True
    try:
        return "learner" in json.loads(path.read_bytes())
    except ValueError:
        return False


def _is_pickle(path: Path, head: bytes) -> bool:
    """Whether it is a pickle, one that joblib compressed included."""
    plain = head[:1] == b"\x80" and head[1:2] <= b"\x05"
    return plain or head[:2] in (b"x\x9c", b"x\x01", b"x^", b"x\xda", b"\x1f\x8b", b"BZ", b"\xfd7")


def _is_onnx(path: Path, head: bytes) -> bool:
    """Whether it begins as a ModelProto does: ir_version, a small number, and a next field."""
    return head[:1] == b"\x08" and head[1:2] < b"\x40" and head[2:3] in (b"\x12", b"\x3a", b"\x42")


_SIGNS: dict[str, Callable[[Path, bytes], bool]] = {
    "skops": _is_skops,
    "torch": _is_torch,
    "catboost": lambda path, head: head[:4] == b"CBM1",
    "lightgbm": lambda path, head: head.startswith(b"tree\n") and b"\nversion=" in head,
    "xgboost": _is_xgboost,
    "pickle": _is_pickle,
    "onnx": _is_onnx,
}
