"""The margins inside a tree's leaves, as the margin counter was released with them.

Source: Quiring et al. 2018, "Forgotten Siblings", its margins around the splits of a tree.
Read: authors' code, abstract.
"""

from copy import deepcopy
from dataclasses import dataclass
from inspect import unwrap
from typing import Any, NamedTuple

import numpy as np
from scipy.special import ndtr

from moatbench.models.scaled import OnScaled
from moatbench.models.tree import LEAF, Tree, in_units
from moatbench.types import Array, Generator, Mask, Rows
from moatbench.victim import NotApplicable, Victim

SIDE = 0.075  # a margin is no wider, as a share of the leaf's side
MASS = 0.005  # of the leaf's training rows, which a margin may hold, by their density
BANDWIDTHS = np.geomspace(0.01, 0.5, 10)  # that are tried, in shares of a column's range
FOLDS = 5
GRID = 300  # points of a side, on which the density is summed
ROWS = 200  # of a leaf, at most, for its density


@dataclass(frozen=True)
class LeafMargins:
    """The leaves of a tree as boxes, and how far their margins reach in.

    A margin lies inside a leaf along both ends of each column on the way to it, at the domain's
    edge too. It is `SIDE` of the leaf's side wide, but ends where the density of the leaf's
    training rows has `MASS`: Gaussian kernels, their width by cross-validation.

    Args:
        tree: in the units of the space.
        leaves: (m,) its leaves.
        low: (m, d) where the lower margin of a leaf ends; -inf in columns that are not on its way.
        high: (m, d) where the upper one begins; inf likewise.
    """

    tree: Tree
    leaves: Rows
    low: Array
    high: Array

    @classmethod
    def of(cls, victim: Victim, rng: Generator) -> "LeafMargins":
        """Measure the victim's tree on its training rows.

        Raises:
            NotApplicable: the victim is no tree whose splits are known.
        """
        tree = tree_of(victim)
        space, x, leaves = victim.space, victim.shares.x_train, tree.leaves
        boxes, at = _boxes(tree, space.low, space.high), tree.walk(x)
        low = np.full((len(leaves), space.d), -np.inf)
        high = -low
        for place, leaf in enumerate(leaves):
            box, own = boxes[int(leaf)], x[at == leaf]
            own = own[rng.permutation(len(own))[:ROWS]]
            for column in np.flatnonzero(box.tested):
                ends = float(box.low[column]), float(box.high[column])
                scale = float(space.high[column] - space.low[column])
                lower, upper = _reach(own[:, column], ends, scale)
                low[place, column], high[place, column] = ends[0] + lower, ends[1] - upper
        return cls(tree, leaves, low, high)

    def __call__(self, x: Array) -> tuple[Rows, Mask]:
        """(n,) the place of each row's leaf, -1 where it stops before one; (n,) in its margin."""
        node = self.tree.walk(x)
        place = np.searchsorted(self.leaves, node).clip(0, len(self.leaves) - 1)
        known = self.leaves[place] == node
        inside = ((x < self.low[place]) | (x > self.high[place])).any(axis=1)
        return np.where(known, place, -1), np.asarray(inside & known)


def tree_of(victim: Victim) -> Tree:
    """Return the victim's own tree, in the units of its space.

    Raises:
        NotApplicable: it is no classification tree of ours.
    """
    model: Any = unwrap(victim.predict)
    scaled = isinstance(model, OnScaled)
    grown = getattr(model.model if scaled else model, "grown", None)
    if not isinstance(grown, Tree) or len(victim.classes) < 2:
        raise NotApplicable(
            "margin_counter: margin leaf needs a classification tree whose splits are known; "
            "choose victim=tree, or label_margin, which asks any classifier"
        )
    return in_units(grown, victim.space) if scaled else grown


class _Box(NamedTuple):
    """Where a node's rows lie, and (d,) which numeric columns were tested on the way."""

    low: Array
    high: Array
    tested: Mask


def _boxes(tree: Tree, low: Array, high: Array) -> dict[int, _Box]:
    found = {0: _Box(low, high, np.zeros(len(low), bool))}
    for node in range(len(tree.feature)):  # children come after their parents
        column, cut = tree.feature[node], tree.threshold[node]
        if column == LEAF:
            continue
        left, right = deepcopy(found[node]), deepcopy(found[node])
        if not np.isnan(cut):
            left.high[column] = right.low[column] = cut
            left.tested[column] = right.tested[column] = True
        found[int(tree.left[node])], found[int(tree.right[node])] = left, right
    return found


def _reach(values: Array, ends: tuple[float, float], scale: float) -> tuple[float, float]:
    """Return how far the lower and the upper margin of a column reach into a leaf.

    Args:
        values: (n,) of the leaf's training rows.
        ends: of the leaf.
        scale: the column's range in the space.
    """
    side = ends[1] - ends[0]
    values = values[~np.isnan(values)]
    if not len(values) or side <= 0:
        return SIDE * max(side, 0.0), SIDE * max(side, 0.0)
    width = _bandwidth(values / scale) * scale
    grid = np.linspace(*ends, GRID)
    below = ndtr((grid - values[:, None]) / width).mean(axis=0)
    whole = below[-1] - below[0]
    if whole <= 0:
        return SIDE * side, SIDE * side
    share = (below - below[0]) / whole
    lower = grid[np.searchsorted(share, MASS)] - ends[0]
    upper = ends[1] - grid[int(np.searchsorted(share, 1 - MASS, side="right")) - 1]
    return min(SIDE * side, float(lower)), min(SIDE * side, float(upper))


def _bandwidth(values: Array) -> float:
    """Return the bandwidth under which rows left out are likeliest; the widest of few rows."""
    if len(values) < FOLDS:
        return float(BANDWIDTHS[-1])
    fold, apart = np.arange(len(values)) % FOLDS, (values[:, None] - values) ** 2
    others = fold[:, None] != fold
    likely = []
    for width in BANDWIDTHS:
        density = (np.exp(-apart / (2 * width**2)) * others).sum(axis=1) / others.sum(axis=1)
        likely.append(np.log(np.maximum(density / width, 1e-300)).sum())
    return float(BANDWIDTHS[int(np.argmax(likely))])
