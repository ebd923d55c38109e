"""The answers that an attack bought, as its learners take them."""

import numpy as np

from moatbench.client import Answers, Card
from moatbench.types import Array, Labels


class Purchases:
    """The answers bought so far, in order."""

    def __init__(self, card: Card) -> None:
        d, self._k = card.space.d, len(card.classes)
        nothing = np.empty((0, d)), np.empty(0, np.intp), np.empty(0, np.int64)
        self._parts = [Answers(*nothing, np.empty((0, self._k)), None)]

    def add(self, answers: Answers) -> None:
        """Keep the answers to one more query."""
        self._parts.append(answers._replace(path=None))

    def __len__(self) -> int:
        return sum(len(part.labels) for part in self._parts)

    @property
    def x(self) -> Array:
        """(n, d) the inputs that were answered."""
        return self._all.x

    @property
    def labels(self) -> Labels:
        """(n,) the answered labels."""
        return self._all.labels

    @property
    def outputs(self) -> Array:
        """(n, k) the answered outputs; a row of NaN where only the label came."""
        told = self._all.outputs
        return np.full((len(self), self._k), np.nan) if told is None else told

    def targets(self, use_confidences: bool = True) -> Array:
        """(n, k) soft labels to train on: the outputs, or the label itself where there are none."""
        hard: Array = np.eye(self._k)[self.labels]
        if not use_confidences:
            return hard
        total = self.outputs.sum(axis=1, keepdims=True)
        # Rounded and truncated answers need not sum to one; some sum to nothing.
        np.divide(self.outputs, total, out=hard, where=total > 0)
        return hard

    @property
    def _all(self) -> Answers:
        """The answers as one; joined once, later calls find one part."""
        if len(self._parts) > 1:
            self._parts = [Answers.joined(self._parts)]
        return self._parts[0]
