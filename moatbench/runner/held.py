"""A surrogate that is put aside until the last purchase, and what it answered when it was."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Surrogate
from moatbench.reply import Reply
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

PROBES = 64  # rows of our own that it is asked when it is yielded, and again at the end
SAME = 1e-6


@dataclass(frozen=True)
class Held:
    """A surrogate, some rows that nobody is judged on, and what it answered to them."""

    surrogate: Surrogate
    rows: Array
    before: Reply

    @classmethod
    def of(cls, surrogate: Surrogate, space: InputSpace, pool: Array, rng: Generator) -> "Held":
        """Ask it half uniform rows, half rows between two of the pool, which look like data."""
        rows = space.sample(PROBES, rng)
        if len(pool):
            half = PROBES // 2
            one, two = pool[rng.integers(len(pool), size=(2, half))]
            share = np.where(space.numeric, rng.uniform(size=(half, 1)), 0.0)
            rows[:half] = (1 - share) * one + share * two
        return cls(surrogate, rows, surrogate.predict(rows))

    def has_changed(self) -> bool:
        """Whether it answers the same rows otherwise now."""
        now = self.surrogate.predict(self.rows)
        return not (
            _same([self.before.labels, now.labels]) and _same([self.before.outputs, now.outputs])
        )


def copied(surrogate: Surrogate, api: PredictionAPI) -> Surrogate:
    """Return a surrogate that later training does not change, where Python can copy it.

    The API is left out of the copy: a second one would have a meter of its own.
    """
    try:
        return replace(surrogate, predict=deepcopy(surrogate.predict, {id(api): api}))
    except Exception:  # a surrogate may be anybody's code
        return surrogate


def _same(answers: Sequence[Any]) -> bool:
    one, two = (None if a is None else np.asarray(a) for a in answers)
    if one is None or two is None:
        return one is two
    if one.shape != two.shape or one.dtype.kind not in "biuf" or two.dtype.kind not in "biuf":
        return np.array_equal(one, two)
    return bool(np.allclose(one, two, rtol=0, atol=SAME, equal_nan=True))
