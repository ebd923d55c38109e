"""A model's raw answers, whatever they look like, as replies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

from moatbench.formats.classes import class_order, label_places, place_of
from moatbench.models.forward import one_vs_rest, softmax
from moatbench.reply import Reply
from moatbench.types import Array

BFLOAT16 = "torch.bfloat16"
LINKS = SOFTMAX, SIGMOID, SUM = "softmax", "sigmoid", "sum"  # sum: each row is divided by its own
ROUNDED = 1e-3  # how far sums may be off in single precision
ROUGH = 1e-2  # and in half of it: bfloat16 has eight bits
NEAR = 5e-7  # how far they may be off and stay: half of what replies may be
DUST = 1e-5  # how far below 0 rounding may leave a probability: 1 - p of a forest in float32


@dataclass(frozen=True)
class Form:
    """How a model's answers are read.

    Args:
        order: for each of the data's classes, which of the model's outputs is its own; () where it
            answers labels only.
        keys: of the outputs, where they come as a dictionary a row.
        labels: of each label that it answers, the data's class; for labels only.
        link: what turns its outputs into probabilities; None where they are.
    """

    order: tuple[int, ...]
    keys: tuple[Any, ...] = ()
    labels: tuple[tuple[float | str, int], ...] = ()
    link: str | None = None

    def reply(self, raw: Any) -> Reply:
        """Return raw answers to n rows as a Reply."""
        values = as_array(raw, self.keys)
        if not self.order:
            places = dict(self.labels)
            told = [place_of(value, places) for value in values.reshape(-1).tolist()]
            return Reply(np.array(told, dtype=np.int64))
        outputs = _probabilities(values, self.link, _slack(raw))
        place = np.argsort(self.order)  # of the model's outputs among the data's classes
        # The model's own choice, where two outputs are equal
        return Reply(place[outputs.argmax(axis=1)].astype(np.int64), outputs[:, self.order])


def form_of(
    raw: Any, known: Sequence[Any] | None, classes: Sequence[str], link: str | None = None
) -> Form:
    """Say how a model's answers are to be read.

    Args:
        raw: its answers to some rows.
        known: its classes, in the order of its outputs; None where it does not say.
        classes: the data's.
        link: see `Form`.

    Raises:
        ValueError: the answers are neither probabilities nor labels of these classes.
    """
    keys: tuple[Any, ...] = ()
    if isinstance(raw, list | tuple) and len(raw) and isinstance(raw[0], Mapping):
        keys = tuple(raw[0]) if known is None else tuple(known)
        known = keys
    elif known is None and _are_named(raw, classes):
        known = tuple(raw.columns)
    values, k = as_array(raw, keys), len(classes)
    single = values.ndim == 1 or values.shape[1] == 1
    if single and (link is None and _are_labels(values)):
        told = values.reshape(-1).tolist()
        places = label_places(list(dict.fromkeys(told)), known, classes)
        return Form((), labels=tuple(places.items()))
    width = 2 if single else values.shape[1]
    if values.dtype.kind == "f" and known is not None and width == len(known) != k:
        class_order(known, classes)  # which raises, with both lists
    if values.dtype.kind != "f" or width != k:
        what = "labels" if values.dtype.kind != "f" else f"{1 if single else width} outputs"
        raise ValueError(
            f"the model must answer {k} classes ({', '.join(classes[:20])}), got {what} of shape "
            f"{values.shape}; two classes may be one probability a row, the second's"
        )
    return Form(class_order(range(k) if known is None else known, classes), keys, link=link)


def _are_named(raw: Any, classes: Sequence[str]) -> bool:
    """Whether a frame names its columns after the classes."""
    try:
        class_order(tuple(getattr(raw, "columns", ())), classes)
    except ValueError:
        return False
    return True


def require_rows(raw: Any, n: int) -> None:
    """Raise a ValueError unless answers are as many as the n rows that were asked."""
    shape = getattr(raw, "shape", None)
    sized = shape is not None or isinstance(raw, list | tuple)
    count = len(raw) if shape is None and sized else (shape or [-1])[0]
    is_sparse = hasattr(raw, "toarray")
    if is_sparse or count != n:
        of = f"a {type(raw).__name__}" if is_sparse or count < 0 else f"{count} of them"
        raise ValueError(
            "the model must answer n rows with labels (n,) or probabilities (n, k), got "
            f"{of} to {n} rows"
        )


def are_probabilities(raw: Any) -> bool:
    """Whether answers may be probabilities as they stand, or labels: no link need make them so."""
    if isinstance(raw, list | tuple) and len(raw) and isinstance(raw[0], Mapping):
        return True
    values = as_array(raw)
    if values.dtype.kind != "f":
        return True
    inside = bool(((values >= -DUST) & (values <= 1 + DUST)).all())
    if values.ndim == 1 or values.shape[1] == 1:
        return inside
    total = values.sum(axis=1, dtype=np.float64)
    return inside and bool((np.abs(total - 1) < _slack(raw)).all())


def are_shares(raw: Any) -> bool:
    """Whether answers (n, k) all lie from 0 to 1, as a sigmoid for each class leaves them."""
    values = as_array(raw)
    wide = values.ndim == 2 and values.shape[1] > 1 and values.dtype.kind == "f"
    return wide and bool(((values >= 0) & (values <= 1)).all())


def _slack(raw: Any) -> float:
    """Return how far the sums of probabilities may be off, by the type that they came in."""
    size = getattr(getattr(raw, "dtype", None), "itemsize", 8)
    return ROUGH if size < np.dtype(np.float32).itemsize else ROUNDED


def as_array(raw: Any, keys: Sequence[Any] = ()) -> Any:
    """Return answers as an array (n,) or (n, k), whatever they came in."""
    if keys:
        return np.array([[row[key] for key in keys] for row in raw], dtype=np.float32)
    if hasattr(raw, "detach"):
        raw = raw.detach().cpu()
        raw = raw.float() if str(raw.dtype) == BFLOAT16 else raw  # which numpy does not know
    elif hasattr(raw, "to_numpy"):
        raw = raw.to_numpy()
    values = np.asarray(raw)
    if values.ndim not in (1, 2):
        raise ValueError(
            f"the model must answer n rows with labels (n,) or probabilities (n, k), got an array "
            f"of shape {values.shape}"
        )
    return values


def _are_labels(values: Any) -> bool:
    """Whether single answers are labels: words, or whole numbers that are no two certainties."""
    if values.dtype.kind != "f":
        return True
    whole = bool((values == np.rint(values)).all())
    return whole and bool(np.isfinite(values).all())


def _probabilities(values: Any, link: str | None, slack: float) -> Array:
    """(n, k) probabilities in double precision; a single one is the second class's."""
    outputs = values.astype(np.float64)
    if outputs.ndim == 1 or outputs.shape[1] == 1:
        p = outputs.reshape(-1, 1)
        if link in (SOFTMAX, SIGMOID):
            return np.asarray(expit(np.hstack([-p, p])))
        return _without_dust(np.hstack([1 - p, p]))
    if link in (SOFTMAX, SIGMOID):
        return softmax(outputs) if link == SOFTMAX else one_vs_rest(outputs)
    swept = _without_dust(outputs)
    total = swept.sum(axis=1, keepdims=True)
    if link == SUM:  # where all sigmoids are too small for a number, nothing is told apart
        return np.where(total > 0, swept / np.where(total > 0, total, 1), 1 / swept.shape[1])
    if values.dtype.itemsize < 8 and (np.abs(total - 1) < slack).all():
        # A sum of single precision is one only nearly. What is near enough is told as it is, and
        # the others in single precision again: clients see what the answers are exact to
        off = (np.abs(total - 1) > NEAR) | (swept != outputs).any(axis=1, keepdims=True)
        return np.where(off, (swept / total).astype(np.float32).astype(np.float64), swept)
    return swept


def _without_dust(outputs: Array) -> Array:
    """Return (n, k) with what rounding left just below 0 at 0, and those rows' excess taken off."""
    dust = (outputs < 0) & (outputs >= -DUST)
    if not dust.any():
        return outputs
    swept = np.where(dust, 0.0, outputs)
    left = np.where(dust, outputs, 0.0).sum(axis=1, keepdims=True)
    total = outputs.sum(axis=1, keepdims=True)
    return np.asarray(np.where(left < 0, swept * (total / (total - left)), swept))
