"""Boosted regression trees on answers: what is learnt where nothing is solved."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.types import Array

ROUNDS, MANY = 400, 120  # of one number, and of each of several
FIRST = 30  # rounds, and one more for each answer while they are few
RATE, LEAVES = 0.1, 16


@dataclass(frozen=True)
class Boosted:
    """One booster a number of the answer."""

    models: tuple[Any, ...]

    @classmethod
    def fit(cls, x: Array, targets: Array) -> "Boosted":
        """Fit to (n, m) inputs and (n, k) targets."""
        from sklearn.ensemble import HistGradientBoostingRegressor

        rounds = min(ROUNDS if targets.shape[1] <= 2 else MANY, FIRST + len(x))
        knobs = {"max_iter": rounds, "learning_rate": RATE, "max_leaf_nodes": LEAVES}
        knobs |= {"min_samples_leaf": 1, "early_stopping": False, "random_state": 0}
        models = [HistGradientBoostingRegressor(**knobs).fit(x, column) for column in targets.T]
        return cls(tuple(models))

    def __call__(self, x: Array) -> Array:
        """(n, k) predictions."""
        return np.column_stack([model.predict(x) for model in self.models])
