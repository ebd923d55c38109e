"""A surrogate that is put aside until the last purchase, and what it answered when it was."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from moatbench.api import PredictionAPI
from moatbench.client import Surrogate
from moatbench.judge.checked import answers
from moatbench.reply import Reply
from moatbench.types import Array, Generator, Mask
from moatbench.victim import Victim

PROBES = 64  # rows of our own that it is asked when it is yielded, and again at the end
UNIFORM, POOL = 2000, 1000  # rows like those that it is judged on: how many it has right then
CHANCE = 1e-5  # that luck alone makes it so much better on the rows that it is judged on
PROBED = "rows that nobody is judged on"
SAME = 1e-6


@dataclass(frozen=True)
class Held:
    """A surrogate, some rows that nobody is judged on, and what it answered to them.

    Args:
        surrogate: to be judged later.
        rows: that it is asked again then.
        before: what it answered.
        victim: whose surrogate it is.
        had: by sample, whether it had rows right that are drawn as those of the sample are.
    """

    surrogate: Surrogate
    rows: Array
    before: Reply
    victim: Victim
    had: Mapping[str, Mask] = field(default_factory=dict)

    @classmethod
    def of(cls, surrogate: Surrogate, victim: Victim, rng: Generator) -> "Held":
        """Ask it half uniform rows, half rows between two of the pool, which look like data.

        Raises:
            BrokenAttack: what it answers is no answer.
        """
        space, pool = victim.space, victim.shares.pool
        rows = space.sample(PROBES, rng)
        if len(pool):
            half = PROBES // 2
            one, two = pool[rng.integers(len(pool), size=(2, half))]
            share = np.where(space.numeric, rng.uniform(size=(half, 1)), 0.0)
            rows[:half] = (1 - share) * one + share * two
        return cls(surrogate, rows, answers(surrogate, rows, PROBED, victim), victim)

    def counted(self, rng: Generator) -> "Held":
        """Count what it has right now, of rows drawn as those are that it will be judged on.

        One that recognised rows which it was asked before could answer these as it did, and all
        others by what the attack has learnt since. What an attack bought of its pool can only raise
        the count. Services, whose rows cost, and regression models are not asked.
        """
        victim, shares = self.victim, self.victim.shares
        if victim.judged is not None or len(victim.classes) == 1:
            return self
        alike = {"uniform": victim.space.sample(UNIFORM, rng)}
        if shares.y_pool is not None:  # of the same data as the test rows
            alike["test"] = rng.permutation(shares.pool)[:POOL]
        had = {
            name: answers(self.surrogate, x, PROBED, victim).labels == victim.predict(x).labels
            for name, x in alike.items()
            if len(x)
        }
        return replace(self, had=had)

    def excess(self, judged: Mapping[str, tuple[float, int]]) -> str:
        """Say on which sample it has more right than it had of rows alike; '' where chance does.

        Args:
            judged: by sample, the share that it has right, and of how many rows.
        """
        from scipy.stats import hypergeom  # heavy, and for few attacks

        for name, had in self.had.items():
            share, n = judged[name]
            now, then = round(share * n), int(had.sum())
            if hypergeom.cdf(then, n + len(had), now + then, len(had)) < CHANCE:
                return (
                    f"{100 * share:.1f} % of the {name} rows that it is judged on right, and had "
                    f"{100 * then / len(had):.1f} % of {len(had)} rows alike when it was yielded"
                )
        return ""

    def has_changed(self) -> bool:
        """Whether it answers the same rows otherwise now."""
        now = answers(self.surrogate, self.rows, PROBED, self.victim)
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
