"""The model under attack, and the data that defender, attacker and judge each own."""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from moatbench.reply import Predict, Reply
from moatbench.space import InputSpace
from moatbench.types import Array, Labels, Rows, fixed

SIMPLEX_TOLERANCE = 1e-6
WIDE = 256  # classes, above which of the answers to the test data the labels alone are kept
MANY, FEW = 256, 8  # uniform inputs that a victim is tried on; few where each costs


class NotApplicable(ValueError):
    """An attack or a defense lacks what it needs of this victim; the message is the reason."""


class Kept:
    """Rows of a share, kept in bytes where they can be, and widened whenever they are looked at."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __get__(self, shares: Any, owner: type) -> Any:
        return self if shares is None else np.asarray(shares.__dict__[self.name], np.float64)

    def __set__(self, shares: Any, rows: NDArray[Any]) -> None:
        space: InputSpace = shares.space
        whole = bool(space.numeric.all() and (space.steps == 1).all())
        if whole and rows.dtype != np.uint8 and space.low.min() >= 0 and space.high.max() <= 255:
            small = fixed(rows.astype(np.uint8))
            rows = small if np.array_equal(small, rows) else rows
        shares.__dict__[self.name] = rows


@dataclass(frozen=True)
class Shares:
    """One data set in three disjoint shares: the defender's, the attacker's, the judge's.

    Rows of 8-bit images are kept in bytes (see `packed`); to everybody else they are float64.
    """

    space: InputSpace
    classes: tuple[str, ...]
    x_train: Array
    y_train: Labels
    pool: Array  # the attacker's; it knows the inputs, not their labels
    x_test: Array
    y_test: Labels
    provenance: Mapping[str, Any] = field(default_factory=dict)  # name, sha256, rows dropped, ...
    test_rows: Rows | None = None  # which rows of the table the judge's are
    y_pool: Labels | None = None  # the pool's true labels: for baselines, never for an attack
    outliers: Array | None = None  # the defender's: inputs of no class, disjoint from the pool
    foreign: Array | None = None  # the judge's, of other data: in none of the other shares

    def packed(self, name: str) -> NDArray[Any]:
        """(n, d) the rows of `x_train`, `pool` or `x_test` as they are kept, not widened."""
        rows: NDArray[Any] = self.__dict__[name]
        return rows


for _rows in ("x_train", "pool", "x_test"):
    setattr(Shares, _rows, Kept(_rows))


@dataclass(frozen=True)
class Victim:
    """A fitted model behind an API.

    Args:
        shares: the data, with the input space and the classes.
        predict: (n, d) rows to their Reply; the rows are never written to.
        family: what kind of model it is (`softmax`, `mlp`, ...), if the service publishes it.
        architecture: what else the service publishes: hidden units, activation, kernel.
        partial: whether it answers rows in which features are left out (NaN).
        full: whether its outputs are whole distributions; False where it tells of some classes
            only, as a service does that answers the confidence of its label.
        judged: how many rows the judge may ask, of a service where each costs; None is any number.

    A regression victim has the one class `value`, labels of 0, and outputs (n, 1).

    Raises:
        ValueError: its answers are no labels or no probabilities; see `reply_problem`.
    """

    shares: Shares
    predict: Predict
    family: str | None = None
    architecture: Mapping[str, Any] = field(default_factory=dict)
    partial: bool = False
    full: bool = True
    judged: int | None = None
    confidences: bool = field(init=False)  # whether it answers outputs beside the labels
    tested: Reply = field(init=False, repr=False, compare=False)  # on the test data; see `WIDE`

    def __post_init__(self) -> None:
        n = MANY if self.judged is None else FEW
        uniform = self.space.sample(n, np.random.default_rng(0))
        replies = []
        for where, x in (("the test data", self.shares.x_test), ("uniform inputs", uniform)):
            replies.append(reply := deepcopy(self.predict(x)))
            if problem := reply_problem(reply, len(x), len(self.classes), full=self.full):
                raise ValueError(f"on {where}, the victim's {problem}")
        object.__setattr__(self, "confidences", reply.outputs is not None)
        wide, tested = len(self.classes) > WIDE, replies[0]
        object.__setattr__(self, "tested", Reply(tested.labels) if wide else tested)

    @property
    def space(self) -> InputSpace:
        """The inputs that it takes."""
        return self.shares.space

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes, in the order of its outputs."""
        return self.shares.classes

    def require_outputs(self, who: str) -> None:
        """Raise NotApplicable unless it answers outputs beside its labels; `who` asks for them."""
        if not self.confidences:
            raise NotApplicable(
                f"{who} acts on confidences, and this victim answers labels only; choose a victim "
                f"that answers confidences, or leave {who} out"
            )

    def require_training_rows(self, who: str) -> None:
        """Raise NotApplicable unless there are two rows at least to train a model of `who` on."""
        if (n := len(self.shares.x_train)) < 2:
            raise NotApplicable(
                f"{who} trains a model on the defender's data, and this victim has {n} training "
                f"rows; choose another data set, or leave {who} out"
            )

    def require_probabilities(self, who: str, *, classes: int = 2, full: bool = False) -> None:
        """Raise NotApplicable unless it answers probabilities of so many classes, `full` of all."""
        self.require_outputs(who)
        k = len(self.classes)
        if k == 1:
            raise NotApplicable(
                f"{who} acts on class probabilities, and this victim answers the value of a "
                "regression; choose a classifier, or rounding, significant_digits or gaussian_noise"
            )
        if k < classes:
            raise NotApplicable(
                f"{who} needs at least {classes} classes, and this victim has {k}; choose another "
                f"data set, or leave {who} out"
            )
        if full and not self.full:
            raise NotApplicable(
                f"{who} needs whole distributions, and this victim tells the confidence of some "
                f"classes only; choose another victim, or leave {who} out"
            )


