"""From what an endpoint told of rows to replies with the data's classes."""

from collections.abc import Iterable, Mapping, Sequence
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
ODD = (ValueError, TypeError, KeyError, IndexError, OverflowError)  # of what is read into arrays
CLOSE = 1e-6  # how far answers to one row may lie apart: replicas round otherwise


@dataclass(frozen=True)
class Reading:
    """How answers are read, found out from the first of them.

    Args:
        k: number of classes.
        labels: form of labels; None where none are told beside the outputs.
        outputs: form of outputs; None where there are labels alone.
        keys: of the outputs, where they come as objects.
        binary: `p1` where a number is the probability of the last class.
        full: whether outputs are whole distributions.
        names: of the features, in the order of columns, where each has one.
        width: numbers that outputs of a row hold.
    """

    k: int
    labels: Form | None
    outputs: Form | None
    keys: tuple[str, ...] = ()
    binary: str | None = None
    full: bool = True
    names: tuple[str, ...] = ()
    width: int = 0

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
        try:
            return cls._of(told, classes, known, binary)
        except (KeyError, TypeError, IndexError, OverflowError) as error:
            raise ValueError(
                f"the service must answer each row in one form, which holds probabilities or "
                f"labels; got one that is not read ({_why(error)})"
            ) from None

    @classmethod
    def _of(
        cls,
        told: Sequence[Told],
        classes: Sequence[str],
        known: Sequence[str] | None,
        binary: str | None,
    ) -> "Reading":
        labels = outputs = None
        keys: tuple[str, ...] = ()
        width = 0
        if all(one.outputs is not None for one in told):
            if isinstance(told[0].outputs, Mapping):
                keys = tuple(known or told[0].outputs)
                known = keys
            raw = _as_array([one.outputs for one in told], keys, binary)
            outputs, width = form_of(raw, known, classes), _width(raw)
        if all(one.label is not None for one in told):
            labels = form_of(np.asarray([one.label for one in told]), known, classes)
        return cls(len(classes), labels, outputs, keys, binary, width=width)

    @property
    def confidences(self) -> bool:
        """Whether there are outputs, and not labels alone."""
        return self.outputs is not None and bool(self.outputs.order)

    def reply(self, told: Sequence[Told]) -> Reply:
        """Return what was told to rows as a Reply.

        Raises:
            Unreadable: it has another form than before, or holds no probabilities.
        """
        if not told:
            none = np.empty((0, self.k)) if self.confidences else None
            return Reply(np.empty(0, np.int64), none)
        with np.errstate(invalid="ignore"):  # of infinities: the problem is told
            try:
                found = self._reply(told)
            except ODD as error:
                what = f"has another form than before ({_why(error)})"
                raise Unreadable(f"the answer {what}") from None
            if problem := reply_problem(found, len(told), self.k, full=self.full):
                raise Unreadable(f"the service's {problem}")
        return found

    def some(self, told: Sequence[Told]) -> Reply:
        """Return what a defended service told: rows refused, labels alone, confidences as they are.

        Raises:
            Unreadable: it has another form than before.
        """
        n, labels = len(told), np.zeros(len(told), np.int64)
        whole = np.array([_is_whole(one.outputs) for one in told], dtype=bool)
        bare = np.array([one.label is not None for one in told], dtype=bool) & ~whole
        outputs = np.full((n, self.k), np.nan) if self.confidences else None
        try:
            for rows, form in ((bare, self.labels), (whole, self.outputs)):
                if not rows.any():
                    continue
                if form is None:
                    raise ValueError("rows with another kind of answer")
                few = [one for one, taken in zip(told, rows, strict=True) if taken]
                if form is self.labels:
                    labels[rows] = form.reply(np.asarray([one.label for one in few])).labels
                    continue
                found = form.reply(self._raw(few))
                labels[rows] = found.labels
                if outputs is not None and found.outputs is not None:
                    outputs[rows] = found.outputs
                if self.labels is not None:
                    own = np.asarray([one.label for one in few])
                    labels[rows] = self.labels.reply(own).labels
            given = whole | bare
            path = self._path(told) if given.all() else None
        except ODD as error:
            raise Unreadable(f"the answer has another form than before ({_why(error)})") from None
        return Reply(labels, outputs, path, refused=~given)

    def _reply(self, told: Sequence[Told]) -> Reply:
        labels = None
        if self.labels is not None:
            labels = self.labels.reply(np.asarray([one.label for one in told])).labels
        if self.outputs is None:
            assert labels is not None
            return Reply(labels, path=self._path(told))
        found = self.outputs.reply(self._raw(told))
        if found.outputs is None:
            return found
        # Its own label where it tells one: in a tie no argmax knows it
        outputs = _whole(found.outputs) if self.full else found.outputs
        return Reply(found.labels if labels is None else labels, outputs, self._path(told))

    def _raw(self, told: Sequence[Told]) -> Any:
        """Return the outputs of rows, of which each holds as many numbers as the first answers."""
        raw = _as_array([one.outputs for one in told], self.keys, self.binary)
        if _width(raw) != self.width:
            raise ValueError(f"a row of {_width(raw)} in place of {self.width}")
        return raw

    def _path(self, told: Sequence[Told]) -> Array | None:
        """(n, d) 1 for each feature tested on the way, else 0; None unless all rows tell."""
        if not self.names or any(one.fields is None for one in told):
            return None
        tested = np.zeros((len(told), len(self.names)))
        for row, one in enumerate(told):
            tested[row, [self.names.index(name) for name in one.fields]] = 1.0
        return tested


def gap_between(reading: Reading, one: Sequence[Told], other: Sequence[Told]) -> float:
    """How far answers lie apart: the largest difference of outputs, 1 for other labels; 0 close."""
    a, b = reading.reply(one), reading.reply(other)
    if a.outputs is None or b.outputs is None:
        return float((a.labels != b.labels).any())
    gap = float(np.abs(a.outputs - b.outputs).max(initial=0.0))
    return gap if gap > CLOSE else 0.0


def _why(error: Exception) -> str:
    return f"no {error} in it" if isinstance(error, KeyError) else str(error)


def _is_whole(outputs: Any) -> bool:
    """Whether a row has outputs, and no null in their places."""
    values = outputs.values() if isinstance(outputs, Mapping) else outputs
    if isinstance(values, str) or not isinstance(values, Iterable):
        return values is not None
    return all(value is not None for value in values)


def _as_array(outputs: Sequence[Any], keys: Sequence[str], binary: str | None) -> Any:
    """(n, k) probabilities, or (n,) whatever stands there alone."""
    if keys:
        outputs = [[row[key] for key in keys] for row in outputs]
    if isinstance(outputs[0], list):
        try:
            values = np.array(outputs, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"rows must be numbers, as many in each ({error})") from None
        if keys:
            return values
        return values if values.shape[-1] > 1 or binary != P1 else _pair(values[:, 0])
    return _pair(np.array(outputs, dtype=np.float64)) if binary == P1 else np.asarray(outputs)


def _width(raw: Any) -> int:
    return raw.shape[1] if raw.ndim > 1 else 1


def _pair(p: Array) -> Array:
    return np.column_stack([1 - p, p])


def _whole(outputs: Array) -> Array:
    """Make rounded probabilities sum to one; what does so to the tolerance stays as it is."""
    total = outputs.sum(axis=1, keepdims=True)
    off = np.abs(total - 1)
    rounded = (off > SIMPLEX_TOLERANCE) & (off <= OFF)
    return np.where(rounded, outputs / np.where(rounded, total, 1.0), outputs)
