"""Gradient boosting on bought answers, by scikit-learn's histograms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

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


class Growth(NamedTuple):
    """How trees grow: for how many rounds, to which size, on which share of the columns."""

    rounds: int
    sampled: float = 1.0
    leaves: int = LEAVES
    least: int = 1  # answers in a leaf


# A forest is met by a mean. Trees that see few columns, as its own do, and fit every answer err
# elsewhere than such as see all, and smooth over what single trees of the forest knew by heart.
BROAD = Growth(100, leaves=31, least=20), Growth(200, leaves=31, least=10)
FOREST = *(Growth(ROUNDS, SAMPLED) for _ in range(2)), *BROAD
FOREST_EACH = Growth(ROUNDS_EACH, SAMPLED), BROAD[0]
# Labels of two classes too: what one grows of chance around a boundary, another does not
LABELS = Growth(LABEL_ROUNDS[0]), *(Growth(LABEL_ROUNDS[0], SAMPLED) for _ in range(2)), BROAD[0]
# A few answers leave many classes' trees much to chance, and a mean of two kinds less; of 2,000 on,
# those that see all columns are the better ones alone (digits, three seeds)
FEW = 1000


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
        mixed: bool = False,
    ) -> "Boosted":
        """Grow.

        Args:
            a: (n, m) rows.
            targets: (n, k) soft labels.
            scale: as for the class.
            rounds: trees in each column, at most.
            names: columns of a that hold names.
            mixed: whether shares, and few answers of many classes, are learnt by boosters of
                several kinds; else by one, whose trees, of shares, each see some columns, as a
                forest's do.
        """
        from sklearn.ensemble import HistGradientBoostingRegressor

        def grown(column: Array, growth: Growth, seed: int) -> Any:
            return HistGradientBoostingRegressor(
                max_iter=min(growth.rounds, rounds),
                learning_rate=RATE,
                max_leaf_nodes=growth.leaves,
                min_samples_leaf=growth.least,
                categorical_features=list(names) or None,
                max_features=growth.sampled,
                early_stopping=False,
                random_state=seed,
            ).fit(a, column)

        kinds: tuple[Growth, ...] = (Growth(rounds, SAMPLED if scale == SHARES else 1.0),)
        if mixed and scale == SHARES:
            kinds = FOREST if targets.shape[1] == 2 else FOREST_EACH
        elif mixed and targets.shape[1] > 2 and len(a) < FEW:
            kinds = kinds[0], Growth(rounds, SAMPLED)
        return cls(
            scale,
            tuple(
                tuple(grown(column, growth, seed) for seed, growth in enumerate(kinds))
                for column in scores_of(targets, scale).T
            ),
        )

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences."""
        scores = [np.mean([b.predict(a) for b in each], axis=0) for each in self.columns]
        return outputs_of(np.column_stack(scores), self.scale)

    def staged(self, a: Array) -> Iterator[tuple[int, Array]]:
        """Yield, at every so many rounds, their number and what the first say so far: (n, k)."""
        stages = zip(*(each[0].staged_predict(a) for each in self.columns), strict=True)
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
        models: scikit-learn's, whose mean scores count.
        k: classes, some of which it may not have met.
        temperature: what its log-odds are divided by.
    """

    models: tuple[Any, ...]
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
        mixed: bool = False,
    ) -> "Classified":
        """Grow.

        Args:
            a: (n, m) rows.
            labels: (n,), of which there are two at least.
            k: classes.
            names: columns of a that hold names.
            seed: draws the columns that splits choose from.
            rounds: trees of each class; None is what the number of classes asks for.
            mixed: whether two classes are learnt by classifiers of several kinds; else by one.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        one = Growth(rounds or LABEL_ROUNDS[k > 2], SAMPLED if k > 2 else 1.0)
        kinds = LABELS if mixed and k == 2 else (one,)

        def grown(growth: Growth, seed: int) -> Any:
            return HistGradientBoostingClassifier(
                max_iter=growth.rounds,
                learning_rate=RATE,
                max_leaf_nodes=growth.leaves,
                min_samples_leaf=growth.least,
                max_features=growth.sampled,
                categorical_features=list(names) or None,
                early_stopping=False,
                random_state=seed,
            ).fit(a, labels)

        return cls(tuple(grown(growth, seed + i) for i, growth in enumerate(kinds)), k)

    @property
    def classes(self) -> Labels:
        """Which classes it has met, in order."""
        met: Labels = self.models[0].classes_
        return met

    def scores(self, a: Array) -> Array:
        """(n, classes met) scores, of which the confidences are a softmax."""
        raw = np.mean([model.decision_function(a) for model in self.models], axis=0)
        return np.column_stack([-raw / 2, raw / 2]) if raw.ndim == 1 else raw

    def outputs(self, a: Array) -> Array:
        """(n, k) confidences."""
        out = np.zeros((len(a), self.k))
        out[:, self.classes] = softmax(self.scores(a) / self.temperature, axis=1)
        return out
