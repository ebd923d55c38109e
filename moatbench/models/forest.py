"""Many binary trees as one set of arrays, walked by all rows at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from moatbench.types import Array, Rows

LEAF = -1
WALKS = 2**15  # rows times trees that are walked at a time: they fit a processor's cache


@dataclass(frozen=True)
class Forest:
    """The sum of what T trees say; a row goes left where x <= threshold.

    Args:
        roots: (T,) the first node of each tree.
        feature: (m,) the column that a node tests, `LEAF` where it tests none.
        threshold: (m,).
        left: (m,) child nodes.
        right: (m,) child nodes.
        values: (m, k) what a walk that ends at the node adds.
        single: whether rows are taken in single precision first.
    """

    roots: Rows
    feature: Rows
    threshold: Array
    left: Rows
    right: Rows
    values: Array
    single: bool = True

    def total(self, x: Array) -> Array:
        """(n, k) sums over the trees. The same bits for a row in any batch."""
        # scikit-learn grows its trees on single precision, but those on histograms
        short = np.asarray(x, dtype=np.float32).astype(np.float64) if self.single else x
        size = max(1, WALKS // max(1, len(self.roots)))
        parts = [self._total(short[i : i + size]) for i in range(0, len(x), size)]
        return np.concatenate([np.empty((0, self.values.shape[1])), *parts])

    def _total(self, x: Array) -> Array:
        rows, trees = len(x), len(self.roots)
        node, row = np.repeat(self.roots, rows), np.tile(np.arange(rows), trees)
        walking = np.arange(len(node))
        while len(walking):
            at = node[walking]
            feature = self.feature[at]
            inner = feature != LEAF
            walking, at, feature = walking[inner], at[inner], feature[inner]
            left = x[row[walking], feature] <= self.threshold[at]
            node[walking] = np.where(left, self.left[at], self.right[at])
        out = np.zeros((rows, self.values.shape[1]))
        for ends in node.reshape(trees, rows):  # one after another: NumPy's sums differ by shape
            out += self.values[ends]
        return out


def forest(grown: Sequence[Any], values: Sequence[Array]) -> Forest:
    """Join scikit-learn's `tree_` objects, with the (nodes, k) values that each of them adds."""
    sizes = [tree.node_count for tree in grown]
    roots = np.cumsum([0, *sizes[:-1]])

    def joined(name: str, *, nodes: bool = False) -> Any:
        parts = [np.asarray(getattr(tree, name)) for tree in grown]
        moved = [np.where(p < 0, p, p + r) for p, r in zip(parts, roots, strict=True)]
        return np.concatenate(moved if nodes else parts)

    left = joined("children_left", nodes=True)
    return Forest(
        roots=roots.astype(np.intp),
        feature=np.where(left < 0, LEAF, joined("feature")).astype(np.intp),
        threshold=joined("threshold").astype(np.float64),
        left=left.astype(np.intp),
        right=joined("children_right", nodes=True).astype(np.intp),
        values=np.concatenate(values).astype(np.float64),
    )


def forest_of_histograms(grown: Sequence[Any], values: Sequence[Array]) -> Forest:
    """Join the nodes of scikit-learn's trees on histograms, with the values that each adds."""
    roots = np.cumsum([0, *(len(nodes) for nodes in grown[:-1])])

    def child(name: str) -> Rows:
        return np.concatenate([n[name] + root for n, root in zip(grown, roots, strict=True)])

    nodes = np.concatenate(list(grown))
    return Forest(
        roots=roots.astype(np.intp),
        feature=np.where(nodes["is_leaf"], LEAF, nodes["feature_idx"]).astype(np.intp),
        threshold=nodes["num_threshold"].astype(np.float64),
        left=child("left").astype(np.intp),
        right=child("right").astype(np.intp),
        values=np.concatenate(values).astype(np.float64),
        single=False,
    )
