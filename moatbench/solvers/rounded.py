"""Fits to answers that are merely rounded."""

import numpy as np
from scipy.special import softmax

from moatbench.learners.learner import Learner
from moatbench.models.linear import Linear
from moatbench.models.network import Network
from moatbench.numerics.minimise import Solution, levenberg_marquardt
from moatbench.solvers import intervals, readings
from moatbench.solvers.edges import Edges, Joint
from moatbench.solvers.grids import Steps, bounds
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

BROKEN = 0.02  # share of broken intervals from which on the answers are not merely rounded
START = 3.5  # uniform queries an unknown before bisection: with fewer, predicted edges are far off
OVER = 1.3  # edges an unknown: few more than must be, each located the better
SHARP = 1e-6  # log-odds: edges located so well are exact answers
TELLS = 2.0  # reaches by which a fit to answers errs at edges, beyond which these know better
NULL = 1e-12  # curvature, relative to the largest, along which edges tell nothing


class Rounded:
    """Answers as bounds on probabilities; and edges, once the bounds foretell where these lie.

    Args:
        learner: its models are fitted.
        rng: draws the starts of fits, and where to bisect.
    """

    def __init__(self, learner: Learner, rng: Generator) -> None:
        self._learner, self._rng = learner, rng
        self._settled: Array | None = None  # the interval fit that the edges were planned with

    @property
    def turn(self) -> int:
        """After how many queries to ask for `edges`, whatever the budget; 0 is never."""
        model = self._learner.model(self._learner.space.low[None])
        return 0 if isinstance(model, Network) else int(START * model.unknowns)

    def edges(self, x: Array, answers: Array, grid: Steps | None) -> Edges | None:
        """Plan bisections; None unless a linear or one-vs-rest model explains rounded answers.

        A budget that ends in their midst has lost nothing: questions near edges tell as much as
        uniform ones (`benchmarks/curve_end.py`).
        """
        model = self._learner.model(x)
        count = int(OVER * model.unknowns)
        if grid is None or isinstance(model, Network):
            return None
        if (bounds(grid, answers)[1].sum(axis=1) < 1 - readings.EXACT).any():
            return None  # classes are left out: they step where they fall behind others
        theta = self._bounded(x, answers, grid).theta
        if self._broken(x, answers, grid, theta):
            return None
        self._settled = theta

        def predict(x: Array) -> Array:
            return np.asarray(softmax(self._learner.model(x).scores(theta), axis=1))

        return Edges(x, answers, grid, count, predict, self._rng, self._learner.space)

    def extremes(self, x: Array, answers: Array, grid: Steps) -> Array:
        """Return points to ask before `edges`: none, or where each class is rarest and surest.

        Edges all of one level leave the scale of the scores open. Coarse answers to uniform inputs
        may know no other; some corner of the cube does.
        """
        model, space = self._learner.model(x), self._learner.space
        if not isinstance(model, Linear) or self._learner.embedding is not None:
            return x[:0]
        if (np.ptp(grid.steps(answers), axis=0) > 1).any():
            return x[:0]
        coef = model.coef(self._bounded(x, answers, grid).theta)[:-1]
        coef = coef - coef.mean(axis=1, keepdims=True)
        return corners(space, np.hstack([coef, -coef]).T)

    def fit(
        self, x: Array, answers: Array, grid: Steps, edges: Edges | None
    ) -> tuple[Solution, bool] | None:
        """Fit, and say whether all is as good as exact; None if the answers are not just rounded.

        Args:
            x: (n, d) what was asked.
            answers: (n, k) rounded.
            grid: to what.
            edges: what bisection has found so far.
        """
        if edges is None or self._settled is None or not self._enough(x, edges):
            return self._whole(x, answers, grid)
        fit, sharp = self._bisected(x, answers, grid, edges, self._settled)
        if self._broken(x, answers, grid, fit.theta):
            return self._whole(x, answers, grid)  # the brackets are too wide yet to hold the rest
        if not sharp and (other := self._whole(x, answers, grid)) is not None:
            return other if self._foresees(other[0].theta, edges) else (fit, False)
        return fit, sharp

    def _whole(self, x: Array, answers: Array, grid: Steps) -> tuple[Solution, bool] | None:
        """Fit to the answers alone; None if they are not just rounded."""
        fit = self._bounded(x, answers, grid)
        return None if self._broken(x, answers, grid, fit.theta) else (fit, False)

    def _enough(self, x: Array, edges: Edges) -> bool:
        """Whether there is an edge for each unknown: fewer leave open what the answers tell."""
        return edges.count >= self._learner.model(x[:1]).unknowns

    def _foresees(self, theta: Array, edges: Edges) -> bool:
        """Whether a fit to answers knows the edges nearly as well as they are located by now."""
        points, crossings = edges.found()
        gap, _ = crossings.value(self._learner.model(points).scores(theta))
        return bool(np.sqrt(2 * gap) < TELLS)

    def _bounded(self, x: Array, answers: Array, grid: Steps) -> Solution:
        return intervals.fit_intervals(self._learner.model(x), answers, grid, self._rng)

    def _bisected(
        self, x: Array, answers: Array, grid: Steps, edges: Edges, start: Array
    ) -> tuple[Solution, bool]:
        """Fit to the answers before the edges, and to these, which hold the others' information."""
        points, crossings = edges.found()
        x, answers = x[: edges.since], answers[: edges.since]
        model = self._learner.model(np.concatenate([x, points]))
        objective = Joint(intervals.penalty(grid, answers, intervals.SOFTNESS[-1]), crossings)
        fit = levenberg_marquardt(model, objective, start, iterations=60, stall=1e-3)
        if len(points) < model.unknowns or crossings.reach.max() > SHARP:
            return fit, False
        alone = self._learner.model(points)
        normal = alone.normal(fit.theta, crossings.curvature(alone.scores(fit.theta)))
        sizes = np.linalg.eigvalsh(normal, UPLO="U")
        return fit, int((sizes > NULL * sizes[-1]).sum()) >= model.unknowns

    def _broken(self, x: Array, answers: Array, grid: Steps, theta: Array) -> bool:
        scores = self._learner.model(x).scores(theta)
        return intervals.penalty(grid, answers, 1.0).broken(scores) > BROKEN


def corners(space: InputSpace, slopes: Array) -> Array:
    """(m, d) the inputs at which sums with these slopes are largest.

    Args:
        space: of the inputs.
        slopes: (m, columns) of numbers, and then of the names of each code but the first.
    """
    if not space.coded.size:
        return np.where(slopes > 0, space.high, space.low)
    real = np.delete(np.arange(space.d), space.coded)
    of_numbers, of_names = np.split(slopes, [len(real)], axis=1)
    x = np.empty((len(slopes), space.d))
    x[:, real] = np.where(of_numbers > 0, space.high[real], space.low[real])
    ends = np.cumsum(space.high[space.coded]).astype(np.int64)
    for code, part in zip(space.coded, np.split(of_names, ends[:-1], axis=1), strict=True):
        x[:, code] = np.hstack([np.zeros((len(part), 1)), part]).argmax(axis=1)
    return x
