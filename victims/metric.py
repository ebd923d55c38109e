"""In which coordinates a kernel machine of somebody's measures distances, told in the space's."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from moatbench.formats.family import Family, family_of, unwrapped
from moatbench.space import OFF, ON, InputSpace
from moatbench.types import Array

TRIED = 64  # uniform rows on which what was found must hold
CLOSE = 1e-6  # of the coordinates' size: steps in float32 round so far
Decode = Callable[[Array], Any]


def kernel_of(estimator: Any) -> Family:
    """Name the family of a kernel machine by its last steps, and what its owner knows of it.

    A linear model of RBF similarities to some rows is kernel logistic regression.
    """
    steps, last = unwrapped(estimator)
    family, known = family_of(last)
    if family == "rbf_svm":
        return family, {"kernel": "rbf", "gamma": float(last._gamma)}
    if family == "softmax" and steps and _lifts(steps[-1]):
        lift = steps[-1]
        width = lift.gamma or 1.0 / lift.components_.shape[1]
        rows = len(lift.components_)
        return "kernel_logistic", {"kernel": "rbf", "gamma": float(width), "representers": rows}
    return (family, known) if family == "poly_svm" else (None, {})


def _lifts(step: Any) -> bool:
    return type(step).__name__ == "Nystroem" and step.kernel == "rbf"


def metric_of(estimator: Any, decode: Decode, space: InputSpace) -> list[Any] | None:
    """Return the metric of what stands before a model; None where it is not linear.

    Distances in the model are those of `encode` times this: a factor for each column, or a row of
    factors for each coordinate where steps mix columns. Steps are asked, not read: one row for each
    column's ends and each name's, and some uniform ones as a proof.

    Args:
        estimator: a pipeline, or a model without steps.
        decode: turns rows of the space into what it takes.
        space: of the API.
    """
    steps, _ = unwrapped(estimator)
    steps = steps[:-1] if steps and _lifts(steps[-1]) else steps
    rows = _probes(space)
    proof = space.sample(TRIED, np.random.default_rng(0))
    try:
        made, there = (_through(steps, decode(x)) for x in (rows, proof))
    except (TypeError, ValueError):  # what it makes is no numbers
        return None
    u, begin = space.encode(rows), space.encode(rows[:1])
    found, *_ = np.linalg.lstsq(u - begin, made - made[:1], rcond=None)
    gap = np.abs(made[:1] + (space.encode(proof) - begin) @ found - there).max()
    if not gap <= CLOSE * max(1.0, float(np.abs(there).max())):
        return None
    squares = found @ found.T
    sides: Array = np.sqrt(np.diag(squares))
    if np.abs(squares - np.diag(sides**2)).max() <= CLOSE * squares.max():
        return [float(side) for side in sides]
    return [list(map(float, row)) for row in np.linalg.qr(found.T, mode="r")]


def _probes(space: InputSpace) -> Array:
    """Return a row, and those that differ from it in one feature: the other end, another name."""
    first = space.low.copy()
    for group in space.groups:
        first[group] = OFF
        first[group.start] = ON
    rows = [first]
    for columns in space.columns:
        if columns in space.groups:
            others = list(np.where(np.eye(columns.stop - columns.start)[1:], ON, OFF))
        elif columns.start in space.coded:
            others = list(np.arange(1.0, space.high[columns.start] + 1)[:, None])
        else:
            others = [space.high[columns]]
        for other in others:
            row = first.copy()
            row[columns] = other
            rows.append(row)
    return space.answered(np.array(rows))


def _through(steps: Sequence[Any], x: Any) -> Array:
    for step in steps:
        if hasattr(step, "transform"):  # neither passthrough nor None
            x = step.transform(x)
    dense = x.toarray() if hasattr(x, "toarray") else x
    return np.asarray(dense, dtype=np.float64)
