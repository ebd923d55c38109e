"""How far recovered parameters are from the victim's own, whatever its symmetries allow."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from moatbench.models.scaled import OnScaled
from moatbench.types import Array
from moatbench.victim import Victim

ODD = ("tanh", "logistic")  # of these a unit's sign says nothing, but for a constant
LAYERS = ("w1", "b1", "w2", "b2")


def parameter_error(
    found: Mapping[str, Array], victim: Victim, *, confidences: bool = True
) -> float | None:
    """Return the distance from the victim's parameters, as a share of their length.

    Parameters are those on numbers from -1 to 1. Of a softmax, what all classes share is left out;
    the units of a hidden layer are matched, with their signs, or under relu their sizes. A layer
    that the card publishes is left out.

    Args:
        found: what an attack recovered, in the API's units, as `Surrogate.parameters`.
        victim: whose.
        confidences: whether the surrogate has any; labels leave the length of scores open.

    Returns:
        NaN where nothing of that form was recovered; None where the victim's are not known.
    """
    model: Any = victim.predict.model if isinstance(victim.predict, OnScaled) else victim.predict
    own = getattr(model, "parameters", None)
    if not isinstance(own, Mapping):
        return None
    if not found.keys() >= own.keys():
        return float("nan")
    try:
        if "w1" in getattr(victim, "architecture", {}):  # whoever compares models alone has none
            return _of_scores(_last(found), _last(own), model.link, confidences)
        mine = _scaled({name: np.asarray(found[name], np.float64) for name in own}, victim)
        if "w1" in own:
            return _of_network(mine, own, model.activation)
        return _of_scores(mine, own, model.link, confidences)
    except ValueError:  # of other shapes
        return float("nan")


def _scaled(found: dict[str, Array], victim: Victim) -> dict[str, Array]:
    """Turn parameters on the API's units into those on numbers from -1 to 1."""
    space = victim.space
    centre, half = (space.low + space.high) / 2, (space.high - space.low) / 2
    if "w1" in found:
        return found | {
            "w1": found["w1"] * half[:, None],
            "b1": found["b1"] + centre @ found["w1"],
        }
    intercept = found["intercept"] + found["coef"] @ centre
    return {"coef": found["coef"] * half, "intercept": intercept}


def _last(network: Mapping[str, Array]) -> Mapping[str, Array]:
    """Return a network's last layer as linear scores."""
    return {"coef": np.asarray(network["w2"]).T, "intercept": np.asarray(network["b2"])}


def _of_scores(
    found: Mapping[str, Array], own: Mapping[str, Array], link: str, confidences: bool
) -> float:
    rows = [np.column_stack([p["coef"], p["intercept"]]) for p in (found, own)]
    if link == "softmax" or len(rows[1]) == 1:
        rows = [_contrasts(part) for part in rows]
    if not confidences:
        rows = [part / max(float(np.linalg.norm(part)), 1e-300) for part in rows]
    return _share(rows[0], rows[1])


def _contrasts(scores: Array) -> Array:
    """(k, m) less their mean over the classes; one row of log-odds as two."""
    both: Array = np.vstack([-scores, scores]) / 2 if len(scores) == 1 else scores
    return np.asarray(both - both.mean(axis=0))


def _of_network(found: Mapping[str, Array], own: Mapping[str, Array], activation: str) -> float:
    from scipy.optimize import linear_sum_assignment

    (mine, mine_b), (theirs, theirs_b) = (_units(p, activation) for p in (found, own))
    if mine.shape != theirs.shape:
        return float("nan")
    signs = np.array([1.0, -1.0] if activation in ODD else [1.0])
    gaps = ((signs[:, None, None, None] * mine[:, None] - theirs) ** 2).sum(axis=-1)
    rows, columns = linear_sum_assignment(gaps.min(axis=0))
    turned = signs[gaps.argmin(axis=0)[rows, columns]]
    if activation == "logistic":  # s(-z) = 1 - s(z): what a turned unit adds is constant
        out = mine[rows, -mine_b.size :]
        mine_b = mine_b + (np.where(turned < 0, 1.0, 0.0)[:, None] * out).sum(axis=0)
    matched = np.concatenate([(turned[:, None] * mine[rows]).ravel(), mine_b])
    return _share(matched, np.concatenate([theirs[columns].ravel(), theirs_b]))


def _units(p: Mapping[str, Array], activation: str) -> tuple[Array, Array]:
    """(hidden, d + 1 + k) what goes in and out of each unit, and the last biases (k,)."""
    w1, b1, w2, b2 = (np.asarray(p[name], np.float64) for name in LAYERS)
    if w2.shape[1] == 1:
        w2, b2 = np.hstack([-w2, w2]) / 2, np.concatenate([-b2, b2]) / 2
    w2, b2 = w2 - w2.mean(axis=1, keepdims=True), b2 - b2.mean()
    size = np.ones(len(b1))
    if activation == "relu":
        size = np.maximum(np.sqrt((w1**2).sum(axis=0) + b1**2), 1e-300)
    return np.hstack([(w1 / size).T, (b1 / size)[:, None], w2 * size[:, None]]), b2


def _share(found: Array, own: Array) -> float:
    if found.shape != own.shape:
        return float("nan")
    return float(np.linalg.norm(found - own) / max(float(np.linalg.norm(own)), 1e-300))
