"""Decision trees grown on bought answers, where the attack cannot choose what is asked."""

from typing import Any

import numpy as np

from moatbench.client import Card, Surrogate
from moatbench.learners.published import ignorant
from moatbench.learners.purchases import Purchases
from moatbench.models.tree import Tree, in_units, indicators, raw_tree
from moatbench.reply import Predict, Reply, has_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask

SIZES = (1, 2, 5, 10, 20, 50, 100)  # answers in a leaf, at least
HELD_OUT = 5  # every fifth answer judges how to grow
RECUR = 3  # times that an answer recurs on average where it may identify a leaf
TIE = 1e-6  # weight of the mean output beside the votes for a label


def grow(space: InputSpace, x: Array, labels: Labels, values: Array, rng: Generator) -> Tree:
    """Grow a tree on answers to whole inputs, at least one.

    Answers that recur may identify leaves: two leaves of one label are then told apart, if splits
    are chosen by the entropy of the answers. Noisy ones want large leaves that average them, split
    by the variance of the values. Held-out answers choose; afterwards they are grown on too.

    Args:
        space: of the inputs.
        x: (n, d), nothing left out.
        labels: (n,) as answered; a node answers the one with most votes.
        values: (n, k) class probabilities, or regression values (k = 1).
        rng: breaks ties between splits.
    """
    # On scaled numbers: scikit-learn's trees know them in single precision
    a, k = indicators(space, space.scaled(x)), values.shape[1]
    model = _chosen(a, values, int(rng.integers(2**31)))  # scikit-learn takes 32 bits
    votes = np.zeros((len(x), k)) if k == 1 else np.eye(k)[labels]
    outputs = _means(model, a, values)
    return in_units(
        raw_tree(model.tree_, space, _means(model, a, votes) + TIE * outputs, outputs), space
    )


def _chosen(a: Array, values: Array, seed: int) -> Any:
    """Fit the scikit-learn tree whose kind and leaves suit held-out answers best."""
    held: Mask = np.arange(len(a)) % HELD_OUT == HELD_OUT - 1
    distinct, ids = np.unique(values, axis=0, return_inverse=True)
    ids = ids.ravel()
    recur = RECUR * len(distinct) <= len(values)
    best, least = (recur, SIZES[0]), np.inf
    for by_answer in (True, False) if recur else (False,):
        target = ids if by_answer else values
        for size in SIZES:
            if not held.any() or 2 * size > len(a):
                break
            model = _fitted(a[~held], target[~held], by_answer, size, seed)
            guess = _means(model, a[~held], values[~held])[model.apply(a[held])]
            loss = float(((guess - values[held]) ** 2).sum())
            if loss < least:
                best, least = (by_answer, size), loss
    by_answer, size = best
    return _fitted(a, ids if by_answer else values, by_answer, size, seed)


def _fitted(a: Array, target: Array | Labels, by_answer: bool, size: int, seed: int) -> Any:
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    if by_answer:
        kind = DecisionTreeClassifier(criterion="entropy", min_samples_leaf=size, random_state=seed)
    else:
        kind = DecisionTreeRegressor(min_samples_leaf=size, random_state=seed)
    return kind.fit(a, target)


def _means(model: Any, a: Array, values: Array) -> Array:
    """(m, k) for each node, the mean of the values of the rows that pass it."""
    passed = model.decision_path(a)
    return np.asarray(passed.T @ values) / np.asarray(passed.sum(axis=0), dtype=np.float64).T


def tree_surrogate(card: Card, bought: Purchases, rng: Generator) -> Surrogate:
    """Return the tree grown on all whole inputs; where only the label came, it is the answer."""
    whole = ~np.isnan(bought.x).any(axis=1)
    silent = ~has_outputs(bought.outputs)
    if card.regression:
        whole &= ~silent
    if not whole.any():
        return clueless(card)
    values = np.where(silent[:, None], bought.targets(use_confidences=False), bought.outputs)
    tree = grow(card.space, bought.x[whole], bought.labels[whole], values[whole], rng)
    return Surrogate(
        predictor(tree, card), converged=True, note=f"a tree of {len(tree.leaves)} leaves"
    )


def predictor(tree: Tree, card: Card) -> Predict:
    """Return what answers rows as a tree does; distributions sum to one."""
    outputs = tree.outputs
    if card.full and not card.regression:
        total = outputs.sum(axis=1, keepdims=True)
        hard = np.eye(outputs.shape[1])[tree.labels]
        outputs = np.where(total > 0, outputs / np.where(total > 0, total, 1), hard)

    def predict(x: Array) -> Reply:
        node = tree.walk(x)
        return Reply(tree.labels[node], outputs[node])

    return predict


def clueless(card: Card) -> Surrogate:
    """Return a surrogate of no usable answers, of a regression model too."""
    if not card.regression:
        return ignorant(card)

    def predict(x: Array) -> Reply:
        return Reply(np.zeros(len(x), np.int64), np.zeros((len(x), 1)))

    return Surrogate(predict, converged=False, note="no usable answers", begun=False)
