"""Fits to answers that only bound the probabilities: rounded ones, and sums of some classes."""

from typing import Protocol

import numpy as np

from moatbench.numerics.minimise import Model, Solution, levenberg_marquardt
from moatbench.numerics.objectives import CrossEntropy, Intervals, LogOdds, Objective
from moatbench.solvers.grids import Decimals, Steps, bounds
from moatbench.solvers.log_intervals import LogIntervals
from moatbench.solvers.pooled_odds import PooledOdds
from moatbench.solvers.readings import EXACT
from moatbench.types import Array, Generator

COARSEST = 5e-3  # half a unit of rounding at which the annealing starts
SOFTNESS = (1.0, 0.3, 0.1)  # of the intervals, in turn
POOLED = 1e-24  # half the mean squared gap in log-odds of exact answers
PRIOR = 1e-3  # ridge beside the intervals: of all that fit, the least


class Fitted(Model, Protocol):
    """A model that can be fitted to answers that are not exact."""

    @property
    def least_ridge(self) -> float:
        """The least penalty with which a fit from `begin` ends where it should."""

    def begin(self, rng: Generator) -> Array:
        """Draw unknowns (m,) to start from."""

    def fit(self, objective: Objective, theta: Array, ridge: float) -> Solution:
        """Minimise the objective, with this ridge, from theta."""


def penalty(grid: Steps, answers: Array, softness: float) -> Intervals | LogIntervals:
    """Return what keeps probabilities within the steps of the answers (n, k)."""
    if isinstance(grid, Decimals):
        return Intervals(answers, 0.5 * 10.0**-grid.places, softness)
    low, high = bounds(grid, answers)
    if not grid.relative:
        return Intervals((low + high) / 2, (high - low) / 2, softness)
    cut = answers == 0  # or too small to tell: not above the least that was told
    low = np.log(low, out=np.full_like(low, -np.inf), where=~cut)
    high = np.where(cut, np.where(cut, 1.0, high).min(axis=1, keepdims=True), high)
    return LogIntervals(low, np.log(high), softness)


def fit_intervals(model: Fitted, answers: Array, grid: Steps, rng: Generator) -> Solution:
    """Fit to answers (n, k) rounded to a grid: from a plain fit, tightening by degrees.

    Cross-entropy alone takes the middle of the interval for the truth; the model that errs least
    from middles is not the one that breaks no interval.
    """
    fit = _plain(model, answers, grid, rng)
    if isinstance(grid, Decimals):
        half = 0.5 * 10.0**-grid.places
        steps = int(np.floor(np.log10(COARSEST / half) + 1e-9)) if half < COARSEST else 0
        for coarse in range(steps, 0, -1):
            fit = model.fit(Intervals(answers, half * 10.0**coarse, 1.0), fit.theta, PRIOR)
    for softness in SOFTNESS:
        fit = model.fit(penalty(grid, answers, softness), fit.theta, PRIOR)
    return fit


def _plain(model: Fitted, answers: Array, grid: Steps, rng: Generator) -> Solution:
    """Fit to middles: probabilities; and then log-odds, where they are as exact."""
    middles, narrow = answers, 0.0
    if isinstance(grid, Decimals):
        narrow = 0.5 * 10.0**-grid.places
    elif not grid.relative:
        low, high = bounds(grid, answers)
        middles, narrow = (low + high) / 2, float(high[0, 0] - low[0, 0]) / 2
    targets = CrossEntropy(middles / np.maximum(middles.sum(axis=1, keepdims=True), EXACT))
    fit = model.fit(targets, model.begin(rng), max(0.02 * narrow, model.least_ridge))
    return model.fit(LogOdds(answers), fit.theta, PRIOR) if grid.relative else fit


def fit_pooled(model: Fitted, answers: Array, rng: Generator) -> Solution:
    """Fit to exact probabilities (n, k) of some classes; the others' sum is told, too.

    The start shares that sum out evenly.
    """
    left = (answers == 0) / np.maximum((answers == 0).sum(axis=1, keepdims=True), 1)
    targets = CrossEntropy(answers + left * (1 - answers.sum(axis=1, keepdims=True)))
    start = model.fit(targets, model.begin(rng), max(PRIOR, model.least_ridge))
    return levenberg_marquardt(
        model, PooledOdds(answers), start.theta, iterations=100, target=POOLED, stall=1e-6
    )
