"""Decision trees with the semantics of the prediction services: an answer at every node.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 4.2 and
6.2 (BigML): numeric and categorical splits, a confidence per node, partial inputs answered from the
node where the missing feature stops the walk, and optionally the features tested on the way.
"""

from dataclasses import dataclass, replace

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_choice, check_whole
from moatbench.models.scaled import behind
from moatbench.models.tree import Tree, indicators, raw_tree
from moatbench.reply import Reply
from moatbench.space import InputSpace, Numeric
from moatbench.types import Array, Generator
from moatbench.victim import Shares, Victim

ANSWERS = ("distribution", "confidence")
MOST_DECIMALS = 15
Z95 = 1.96  # of a two-sided 95 % interval
SEEDS = 2**31  # scikit-learn takes a seed of 32 bits


def tree(
    data: Dataset,
    rng: Generator,
    *,
    leaves: int,
    min_samples_leaf: int,
    answers: str,
    partial: bool,
    fields: bool,
    decimals: int | None,
) -> Victim:
    """Train a classification tree on raw features; a categorical split is a value against the rest.

    Args:
        data: gives the shares.
        rng: splits the data and breaks ties between splits.
        leaves: at most.
        min_samples_leaf: training rows in a leaf, at least.
        answers: `distribution`, the class shares among the node's training rows, or `confidence`,
            the lower end of the 95 % Wilson interval of the label's share, and 0 for the others.
        partial: whether inputs with missing features are answered.
        fields: whether the features tested on the way are told (`Reply.path`).
        decimals: that outputs have; None is all.

    Raises:
        ValueError: a knob is out of range.
    """
    knobs = Serving(partial, fields, decimals)
    _check_size(leaves, min_samples_leaf)
    check_choice("tree: answers", answers, ANSWERS)
    shares = data.shares(rng, encoding="codes")
    from sklearn.tree import DecisionTreeClassifier  # heavy: after all that may be wrong

    model = DecisionTreeClassifier(
        max_leaf_nodes=leaves, min_samples_leaf=min_samples_leaf, random_state=_seed(rng)
    )
    model.fit(indicators(shares.space, shares.space.scaled(shares.x_train)), shares.y_train)
    counts: Array = np.asarray(model.tree_.value[:, 0, :], dtype=np.float64)
    seen = np.zeros((len(counts), len(shares.classes)))  # a class may be absent from the training
    seen[:, model.classes_] = counts / counts.sum(axis=1, keepdims=True)
    full = answers == "distribution"
    n: Array = np.asarray(model.tree_.n_node_samples, dtype=np.float64)
    outputs = seen if full else _label_only(seen, wilson_bound(seen.max(axis=1), n))
    grown = raw_tree(model.tree_, shares.space, seen, knobs.rounded(outputs, full))
    served = behind(shares.space, Served(grown, fields))
    return Victim(shares, served, "tree", {"answers": answers}, partial=partial, full=full)


def regression_tree(
    data: Dataset,
    rng: Generator,
    *,
    target: str | None,
    leaves: int,
    min_samples_leaf: int,
    partial: bool,
    fields: bool,
    decimals: int | None,
) -> Victim:
    """Train a regression tree on one numeric feature of the table, which leaves the inputs.

    Args:
        data: gives the shares; its class column is not used.
        rng: as in `tree`.
        target: name of the numeric feature to predict, scaled to [-1, 1]; None is the last.
        leaves: as in `tree`.
        min_samples_leaf: as in `tree`.
        partial: as in `tree`.
        fields: as in `tree`.
        decimals: as in `tree`.

    Raises:
        ValueError: a knob is out of range, or there is no such numeric feature.
    """
    knobs = Serving(partial, fields, decimals)
    _check_size(leaves, min_samples_leaf)
    shares, y = without(data.shares(rng, encoding="codes"), target)
    from sklearn.tree import DecisionTreeRegressor  # heavy: after all that may be wrong

    model = DecisionTreeRegressor(
        max_leaf_nodes=leaves, min_samples_leaf=min_samples_leaf, random_state=_seed(rng)
    )
    model.fit(indicators(shares.space, shares.space.scaled(shares.x_train)), y)
    values: Array = np.asarray(model.tree_.value[:, 0, :], dtype=np.float64)
    grown = raw_tree(model.tree_, shares.space, values, knobs.rounded(values, False))
    served = behind(shares.space, Served(grown, fields))
    return Victim(shares, served, "regression_tree", partial=partial)


