"""Answers on the scale on which trees add up, and back."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, softmax

from moatbench.types import Array

FLOOR = 1e-8  # of exact answers, what is as good as zero
SINGLE = 2.0**-22  # of answers in single precision, relative: sums of trees lose two bits
SURE = 0.3  # log-odds that are known no better than this tell nothing


@dataclass(frozen=True)
class Scale:
    """What trees add to: log-odds, centred log-probabilities, or the outputs themselves.

    Args:
        k: classes; 1 is a regression.
        logs: whether it is logarithms.
        step: half of what two answers may differ by and still be told alike, in probability.
        single: whether answers come in single precision.
    """

    k: int
    logs: bool
    step: float = 0.0
    single: bool = False

    @property
    def width(self) -> int:
        """Numbers of an answer."""
        return 1 if self.k <= 2 else self.k

    def read(self, outputs: Array) -> tuple[Array, Array]:
        """(n, width) answers on this scale, and (n,) how far from the truth they may be."""
        relative = SINGLE if self.single else 0.0
        if not self.logs:
            targets = outputs if self.k != 2 else outputs[:, 1:]
            return targets, FLOOR + self.step + relative * np.abs(outputs).max(axis=1)
        least = self.step / 2 or np.finfo(np.float64).tiny
        p = np.maximum(outputs, least)
        logs = np.log(p)
        error = ((self.step + relative) / p).max(axis=1)
        if self.single:
            error = error + relative * np.abs(logs).max(axis=1)
        if self.k == 2:
            return logs[:, 1:] - logs[:, :1], FLOOR + error
        return logs - logs.mean(axis=1, keepdims=True), FLOOR + error

    def outputs(self, totals: Array) -> Array:
        """(n, k) outputs that answers on this scale stand for."""
        if self.logs:
            return expit(np.hstack([-totals, totals])) if self.k == 2 else softmax(totals, axis=1)
        if self.k == 1:
            return totals
        p = np.hstack([1 - totals, totals]) if self.k == 2 else totals
        p = np.maximum(p, 0.0)
        total = p.sum(axis=1, keepdims=True)
        return np.where(total > 0, p / np.where(total > 0, total, 1), 1 / self.k)
