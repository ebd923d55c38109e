"""Gradient boosting on bought answers, by scikit-learn's histograms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit, softmax

from moatbench.numerics.simplex import normalised
from moatbench.types import Array, Labels

LOG_ODDS, SHARES = "log_odds", "shares"
LEAVES, RATE = 16, 0.1
ROUNDS, ROUNDS_EACH = 400, 120  # for two classes, and a column of many
LABEL_ROUNDS = 200, 100  # the same where answers are labels
SAMPLED = 0.3  # of the columns, at each split, where there are many classes
STAGE = 20  # rounds between two looks at held-out answers
BELOW = 0.25  # where an answer of 0 is taken to lie, in units of the least answer above 0
TINY = 1e-9


def scores_of(targets: Array, scale: str) -> Array:
    """(n, c) what trees add up to: answers (n, k) on a scale on which the victim's trees add up.

    Args:
        targets: rows that sum to one.
        scale: `log_odds`, of two classes one column, of more the centred log-probabilities; or
            `shares`, the answers themselves.
    """
    if scale == SHARES:
        return targets[:, 1:] if targets.shape[1] == 2 else targets
    least = targets[targets > 0].min()
    logs: Array = np.log(np.clip(targets, max(BELOW * least, TINY), None))
    if targets.shape[1] == 2:
        return logs[:, 1:] - logs[:, :1]
    centred: Array = logs - logs.mean(axis=1, keepdims=True)
    return centred


def outputs_of(scores: Array, scale: str) -> Array:
    """(n, k) the answers that stand at these scores."""
    if scores.shape[1] == 1:
        one = expit(scores) if scale == LOG_ODDS else scores.clip(0, 1)
        return np.hstack([1 - one, one])
    if scale == LOG_ODDS:
        return np.asarray(softmax(scores, axis=1))
    return normalised(scores.clip(0) + TINY)


@dataclass(frozen=True)
class Boosted:
    """Regression trees that add up to confidences.

    Args:
        scale: on which they add up.
        columns: boosters for each column of the scores, whose mean counts.
    """

    scale: str
    columns: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(
        cls,
        a: Array,
        targets: Array,
        scale: str,
        rounds: int,
        names: Sequence[int] = (),
        copies: int = 1,
    ) -> "Boosted":
        """Grow.

        Args:
            a: (n, m) rows.
            targets: (n, k) soft labels.
            scale: as for the class.
            rounds: trees in each column.
            names: columns of a that hold names.
            copies: boosters for each column; shares are those of trees that each see some columns,
                as a forest's do.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        def grown(column: Array, seed: int) -> Any:
            return HistGradientBoostingRegressor(
                max_iter=rounds,
                learning_rate=RATE,
                max_leaf_nodes=LEAVES,
                min_samples_leaf=1,
                categorical_features=list(names) or None,
                max_features=SAMPLED if scale == SHARES else 1.0,
                early_stopping=False,
                random_state=seed,
            ).fit(a, column)

        columns = scores_of(targets, scale).T
        return cls(scale, tuple(tuple(grown(c, s) for s in range(copies)) for c in columns))

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences."""
        scores = [np.mean([c.predict(a) for c in copies], axis=0) for copies in self.columns]
        return outputs_of(np.column_stack(scores), self.scale)

    def staged(self, a: Array) -> Iterator[tuple[int, Array]]:
        """Yield, at every so many rounds, their number and what first copies say so far: (n, k)."""
        stages = zip(*(copies[0].staged_predict(a) for copies in self.columns), strict=True)
        for rounds, scores in enumerate(stages, 1):
            if rounds % STAGE == 0:
                yield rounds, outputs_of(np.column_stack(scores), self.scale)


def rounds_for(k: int) -> int:
    """Return the rounds that answers of k classes are worth."""
    return ROUNDS if k == 2 else ROUNDS_EACH


@dataclass(frozen=True)
class Classified:
    """Trees that add up to log-odds, grown on labels alone, and cooled by held-out ones.

    Args:
        model: scikit-learn's.
        k: classes, some of which it may not have met.
        temperature: what its log-odds are divided by.
    """

    model: Any
    k: int
    temperature: float = 1.0

    @classmethod
    def of(
        cls,
        a: Array,
        labels: Labels,
        k: int,
        names: Sequence[int],
        seed: int,
        rounds: int | None = None,
    ) -> "Classified":
        """Grow.

        Args:
            a: (n, m) rows.
            labels: (n,), of which there are two at least.
            k: classes.
            names: columns of a that hold names.
            seed: draws the columns that splits choose from.
            rounds: trees of each class; None is what the number of classes asks for.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        many = k > 2
        model = HistGradientBoostingClassifier(
            max_iter=rounds or LABEL_ROUNDS[many],
            learning_rate=RATE,
            max_leaf_nodes=LEAVES,
            min_samples_leaf=1,
            max_features=SAMPLED if many else 1.0,
            categorical_features=list(names) or None,
            early_stopping=False,
            random_state=seed,
        )
        return cls(model.fit(a, labels), k)

    def scores(self, a: Array) -> Array:
        """(n, classes met) scores, of which the confidences are a softmax."""
        raw = np.asarray(self.model.decision_function(a))
        return np.column_stack([-raw / 2, raw / 2]) if raw.ndim == 1 else raw

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences."""
        out = np.zeros((len(a), self.k))
        out[:, self.model.classes_] = softmax(self.scores(a) / self.temperature, axis=1)
        return out
