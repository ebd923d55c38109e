"""Ensembles of trees on one-hot features: random forest and gradient boosting, by scikit-learn."""

from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.models import forward
from moatbench.models.forest import Forest, forest, forest_of_histograms
from moatbench.models.scaled import behind
from moatbench.numerics.simplex import normalised
from moatbench.reply import Reply, from_outputs
from moatbench.types import Array, Generator
from moatbench.victim import Victim

SEEDS = 2**31  # scikit-learn takes a seed of 32 bits


def random_forest(
    data: Dataset, rng: Generator, *, trees: int, leaves: int | None, min_samples_leaf: int
) -> Victim:
    """Train a random forest; its probabilities are the mean of its trees' class shares.

    Args:
        data: gives the shares.
        rng: splits the data, draws the trees' samples.
        trees: how many.
        leaves: of a tree, at most; None is as many as it takes.
        min_samples_leaf: training rows in a leaf, at least.

    Raises:
        ValueError: a knob is out of range.
    """
    check_whole("random_forest: trees", trees, 1)
    check_whole("random_forest: min_samples_leaf", min_samples_leaf, 1)
    if leaves is not None:
        check_whole("random_forest: leaves", leaves, 2, other="null for no limit")
    shares = data.shares(rng)
    from sklearn.ensemble import RandomForestClassifier  # heavy: after all that may be wrong

    model = RandomForestClassifier(
        n_estimators=trees,
        max_leaf_nodes=leaves,
        min_samples_leaf=min_samples_leaf,
        random_state=int(rng.integers(SEEDS)),
    )
    model.fit(shares.space.scaled(shares.x_train), shares.y_train)
    grown = [tree.tree_ for tree in model.estimators_]
    share: list[Array] = [g.value[:, 0, :] / g.value[:, 0, :].sum(axis=1)[:, None] for g in grown]
    mean = [s / trees for s in share]
    served = Ensemble(forest(grown, mean), np.zeros(len(shares.classes)), None)
    return Victim(shares, behind(shares.space, served), "random_forest")


def gradient_boosting(
    data: Dataset, rng: Generator, *, trees: int, leaves: int, learning_rate: float
) -> Victim:
    """Train gradient-boosted trees.

    Args:
        data: gives the shares.
        rng: splits the data, breaks ties between splits.
        trees: rounds of boosting; each adds a tree a class.
        leaves: of a tree, at most.
        learning_rate: weight of each tree, above 0.

    Raises:
        ValueError: a knob is out of range.
    """
    check_whole("gradient_boosting: trees", trees, 1)
    check_whole("gradient_boosting: leaves", leaves, 2)
    check_number("gradient_boosting: learning_rate", learning_rate, 0, above=True)
    shares = data.shares(rng)
    from sklearn.ensemble import GradientBoostingClassifier  # heavy: after all that may be wrong

    model = GradientBoostingClassifier(
        n_estimators=trees,
        max_leaf_nodes=leaves,
        max_depth=None,
        learning_rate=learning_rate,
        random_state=int(rng.integers(SEEDS)),
    )
    model.fit(shares.space.scaled(shares.x_train), shares.y_train)
    columns = model.estimators_.shape[1]  # a class each; one column of log-odds for two classes
    grown, steps = [], []
    for turn in model.estimators_:
        for column, regressor in enumerate(turn):
            step = np.zeros((regressor.tree_.node_count, columns))
            step[:, column] = learning_rate * regressor.tree_.value[:, 0, 0]
            grown.append(regressor.tree_)
            steps.append(step)
    summed = forest(grown, steps)
    # What boosting starts from is the same for all rows
    one = shares.space.scaled(shares.x_train[:1])
    start = model.decision_function(one) - summed.total(one)[0]
    link = "logistic" if columns == 1 else "softmax"
    served = behind(shares.space, Ensemble(summed, start.reshape(-1), link))
    return Victim(shares, served, "gradient_boosting")


def hist_gradient_boosting(
    data: Dataset,
    rng: Generator,
    *,
    trees: int,
    leaves: int,
    learning_rate: float,
    min_samples_leaf: int,
) -> Victim:
    """Train gradient-boosted trees on histograms, as LightGBM does.

    Args:
        data: gives the shares.
        rng: splits the data, draws what early stopping holds out.
        trees: rounds of boosting at most; each adds a tree a class.
        leaves: of a tree, at most.
        learning_rate: weight of each tree, above 0.
        min_samples_leaf: training rows in a leaf, at least.

    Above 10,000 training rows it stops early, where held-out ones gain no more: scikit-learn's
    default.

    Raises:
        ValueError: a knob is out of range.
    """
    name = "hist_gradient_boosting"
    check_whole(f"{name}: trees", trees, 1)
    check_whole(f"{name}: leaves", leaves, 2)
    check_number(f"{name}: learning_rate", learning_rate, 0, above=True)
    check_whole(f"{name}: min_samples_leaf", min_samples_leaf, 1)
    shares = data.shares(rng)
    from sklearn.ensemble import HistGradientBoostingClassifier

    model = HistGradientBoostingClassifier(
        max_iter=trees,
        max_leaf_nodes=leaves,
        learning_rate=learning_rate,
        min_samples_leaf=min_samples_leaf,
        random_state=int(rng.integers(SEEDS)),
    )
    model.fit(shares.space.scaled(shares.x_train), shares.y_train)
    turns = model._predictors
    grown, steps = [], []
    for turn in turns:
        for column, predictor in enumerate(turn):
            step = np.zeros((len(predictor.nodes), len(turn)))
            step[:, column] = np.where(predictor.nodes["is_leaf"], predictor.nodes["value"], 0.0)
            grown.append(predictor.nodes)
            steps.append(step)
    link = "logistic" if len(turns[0]) == 1 else "softmax"
    start = np.asarray(model._baseline_prediction, dtype=np.float64).reshape(-1)
    served = Ensemble(forest_of_histograms(grown, steps), start, link)
    return Victim(shares, behind(shares.space, served), "gradient_boosting")


@dataclass(frozen=True)
class Ensemble:
    """The sum of the trees over a start, through a link; None takes the sum as probabilities.

    Args:
        trees: what each adds.
        start: (k,) or, for log-odds, (1,).
        link: a name of `forward.LINKS`, or None.
    """

    trees: Forest
    start: Array
    link: str | None

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows."""
        total = self.start + self.trees.total(x)
        return from_outputs(forward.LINKS[self.link](total) if self.link else normalised(total))
