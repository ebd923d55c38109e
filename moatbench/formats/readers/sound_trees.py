"""Whether the trees of a scikit-learn model can be walked, which its own code does not check.

A branch that leads upwards is followed for ever, one beyond the nodes, or a column beyond the
row's, reads memory that is none of the tree's.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

TREES = {"Tree", "TreePredictor"}
PLAIN = (str, bytes, int, float, complex, bool, type(None))


def require_sound(model: Any, knob: str = "victim.path") -> None:
    """Refuse a model with a tree that cannot be walked.

    Raises:
        ValueError: names the knob that gave the model.
    """
    for tree, width in _trees(model, 0, set()):
        if not _is_sound(tree, width):
            raise ValueError(
                f"{knob} must hold trees whose branches lead downwards, to columns that they have, "
                "got another; the file is damaged or hostile"
            )


def _trees(thing: Any, width: int, seen: set[int]) -> Iterator[tuple[Any, int]]:
    """Yield each tree within an object, with the columns of the model that holds it."""
    if isinstance(thing, PLAIN) or id(thing) in seen:
        return
    seen.add(id(thing))
    if type(thing).__name__ in TREES and type(thing).__module__.startswith("sklearn."):
        yield thing, width
    elif isinstance(thing, dict):
        for part in thing.values():
            yield from _trees(part, width, seen)
    elif isinstance(thing, list | tuple | set):
        for part in thing:
            yield from _trees(part, width, seen)
    elif isinstance(thing, np.ndarray):
        if thing.dtype == object:
            yield from _trees(thing.ravel().tolist(), width, seen)
    else:
        known = getattr(thing, "__dict__", {})
        yield from _trees(known, int(known.get("n_features_in_") or width), seen)


def _is_sound(tree: Any, width: int) -> bool:
    if type(tree).__name__ == "Tree":
        left, right, feature = tree.children_left, tree.children_right, tree.feature
        leaf = left == -1
    else:
        nodes = tree.nodes
        left, right, feature = (nodes[name] for name in ("left", "right", "feature_idx"))
        leaf = nodes["is_leaf"].astype(bool)
    at = np.arange(len(leaf))[~leaf]
    ends = np.stack([left[~leaf], right[~leaf]]).astype(np.int64)
    columns = feature[~leaf].astype(np.int64)
    downwards = bool((ends > at).all() and (ends < len(leaf)).all())
    inside = bool((columns >= 0).all() and (columns < width).all())
    return len(leaf) > 0 and downwards and inside
