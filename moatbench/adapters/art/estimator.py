"""A classifier of ART's as a victim."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moatbench.adapters.art.toolbox import require_art
from moatbench.data import Dataset
from moatbench.formats.model import Model
from moatbench.formats.served import Held
from moatbench.types import Array, Generator
from moatbench.victim import Victim
from moatbench.victims.asking import OwnEncoding
from moatbench.victims.serving import Wishes, served

SCALED: OwnEncoding = "scaled"


def estimator(
    data: Dataset,
    rng: Generator,
    estimator: Any,
    family: str | None = None,
    encoding: OwnEncoding | None = None,
    link: str | None = None,
    stochastic: bool = False,
    accuracy: float | None = None,
    name: str | None = None,
) -> Victim:
    """Put a trained classifier of ART's behind the API.

    One that says within which `clip_values` its inputs lie is asked there: each column from its
    least to its greatest value. Scores become probabilities by a softmax in double precision.

    Args:
        data: what it was trained for.
        rng: draws the shares.
        estimator: with `predict`, `input_shape` and `nb_classes`.
        family: as for `own_model`.
        encoding: the same; None is `scaled` to the clip_values, where it has any.
        link: the same, but that None makes probabilities of scores by a softmax.
        stochastic: the same.
        accuracy: the same.
        name: for people; None is that of its class.

    Raises:
        ValueError: it is no classifier of ART's, or one of another shape or number of classes.
    """
    require_art("victim=art")
    wishes, k = Wishes(family, encoding, link, stochastic, accuracy), len(data.table.classes)
    asked = Asked.of(estimator)  # where knobs alone are checked, it is not made yet
    if asked.span is not None and encoding is None:
        wishes = replace(wishes, encoding=SCALED)
    elif encoding != SCALED:
        asked = replace(asked, span=None)  # its owner says how it is asked
    about = type(estimator).__name__
    if asked.classes not in (None, k):
        raise ValueError(
            f"victim.estimator must answer the data's {k} classes, got a {about} of "
            f"{asked.classes}; give the data that it was trained on"
        )
    source = Held(Model(asked, f"ART {about}", width=int(np.prod(asked.shape))))
    victim: Victim = served(data, rng, source, wishes, scores=True)
    return victim


@dataclass(frozen=True)
class Asked:
    """An estimator of ART's, asked rows.

    Args:
        estimator: what answers.
        shape: of one input.
        span: the least and the greatest value of an input, where it says so.
        classes: how many it answers, where it says so.
    """

    estimator: Any
    shape: tuple[int, ...]
    span: tuple[float, float] | None
    classes: int | None

    @staticmethod
    def of(estimator: Any) -> "Asked":
        """Read what an estimator says of itself."""
        shape = getattr(estimator, "input_shape", None)
        if not callable(getattr(estimator, "predict", None)) or shape is None:
            raise ValueError(
                "victim.estimator must be a classifier of ART's, with predict and input_shape, got "
                f"a {type(estimator).__name__}; other objects are victim=own"
            )
        span = None
        if (clip := getattr(estimator, "clip_values", None)) is not None:
            low, high = np.unique(clip[0]), np.unique(clip[1])
            span = (float(low[0]), float(high[0])) if low.size == high.size == 1 else None
        return Asked(estimator, tuple(shape), span, getattr(estimator, "nb_classes", None))

    def __call__(self, rows: Any) -> Array:
        """(n, k) answers to rows (n, d)."""
        x = np.asarray(rows, dtype=np.float64)
        if self.span is not None:
            low, high = self.span
            x = low + (x + 1) / 2 * (high - low)
        told = self.estimator.predict(x.astype(np.float32).reshape(-1, *self.shape))
        told = np.asarray(told, dtype=np.float64)
        total = told.sum(axis=1, keepdims=True)
        near = (told >= 0).all() and (np.abs(total - 1) < 1e-4).all()
        return told / total if near else told  # single precision sums to one within 1e-6
