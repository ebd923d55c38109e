"""From what an endpoint told of rows to replies with the data's classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.formats.answers import Form, form_of
from moatbench.remote.mapping import Told, Unreadable
from moatbench.reply import Reply
from moatbench.types import Array
from moatbench.victim import SIMPLEX_TOLERANCE, reply_problem

OFF = 0.02  # how far the sum of rounded probabilities may be from 1
P1 = "p1"


@dataclass(frozen=True)
class Reading:
    """How answers are read, found out from the first of them.

    Args:
        k: number of classes.
        labels: form of labels; None where none are told beside the outputs.
        outputs: form of outputs; None where there are labels alone.
        keys: of the outputs, where they come as objects.
        binary: `p1` where a number is the probability of the last class.
    """

    k: int
    labels: Form | None
    outputs: Form | None
    keys: tuple[str, ...] = ()
    binary: str | None = None

    @classmethod
    def of(
        cls,
        told: Sequence[Told],
        classes: Sequence[str],
        known: Sequence[str] | None = None,
        binary: str | None = None,
    ) -> "Reading":
        """Find out how answers are read.

        Args:
            told: to some rows.
            classes: the data's.
            known: what the outputs stand for, in their order; None finds out.
            binary: see above.

        Raises:
            ValueError: they are neither probabilities nor labels of these classes.
        """
        labels = outputs = None
        keys: tuple[str, ...] = ()
        if all(one.outputs is not None for one in told):
            if isinstance(told[0].outputs, Mapping):
                keys = tuple(known or told[0].outputs)
                known = keys
            raw = _as_array([one.outputs for one in told], keys, binary)
            outputs = form_of(raw, known, classes)
        if all(one.label is not None for one in told):
            labels = form_of(np.asarray([one.label for one in told]), known, classes)
        return cls(len(classes), labels, outputs, keys, binary)

    @property
    def confidences(self) -> bool:
        """Whether there are outputs, and not labels alone."""
        return self.outputs is not None and bool(self.outputs.order)

    def reply(self, told: Sequence[Told]) -> Reply:
        """Return what was told to rows as a Reply.

        Raises:
            Unreadable: it has another form than before, or holds no probabilities.
        """
        try:
            found = self._reply(told)
        except (ValueError, TypeError, KeyError) as error:
            raise Unreadable(f"the answer has another form than before ({error})") from None
        if problem := reply_problem(found, len(told), self.k):
            raise Unreadable(f"the service's {problem}")
        return found

    def _reply(self, told: Sequence[Told]) -> Reply:
        labels = None
        if self.labels is not None:
            labels = self.labels.reply(np.asarray([one.label for one in told])).labels
        if self.outputs is None:
            assert labels is not None
            return Reply(labels)
        raw = _as_array([one.outputs for one in told], self.keys, self.binary)
        found = self.outputs.reply(raw)
        if found.outputs is None:
            return found
        # Its own label where it tells one: in a tie no argmax knows it
        return Reply(found.labels if labels is None else labels, _whole(found.outputs))


def _as_array(outputs: Sequence[Any], keys: Sequence[str], binary: str | None) -> Any:
    """(n, k) probabilities, or (n,) whatever stands there alone."""
    if keys:
        return np.array([[row[key] for key in keys] for row in outputs], dtype=np.float64)
    if isinstance(outputs[0], list):
        values = np.array(outputs, dtype=np.float64)
        return values if values.shape[-1] > 1 or binary != P1 else _pair(values[:, 0])
    return _pair(np.array(outputs, dtype=np.float64)) if binary == P1 else np.asarray(outputs)


def _pair(p: Array) -> Array:
    return np.column_stack([1 - p, p])


def _whole(outputs: Array) -> Array:
    """Make rounded probabilities sum to one; what does so to the tolerance stays as it is."""
    total = outputs.sum(axis=1, keepdims=True)
    off = np.abs(total - 1)
    rounded = (off > SIMPLEX_TOLERANCE) & (off <= OFF)
    return np.where(rounded, outputs / np.where(rounded, total, 1.0), outputs)
