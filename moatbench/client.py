"""A client reads a card, buys answers and makes a surrogate of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from moatbench.reply import Predict, Reply, concatenated
from moatbench.space import InputSpace
from moatbench.types import Array, Labels, Mask, Rows


@dataclass(frozen=True)
class Card:
    """What a client knows before the first query: the API's documentation.

    `full` says that the outputs are whole distributions, `partial` that features may be left out.
    """

    space: InputSpace
    classes: tuple[str, ...]
    price: float
    confidences: bool
    partial: bool
    family: str | None = None
    architecture: Mapping[str, Any] = field(default_factory=dict)
    full: bool = True

    @property
    def regression(self) -> bool:
        """Whether the answers are values, not classes."""
        return len(self.classes) == 1


class BudgetExceeded(ValueError):
    """An attack asked for more queries than it has left."""


class InvalidQuery(ValueError):
    """A query that the API does not accept. Nothing was asked or billed."""


def numbers(x: object) -> Array:
    """Return a copy of a query's rows; raise InvalidQuery unless they are plain real numbers."""
    try:
        given, parts = np.asarray(x), x if isinstance(x, list | tuple) else [x]
        masked = any(np.ma.isMaskedArray(part) for part in parts)
        kind = "a masked array" if masked else str(given.dtype)
        if not masked and given.dtype.kind in "iuf":
            return np.array(given, dtype=np.float64)
    except Exception as error:  # ragged rows, a tensor with a gradient: anybody's object may raise
        kind = f"a {type(x).__name__} ({error})"
    raise InvalidQuery(f"a query must be an array of real numbers, got {kind:.300}; give floats")


def check_account(account: object) -> None:
    """Raise InvalidQuery unless an account is a short printable name."""
    if type(account) is not str or not 0 < len(account) <= 100 or not account.isprintable():
        rule = "an account must be a str of 1 to 100 printable characters"
        raise InvalidQuery(f"{rule}, got {account!r:.120}")


class Answers(NamedTuple):
    """The answered part of a query; refused rows are not in it.

    x (m, d) the rows that were answered, `rows` (m,) their places in the query, `labels` (m,),
    `outputs` (m, k) or None, a row of NaN where only the label came; `path` (m, d) or None.
    """

    x: Array
    rows: Rows
    labels: Labels
    outputs: Array | None
    path: Array | None

    @staticmethod
    def joined(parts: Sequence["Answers"]) -> "Answers":
        """Put the answers to several queries together, each with its rows as it counts them."""
        kept = [part for part in parts if len(part.x)] or parts[:1]
        reply = concatenated([Reply(part.labels, part.outputs, part.path) for part in kept])
        x = np.concatenate([part.x for part in kept])
        rows = np.concatenate([part.rows for part in kept])
        return Answers(x, rows, reply.labels, reply.outputs, reply.path)

    def take(self, some: slice | Rows) -> "Answers":
        """Return some of them."""
        outputs = None if self.outputs is None else self.outputs[some]
        path = None if self.path is None else self.path[some]
        return Answers(self.x[some], self.rows[some], self.labels[some], outputs, path)


@dataclass(frozen=True)
class Surrogate:
    """A stolen model.

    Args:
        predict: (n, d) rows to a Reply.
        parameters: what was recovered of the victim's own parameters, where the attack is exact.
        converged: whether the fit ran to its tolerance; a curve from fits that did not says so.
        note: how it was come by, in a few words.
        begun: False while nothing is fitted: still buying, or no answers to learn from.
        doubled: tells which held-out purchases it has right, as it is and after twice the steps.
        again: goes on from where it stands, to learn other answers to some of the same questions;
            or begins anew, and keeps what it had to choose before (a loss). None: it always does
            all of it anew.
    """

    predict: Predict
    parameters: Mapping[str, Array] = field(default_factory=dict)
    converged: bool = True
    note: str = ""
    begun: bool = True
    doubled: Callable[[], tuple[Mask, Mask]] | None = None
    again: Callable[[Answers, bool], "Surrogate"] | None = None
