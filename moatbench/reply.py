"""The answers to a batch of queries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from moatbench.types import Array, Labels, Mask, Rows


@dataclass(frozen=True)
class Reply:
    """What a model answers to n rows.

    The label is a field of its own, never recomputed from rounded or perturbed outputs: rounding
    breaks ties, and a label-preserving defense must be able to say so.

    Args:
        labels: (n,) class indices.
        outputs: (n, k) class probabilities (k = 1: a regression value); a row of NaN gives the
            label only; None where no row has outputs.
        path: (n, d) the features tested on the way to the answer, where a service tells.
        refused: (n,) rows that a defense, having seen the answer, will not give out; None is none.
    """

    labels: Labels
    outputs: Array | None = None
    path: Array | None = None
    refused: Mask | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Mask) -> "Reply":
        """Return the reply to some of the rows."""
        given = self.labels, self.outputs, self.path, self.refused
        return Reply(*(None if f is None else f[rows] for f in given))  # type: ignore[arg-type]

    def put(self, rows: Mask, other: "Reply") -> "Reply":
        """Return this reply with the answers to some rows replaced by those of `other`."""
        n, k = len(self), (self.outputs if self.outputs is not None else other.outputs)
        outputs = None if k is None else _filled(self.outputs, (n, k.shape[1]))
        if outputs is not None:
            outputs[rows] = np.nan if other.outputs is None else other.outputs
        path = None if self.path is None else self.path.copy()
        if path is not None:
            path[rows] = np.nan if other.path is None else other.path
        labels = self.labels.copy()
        labels[rows] = other.labels
        refused = np.zeros(n, bool) if self.refused is None else self.refused.copy()
        refused[rows] = False if other.refused is None else other.refused
        return Reply(labels, outputs, path, refused)

    def with_outputs(self, outputs: Array | None) -> "Reply":
        """Return the same labels with other outputs."""
        return replace(self, outputs=outputs)

    def perturbed(self, change: Callable[[Rows, Array], Array], *, keep_labels: bool) -> "Reply":
        """Return the reply with its outputs changed, where a row has any.

        Args:
            change: turns (m,) rows with outputs, and these outputs (m, k), into other outputs.
            keep_labels: whether labels stay; else they become the top classes of what is told.
        """
        if self.outputs is None:
            return self
        outputs, labels = self.outputs.copy(), self.labels.copy()
        rows = np.flatnonzero(has_outputs(outputs))
        outputs[rows] = change(rows, outputs[rows])
        if not keep_labels:
            labels[rows] = outputs[rows].argmax(axis=1)
        return replace(self, labels=labels, outputs=outputs)

    def refuse(self, rows: Mask) -> "Reply":
        """Return the same answers with some rows withheld."""
        return replace(self, refused=rows if self.refused is None else self.refused | rows)


Predict = Callable[[Array], Reply]


def from_outputs(outputs: Array) -> Reply:
    """Reply with probabilities and the label that they make largest (the first, in a tie)."""
    return Reply(outputs.argmax(axis=1).astype(np.int64), outputs)


def has_outputs(outputs: Array) -> Mask:
    """(n,) which rows of outputs (n, k) have any: a row of NaN gives the label only."""
    return np.asarray(~np.isnan(outputs).any(axis=1))


def concatenated(replies: Sequence[Reply]) -> Reply:
    """Return the answers to several batches as one; a batch of labels only leaves rows of NaN.

    The path is kept where every batch tells one; what was refused is not.
    """
    k = next((r.outputs.shape[1] for r in replies if r.outputs is not None), None)
    outputs = [] if k is None else [_filled(r.outputs, (len(r), k)) for r in replies]
    paths = [r.path for r in replies if r.path is not None]
    return Reply(
        np.concatenate([r.labels for r in replies] or [np.empty(0, np.int64)]),
        np.concatenate(outputs) if outputs else None,
        np.concatenate(paths) if paths and len(paths) == len(replies) else None,
    )


def _filled(array: Array | None, shape: tuple[int, int]) -> Array:
    return np.full(shape, np.nan) if array is None else array.copy()
