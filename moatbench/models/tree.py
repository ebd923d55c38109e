"""Binary decision trees on raw features, as arrays of nodes."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from moatbench.space import InputSpace
from moatbench.types import Array, Labels, Mask, Rows

LEAF = -1


@dataclass(frozen=True)
class Tree:
    """A tree of m nodes; node 0 is the root, and children come after their parents.

    A numeric test sends a row left where x <= threshold, a categorical one (threshold NaN) where
    the code is among those of `inside`. A missing feature (NaN) ends the walk at the node that
    tests it.

    Args:
        feature: (m,) the column that a node tests, `LEAF` where it tests none.
        threshold: (m,) in the column's own units; NaN for a categorical test.
        inside: (m, most) the codes that go left.
        left: (m,) child nodes.
        right: (m,) child nodes.
        labels: (m,) what a walk that ends at the node answers.
        outputs: (m, k) likewise.
    """

    feature: Rows
    threshold: Array
    inside: Mask
    left: Rows
    right: Rows
    labels: Labels
    outputs: Array

    def walk(self, x: Array) -> Rows:
        """(n,) the nodes at which the walks of the rows (n, d) end."""
        return self._walk(x, None)

    def trace(self, x: Array) -> tuple[Rows, Array]:
        """(n,) where the walks end, and (n, d) 1 for each feature tested on the way, else 0.

        The feature whose absence ended a walk counts as tested.
        """
        tested = np.zeros(x.shape)
        return self._walk(x, tested), tested

    @property
    def leaves(self) -> Rows:
        """The nodes that test nothing."""
        return np.flatnonzero(self.feature == LEAF)

    def _walk(self, x: Array, tested: Array | None) -> Rows:
        node = np.zeros(len(x), dtype=np.intp)
        rows = np.arange(len(x))
        while True:
            at = node[rows]
            column = self.feature[at]
            inner = column != LEAF
            rows, at, column = rows[inner], at[inner], column[inner]
            if not len(rows):
                return node
            if tested is not None:
                tested[rows, column] = 1.0
            value = x[rows, column]
            given = ~np.isnan(value)
            rows, at, value = rows[given], at[given], value[given]
            node[rows] = np.where(self._goes_left(at, value), self.left[at], self.right[at])

    def _goes_left(self, at: Rows, value: Array) -> Mask:
        threshold = self.threshold[at]
        below: Mask = value <= threshold
        coded = np.isnan(threshold)
        if coded.any():
            below[coded] = self.inside[at[coded], value[coded].astype(np.intp)]
        return below


def raw_tree(fitted: Any, space: InputSpace, weight: Array, outputs: Array) -> Tree:
    """Turn a scikit-learn tree on `indicators` into one on raw features.

    Args:
        fitted: the `tree_` of a scikit-learn model.
        space: of the raw features.
        weight: (m, k) each node's label is the class of the largest.
        outputs: (m, k) what each node answers.
    """
    column, code = indicator_columns(space)
    split: Rows = np.asarray(fitted.feature, dtype=np.intp)
    inner = np.asarray(fitted.children_left) >= 0
    feature = np.where(inner, column[split], LEAF)
    value = np.where(inner, code[split], -1)
    most = int(space.high[space.coded].max()) + 1 if space.coded.size else 1
    # Left is an indicator of at most 0.5: any value but this one.
    inside: Mask = np.arange(most) != value[:, None]
    threshold = np.where(inner & (value < 0), np.asarray(fitted.threshold, np.float64), np.nan)
    return Tree(
        feature,
        threshold,
        inside,
        np.asarray(fitted.children_left, dtype=np.intp),
        np.asarray(fitted.children_right, dtype=np.intp),
        weight.argmax(axis=1).astype(np.int64),
        outputs,
    )


def in_units(tree: Tree, space: InputSpace) -> Tree:
    """Return a tree on scaled numbers as one on the numbers of a space."""
    rows = np.flatnonzero((tree.feature != LEAF) & ~np.isnan(tree.threshold))
    at = np.zeros((len(rows), space.d))
    at[np.arange(len(rows)), tree.feature[rows]] = tree.threshold[rows]
    threshold = tree.threshold.copy()
    threshold[rows] = space.unscaled(at)[np.arange(len(rows)), tree.feature[rows]]
    return replace(tree, threshold=threshold)


def indicators(space: InputSpace, x: Array) -> Array:
    """(n, m) numeric columns as they are, a coded one as a 0/1 indicator of each value."""
    column, code = indicator_columns(space)
    part = x[:, column]
    return np.where(code >= 0, part == code, part)


def indicator_columns(space: InputSpace) -> tuple[Rows, Rows]:
    """(m,) the raw column of each indicator, and (m,) its code, -1 for a numeric column."""
    coded = set(space.coded.tolist())
    pairs = [
        (i, code)
        for i in range(space.d)
        for code in (range(int(space.high[i]) + 1) if i in coded else (-1,))
    ]
    column, code = np.array(pairs, dtype=np.intp).T
    return column, code
