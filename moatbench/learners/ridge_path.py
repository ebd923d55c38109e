"""Cross-entropy down a path of ridges; held-out rows say where to stop."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import log_softmax, xlogy

from moatbench.numerics.minimise import Model, Solution
from moatbench.numerics.objectives import CrossEntropy
from moatbench.types import Array

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

WINDOW = 30  # iterations
COARSE, FINE = 3e-3, 1e-3  # relative gain over a window that ends a search
PATIENCE = 2  # steps down the path without a gain at the exam
POOR = 1.5  # times the least divergence, and a model is left out of the average

Thetas = tuple[Array, ...]


class Batch(NamedTuple):
    """Some of the purchases: a model on their inputs, and their targets (n, k)."""

    model: Model
    targets: Array


class Split(NamedTuple):
    """What to fit, and the rows apart from it that judge the fits."""

    train: Batch
    exam: Batch

    def losses(self, thetas: Thetas) -> list[float]:
        """Divergence of each fit at the exam."""
        exam = self.exam
        return [divergence(exam.model.scores(theta), exam.targets) for theta in thetas]


def walk(
    splits: Sequence[Split], thetas: Thetas, path: Array, iterations: int
) -> tuple[Thetas, float]:
    """Fit at each ridge from the fits at the last; return the best at the exams, with their ridge.

    A strong ridge leaves a network few local minima, and the path carries the global one along.

    Args:
        splits: ways to part the rows; several weigh a ridge by all of their exams, and the fits
            returned are those of the last.
        thetas: where each of several models starts.
        path: falling ridges.
        iterations: cap for each fit.
    """
    best, least, since = (thetas, float(path[0])), np.inf, 0
    fits = [thetas] * len(splits)
    for ridge in path:
        fits = [
            tuple(
                fit_at(float(ridge), split.train, theta, iterations=iterations, gain=COARSE).theta
                for theta in each
            )
            for split, each in zip(splits, fits, strict=True)
        ]
        losses = [split.losses(each) for split, each in zip(splits, fits, strict=True)]
        since += 1
        if (loss := float(np.mean([min(each) for each in losses]))) < least:
            good = [one <= POOR * min(losses[-1]) for one in losses[-1]]
            kept = tuple(theta for theta, ok in zip(fits[-1], good, strict=True) if ok)
            best, least, since = (kept, float(ridge)), loss, 0
        if since == PATIENCE:
            break
    return best


def fit_at(
    ridge: float, rows: Batch, theta: Array, *, iterations: int, gain: float = FINE
) -> Solution:
    """L-BFGS, until divergence and penalty together fall by less than `gain` in a window.

    The criterion is relative: at the kinks of a relu the gradient never vanishes, and with exact
    answers the divergence itself does.

    Args:
        ridge: multiplies half the squared norm of theta, beside the divergence averaged over rows.
        rows: what to fit.
        theta: where to start.
        iterations: cap; a fit that reaches it has not converged.
        gain: relative to the value reached.
    """
    from scipy.optimize import minimize  # heavy, and many attacks end without it

    objective, floor = CrossEntropy(rows.targets), entropy(rows.targets)
    seen: list[float] = []

    def cost(at: Array) -> tuple[float, Array]:
        value, by_score = objective.value(rows.model.scores(at))
        value += 0.5 * ridge * float(at @ at) - floor
        return value, rows.model.gradient(at, by_score) + ridge * at

    def watch(intermediate_result: "OptimizeResult") -> None:
        seen.append(float(intermediate_result.fun))
        if len(seen) > WINDOW and seen[-1 - WINDOW] - seen[-1] < gain * abs(seen[-1]):
            raise StopIteration

    options: dict[str, float] = {"maxiter": iterations, "maxfun": 2 * iterations, "maxcor": 20}
    options |= {"ftol": 0.0, "gtol": 1e-9}
    found = minimize(cost, theta, jac=True, method="L-BFGS-B", callback=watch, options=options)
    ended = len(seen) < iterations and found.nfev < 2 * iterations
    return Solution(np.asarray(found.x), float(found.fun), ended)


def divergence(scores: Array, targets: Array) -> float:
    """Mean Kullback-Leibler divergence of the softmax of scores (n, k) from the targets."""
    cross = -float(np.vdot(targets, log_softmax(scores, axis=1))) / len(targets)
    return max(cross - entropy(targets), 0.0)  # rounding errors may carry it below


def entropy(targets: Array) -> float:
    """Mean entropy of distributions (n, k): the least cross-entropy that a model can reach."""
    return -float(xlogy(targets, targets).sum()) / len(targets)