def reply_problem(reply: object, n: int, k: int, *, full: bool = True, least: float = 0.0) -> str:
    """Say why a model's answers to n rows are no labels and probabilities; '' where they are.

    Of k classes (1 is regression, whose outputs are any finite numbers), none below `least`; they
    sum to one within `SIMPLEX_TOLERANCE`, or where they are not `full`, to one at most.
    """
    if not isinstance(reply, Reply):
        return f"answer must be a Reply, got a {type(reply).__name__}; give Reply(labels, outputs)"
    labels, outputs = reply.labels, reply.outputs
    if form := _other_form(labels, "iu", (n,)):
        return f"labels must be class indices, integers of shape ({n},), got {form}"
    if n and not 0 <= labels.min() <= labels.max() < k:
        return f"labels must lie in 0..{k - 1}, got {labels.min()} to {labels.max()}"
    if outputs is None:
        return ""
    if form := _other_form(outputs, "f", (n, k)):
        return f"outputs must be floats of shape ({n}, {k}), one a class, got {form}"
    if k == 1:
        return "" if np.isfinite(outputs).all() else "values must be finite, got NaN or infinity"
    excess = outputs.sum(axis=1) - 1
    off = np.abs(excess) if full else np.maximum(excess, 0.0)
    bad = ~((off <= SIMPLEX_TOLERANCE) & (outputs >= least).all(axis=1))
    if not bad.any():
        return ""
    row = int(np.argmax(np.where(np.isnan(off), np.inf, off) + bad))
    return (
        f"outputs must be probabilities >= 0 that sum to 1{'' if full else ' at most'}, got row "
        f"{row} with sum {outputs[row].sum():.6g} and least entry {outputs[row].min():.3g}; divide "
        "each row by its sum, or apply a softmax where they are scores (victim.link=softmax)"
    )


def _other_form(array: object, kinds: str, shape: tuple[int, ...]) -> str:
    """Say what an array is, unless it is a plain one of a dtype of these kinds and this shape."""
    if type(array) is not np.ndarray:  # a subclass may compare as it likes
        return f"a {type(array).__name__}"
    fits = array.dtype.kind in kinds and array.shape == shape
    return "" if fits else f"{array.dtype} of shape {array.shape}"
