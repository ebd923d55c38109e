"""Minimisers: Levenberg-Marquardt for exact answers, L-BFGS for many unknowns."""

from collections.abc import Callable
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from moatbench.numerics.objectives import Objective
from moatbench.types import Array

MANY, STEPS, TOLERANCE = 1000, 500, 1e-7  # unknowns of a normal matrix, and L-BFGS beyond
PATIENCE = 3  # steps of little gain before Levenberg-Marquardt ends


class Model(Protocol):
    """Scores of n fixed rows as a function of a flat vector of unknowns, theta (m,)."""

    def scores(self, theta: Array) -> Array:
        """(n, k) scores of the rows."""

    def gradient(self, theta: Array, by_score: Array) -> Array:
        """Turn a gradient by score (n, k) into one by unknown (m,)."""

    def normal(self, theta: Array, curvature: Array) -> Array:
        """J^T C J (m, m), of which only the upper triangle need be filled."""


class Solution(NamedTuple):
    """Unknowns, their cost, and whether the search converged before its cap of iterations."""

    theta: Array
    value: float
    converged: bool


def levenberg_marquardt(
    model: Model,
    objective: Objective,
    theta: Array,
    *,
    iterations: int,
    ridge: float = 0.0,
    damping: float = 1e-3,
    target: float = 0.0,
    stall: float = 1e-7,
    refine: Callable[[Array], Array] | None = None,
) -> Solution:
    """Damped Gauss-Newton steps, until the value is at most `target` or falls no more.

    Args:
        model: its normal matrix must fit in memory.
        objective: what to make small.
        theta: (m,) where to start.
        iterations: cap.
        ridge: multiplies half the squared norm of theta.
        damping: at the start, in units of the mean of the normal matrix's diagonal.
        target: a value that is good enough.
        stall: the search ends after `PATIENCE` steps in a row whose relative gain is smaller.
        refine: improves a candidate before it is judged (variable projection).
    """
    value, (scores, by_score) = _cost(model, objective, ridge, theta)
    slow = 0
    for _ in range(iterations):
        gradient = model.gradient(theta, by_score) + ridge * theta
        normal = model.normal(theta, objective.curvature(scores))
        # Levenberg's uniform damping: Marquardt's, by the diagonal, takes wild steps along
        # unknowns that saturated units hardly feel (one-vs-rest on Digits: 0 of 3, not 3 of 3).
        scale = float(normal.diagonal().mean()) + np.finfo(np.float64).tiny
        before = value
        for _ in range(15):
            candidate = _step(normal, ridge + damping * scale, gradient, theta)
            if candidate is not None:
                candidate = candidate if refine is None else refine(candidate)
                next_value, state = _cost(model, objective, ridge, candidate)
                if next_value < value:
                    theta, value, (scores, by_score) = candidate, next_value, state
                    break
            damping *= 4
        else:
            return Solution(theta, value, True)  # no direction gains: the floor of rounding errors
        # A lower floor stalls far from the solution; a higher one slows the last digits.
        damping = max(damping * 0.2, 1e-9 if value > 1e-12 else 1e-13)
        slow = slow + 1 if before - value < stall * before else 0
        if value <= target or slow == PATIENCE:
            return Solution(theta, value, True)
    return Solution(theta, value, False)


def descend(
    model: Model,
    objective: Objective,
    theta: Array,
    *,
    iterations: int,
    ridge: float,
    tolerance: float,
) -> Solution:
    """L-BFGS, until no entry of the gradient exceeds `tolerance`; `ridge` as above."""
    from scipy.optimize import minimize  # heavy, and seldom wanted

    def cost(at: Array) -> tuple[float, Array]:
        value, (_, by_score) = _cost(model, objective, ridge, at)
        return value, model.gradient(at, by_score) + ridge * at

    options = {
        "maxiter": iterations,
        "maxfun": 2 * iterations,
        "maxcor": 30,
        "ftol": 0.0,
        "gtol": tolerance,
    }
    with np.errstate(over="ignore", invalid="ignore"):  # wild steps of the line search
        found = minimize(cost, theta, jac=True, method="L-BFGS-B", options=options)
    return Solution(
        np.asarray(found.x), float(found.fun), bool(np.abs(found.jac).max() <= tolerance)
    )


def fitted(model: Model, objective: Objective, theta: Array, ridge: float) -> Solution:
    """Fit to answers that are not exact; many unknowns without their normal matrix."""
    if len(theta) > MANY:
        return descend(model, objective, theta, iterations=STEPS, ridge=ridge, tolerance=TOLERANCE)
    return levenberg_marquardt(model, objective, theta, iterations=60, ridge=ridge, stall=1e-6)


def _cost(
    model: Model, objective: Objective, ridge: float, theta: Array
) -> tuple[float, tuple[Array, Array]]:
    """Value, and (scores, gradient by score) at theta."""
    with np.errstate(over="ignore", invalid="ignore"):  # a wild step costs inf or NaN: not taken
        value, by_score = objective.value(scores := model.scores(theta))
        return value + 0.5 * ridge * float(theta @ theta), (scores, by_score)


def _step(normal: Array, damping: float, gradient: Array, theta: Array) -> Array | None:
    """One damped step from theta; None where rounding errors leave no positive definite matrix."""
    damped = normal.copy(order="F")
    damped[np.diag_indices(len(damped))] += damping
    try:
        factor = cho_factor(damped, overwrite_a=True, check_finite=False)
    except LinAlgError:
        return None
    step: Array = cho_solve(factor, gradient, check_finite=False)
    return theta - step if np.isfinite(step).all() else None