@dataclass(frozen=True)
class Serving:
    """How a tree is served; knobs as in `tree`."""

    partial: bool
    fields: bool
    decimals: int | None

    def __post_init__(self) -> None:
        if self.decimals is not None:
            other = "null for all"
            check_whole("tree: decimals", self.decimals, 0, MOST_DECIMALS, other=other)

    def rounded(self, outputs: Array, full: bool) -> Array:
        """Round (n, k) outputs; of a whole distribution, the top entry takes up the difference."""
        if self.decimals is None:
            return outputs
        rounded: Array = np.round(outputs, self.decimals)
        if full:
            rows, top = np.arange(len(outputs)), outputs.argmax(axis=1)
            rounded[rows, top] += 1 - rounded.sum(axis=1)
        return rounded


@dataclass(frozen=True)
class Served:
    """A tree that answers rows, with the features on the way where `fields` says so."""

    grown: Tree
    fields: bool

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows; NaN leaves a feature out."""
        node, path = self.grown.trace(x) if self.fields else (self.grown.walk(x), None)
        return Reply(self.grown.labels[node], self.grown.outputs[node], path)


def wilson_bound(share: Array, n: Array) -> Array:
    """Lower end of the 95 % interval of a share seen among n (Wilson 1927), in [0, 1].

    BigML's confidence of a node: two pure leaves differ in it where their sizes do.
    """
    spread = Z95 * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return np.asarray((share + Z95**2 / (2 * n) - spread) / (1 + Z95**2 / n)).clip(0, 1)


def without(shares: Shares, target: str | None) -> tuple[Shares, Array]:
    """Return the shares of a regression on one numeric feature, and its (n,) training values."""
    numeric = {f.name: i for i, f in enumerate(shares.space.features) if isinstance(f, Numeric)}
    name = target if target is not None else next(reversed(numeric), None)
    if name not in numeric or shares.space.d < 2:
        raise ValueError(
            "regression_tree: target must be a numeric feature of the table that leaves others "
            f"to predict it from, got {name!r}; numeric are: {', '.join(numeric) or 'none'}"
        )
    at = shares.space.columns[numeric[name]].start
    features = tuple(f for f in shares.space.features if f.name != name)
    x_train, pool, x_test = (np.delete(x, at, axis=1) for x in _inputs(shares))
    for x in (x_train, pool, x_test):
        x.setflags(write=False)
    kept = replace(
        shares,
        space=InputSpace(features),
        classes=("value",),
        x_train=x_train,
        pool=pool,
        x_test=x_test,
        y_train=np.zeros(len(x_train), np.int64),
        y_test=np.zeros(len(x_test), np.int64),
    )
    return kept, shares.space.scaled(shares.x_train)[:, at]


def _inputs(shares: Shares) -> tuple[Array, Array, Array]:
    return shares.x_train, shares.pool, shares.x_test


def _label_only(seen: Array, confidence: Array) -> Array:
    outputs = np.zeros_like(seen)
    outputs[np.arange(len(seen)), seen.argmax(axis=1)] = confidence
    return outputs


def _check_size(leaves: int, min_samples_leaf: int) -> None:
    check_whole("tree: leaves", leaves, 2)
    check_whole("tree: min_samples_leaf", min_samples_leaf, 1)


def _seed(rng: Generator) -> int:
    return int(rng.integers(SEEDS))
