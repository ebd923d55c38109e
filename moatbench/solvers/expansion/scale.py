"""Answers on the scale on which trees add up, and back."""

from dataclasses import dataclass

import numpy as np

from moatbench.models.forward import logistic, softmax
from moatbench.solvers.readings import EXACT, completed, decimals, in_single
from moatbench.types import Array, Mask

FLOOR = 1e-8  # of exact answers, what is as good as zero
SINGLE = 2.0**-22  # of answers in single precision, relative: sums of trees lose two bits
# Half of a step of answers, beyond which they are no rounded values to an attacker: log-odds tell
# no terms apart then, and a tree or a forest may answer in such steps of its own
COARSEST = 0.5e-3
DIGITS = 12  # of a share of trees
FAINT = 1e-300  # a probability that is not told is not known


@dataclass(frozen=True)
class Scale:
    """What trees add to: log-odds, centred log-probabilities, or the outputs themselves.

    Args:
        k: classes; 1 is a regression.
        logs: whether it is logarithms.
        step: half of what two answers may differ by and still be told alike, in probability.
        single: whether answers come in single precision.
        full: whether they are whole distributions.
        linked: whether a link in double precision made them of scores in single precision.
        parts: whether entries of shares are withheld, and 0 in their place.
    """

    k: int
    logs: bool
    step: float = 0.0
    single: bool = False
    full: bool = True
    linked: bool = False
    parts: bool = False

    @classmethod
    def of(cls, outputs: Array, logs: bool, full: bool = True, cut: bool = False) -> "Scale":
        """Return the scale that (n, k) outputs speak for, n at least 1.

        `cut` says that entries of shares may be withheld: sums are below one then, and never above,
        as those of rounded ones are.

        Grown trees answer 0 and 1, and forests shares of their trees. Even where such answers are
        rounded ones, those of a tree are a tree's again.
        """
        places = decimals(outputs)
        step = 0.0 if places is None else 0.5 * 10.0**-places
        if not logs and step > COARSEST:
            step = 0.0
        # A service may add 1 - p to the p of its model
        short = (outputs == outputs.astype(np.float32)).all(axis=0)
        single = places is None and bool(short.any())
        linked = logs and full and places is None and not single and in_single(outputs)
        over, shares = outputs.sum(axis=1) - 1, full and not logs and outputs.shape[1] > 1
        parts = cut and shares and bool((over <= EXACT).all() and (over < -EXACT).any())
        return cls(outputs.shape[1], logs and full, step, single, full, linked, parts)

    @property
    def blurred(self) -> bool:
        """Whether answers are known up to errors of rounding alone."""
        return self.step > 0 or self.single or self.linked

    @property
    def width(self) -> int:
        """Numbers of an answer."""
        return 1 if self.k == 1 or (self.k == 2 and self.full) else self.k

    def read(self, outputs: Array) -> tuple[Array, Array]:
        """(n, width) answers on this scale, and (n,) how far from the truth they may be."""
        relative = SINGLE if self.single else 0.0
        if not self.logs:
            told = self._filled(outputs) if self.parts else outputs
            error = FLOOR + self.step + relative * np.abs(outputs).max(axis=1)
            if self.parts:
                error = np.where((told != outputs).any(axis=1), self.k * error, error)
                error[~outputs.any(axis=1)] = np.inf
            return told[:, -self.width :], error
        told = completed(outputs)
        p = np.maximum(told, self.step / 2 or FAINT)
        logs = np.log(p)
        error = ((self.step + relative * p.max(axis=1, keepdims=True)) / p).max(axis=1)
        error[(told <= 0).any(axis=1)] = np.inf
        if self.single or self.linked:
            relative = SINGLE
            error = error + relative * np.abs(logs).max(axis=1)
        if self.k == 2:
            return logs[:, 1:] - logs[:, :1], FLOOR + error
        return logs - logs.mean(axis=1, keepdims=True), FLOOR + error

    def partial(self, outputs: Array) -> Mask:
        """(n,) of which answers two entries or more are withheld: no value of theirs is known."""
        if not self.parts:
            return np.zeros(len(outputs), bool)
        return np.asarray(completed(outputs).sum(axis=1) < 1 - EXACT - self.k * self.step)

    def _filled(self, outputs: Array) -> Array:
        """(n, k) with what is left of one in place of withheld entries, in equal shares."""
        told, missing = completed(outputs), outputs == 0
        rest = (1 - outputs.sum(axis=1)) / np.maximum(missing.sum(axis=1), 1)
        return np.where(missing & self.partial(outputs)[:, None], rest[:, None], told)

    def scores(self, totals: Array) -> Array:
        """(n, k) totals of each class, the largest of which is the label's."""
        if self.width > 1 or self.k == 1:
            return totals
        return np.hstack([-totals if self.logs else 1 - totals, totals])

    def outputs(self, totals: Array) -> Array:
        """(n, k) outputs that answers on this scale stand for."""
        if self.logs:
            return logistic(totals) if self.k == 2 else softmax(totals)
        if self.k == 1:
            return totals
        told = totals if self.width > 1 else np.hstack([1 - totals, totals])
        p = np.clip(np.round(told, DIGITS), 0.0, 1.0)  # a tie of the model is one here
        total = p.sum(axis=1, keepdims=True)
        if not self.full:
            return np.asarray(p / np.maximum(total, 1))
        return np.asarray(np.where(total > 0, p / np.where(total > 0, total, 1), 1 / self.k))
