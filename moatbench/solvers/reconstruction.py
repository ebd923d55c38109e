"""From bought answers to a surrogate: the most telling fit with which they are consistent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from moatbench.client import Card, Surrogate
from moatbench.learners.published import PUBLISHED, fitted_to, smooth_learner
from moatbench.learners.purchases import Purchases
from moatbench.models.linear import Linear, clear_rows, visible
from moatbench.models.network import Network
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.minimise import Solution
from moatbench.numerics.objectives import LogOdds
from moatbench.reply import Reply, from_outputs
from moatbench.solvers import intervals, readings
from moatbench.solvers.edges import Edges
from moatbench.solvers.grids import Decimals, Steps
from moatbench.solvers.network_solver import solve_network
from moatbench.solvers.noise_likelihood import Law
from moatbench.solvers.noisy import Noisy
from moatbench.solvers.pooled_odds import PooledOdds
from moatbench.solvers.rounded import Rounded
from moatbench.solvers.withheld import fit_withheld
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Rows

LABELS = Decimals(0)
CUT = 4  # decimals that answers are taken to have where classes are left out
SOLVED, LEAST = "equations solved", "least solution of too few equations"
OPEN = "least solution: what was asked tells nothing in some directions"
LIKELIEST = "likelihood of the noise"
NEARLY = "equations all but solved"
CLOSE = 1e-6  # half the mean squared gap in log-odds of a fit that errs on a few answers alone
NULL = 1e-12  # curvature, relative to the largest, along which answers tell nothing
SLACK = 1.8  # equations an unknown below which a network's solver ends in local minima
HOPELESS = 4  # equations an unknown with which a solver that fails has met answers with errors


class Known(NamedTuple):
    """What an attacker knows of how answers are made.

    `law` is that of noise which was added before clipping and normalising; `grid` is what they are
    rounded to (decimals show by themselves, too). None is unknown, or does not apply.
    """

    law: Law | None = None
    grid: Steps | None = None


NOTHING = Known()


class Reconstruction:
    """Fits the published family to more and more answers; an exact solution is kept as it holds.

    Args:
        card: tells the family, the classes and the space.
        intervals: whether rounded answers are taken for bounds on the probabilities.
        rng: draws the starts of fits.
        known: of the answers.
    """

    def __init__(self, card: Card, intervals: bool, rng: Generator, known: Known = NOTHING) -> None:
        self._space = card.space
        self._learner = replace(smooth_learner(PUBLISHED, card), reduced=True)
        self._intervals, self._rng = intervals, rng
        self._rounded = Rounded(self._learner, rng)
        self._noisy = Noisy(self._learner, known.law, rng) if known.law is not None else None
        self._grid = known.grid if intervals else None
        self._known: Array | None = None
        self._inexact = False

    def __call__(
        self, bought: Purchases, probes: Sequence[Rows] = (), edges: Edges | None = None
    ) -> Surrogate:
        """Fit to the answers, at least one.

        Args:
            bought: the answers.
            probes: rows of theirs, for `solve_network`.
            edges: what bisection has found so far.
        """
        rows = usable(bought)
        x, answers = bought.x[rows], bought.outputs[rows]
        if self._noisy is not None:
            return self._likeliest(bought, rows)
        grid = self._grid_of(answers)
        if grid is None:
            answers = readings.completed(answers)
            cut = (answers == 0).any(axis=1) & (answers.sum(axis=1) < 1 - readings.EXACT)
            grid = Decimals(CUT) if cut.any() else None
            whole = [np.searchsorted(rows, p) for p in probes if np.isin(p, rows).all()]
            fit = self._solve(x, answers, whole)
            if self._known is None and cut.any() and (pooled := self._pooled(x, answers)):
                fit = pooled
            if fit is not None and self._known is not None:
                return self._surrogate(fit, SOLVED, exact=True)
            if len(rows) < len(bought) and (mixed := self._withheld(bought, rows, answers)):
                return self._surrogate(mixed, "some answers withheld")
            if fit is not None:
                return self._surrogate(fit, self._undetermined(x, answers))
        rounded = grid if self._intervals and grid != LABELS else None
        if rounded and (found := self._rounded.fit(x, answers, rounded, edges)) is not None:
            count = f", {edges.count} edges" if edges is not None else ""
            return self._surrogate(found[0], f"intervals at {rounded.note}{count}", found[1])
        return self._soft(bought)

    @property
    def turn(self) -> int:
        """After how many queries to ask for `edges` or `questions`; 0 is never."""
        if self._noisy is not None:
            return self._noisy.turn
        return self._rounded.turn if self._intervals else 0

    @property
    def noisy(self) -> bool:
        """Whether the answers carry noise of a known law."""
        return self._noisy is not None

    def foretold(self, bought: Purchases) -> bool:
        """Whether the answers suffice to plan `edges`: as many as `turn`, and not all alike.

        Refusals, bare labels and classes that hardly any row has leave too few.
        """
        if self._noisy is not None:
            return True
        answers = bought.outputs[usable(bought)]
        return len(answers) >= self.turn and bool(np.ptp(answers, axis=0).any())

    def edges(self, bought: Purchases) -> Edges | None:
        """Plan bisections; None where there are no edges, or none that a model explains."""
        rows = usable(bought)
        answers = bought.outputs[rows]
        grid = self._grid_of(answers)
        if self._noisy is not None or grid in (None, LABELS) or not len(rows):
            return None
        return self._rounded.edges(bought.x[rows], answers, grid)

    def extremes(self, bought: Purchases) -> Array:
        """Return points to ask about before `edges`; none where it does not matter."""
        rows = usable(bought)
        answers = bought.outputs[rows]
        grid = self._grid_of(answers)
        if self._noisy is not None or grid is None or grid == LABELS or not len(rows):
            return bought.x[:0]
        return self._rounded.extremes(bought.x[rows], answers, grid)

    def questions(self, bought: Purchases, n: int) -> Array:
        """Choose what to ask next, after n queries; nothing where it does not matter."""
        rows = usable(bought)
        if self._noisy is None:
            return bought.x[:0]
        return self._noisy.questions(bought.x[rows], _whole(bought.outputs[rows]), n)

    def _likeliest(self, bought: Purchases, rows: Rows) -> Surrogate:
        """Fit to noisy answers, those of these rows."""
        assert self._noisy is not None
        fit = None
        if len(rows):
            fit = self._noisy.fit(bought.x[rows], _whole(bought.outputs[rows]))
        return self._soft(bought) if fit is None else self._surrogate(fit, LIKELIEST)

    def _grid_of(self, answers: Array) -> Steps | None:
        """Return what the answers are rounded to, as is known or as they show."""
        places = readings.decimals(answers)
        return self._grid or (None if places is None else Decimals(places))

    def _soft(self, bought: Purchases) -> Surrogate:
        learner = fitted_to(self._learner, targets := bought.targets())
        soft = learner.fit(bought.x, targets, self._rng)
        note = "soft labels" if learner is self._learner else "labels: all answers are 0 or 1"
        if not np.isfinite(bought.outputs).any():
            note = "labels: no confidences came"
        return replace(soft.surrogate(), note=note)

    def _solve(self, x: Array, answers: Array, probes: Sequence[Rows]) -> Solution | None:
        """Solve for exact answers; None where they are too few, or contradict each other."""
        model, odds = self._learner.model(x), LogOdds(answers)
        if self._known is not None and readings.explained(model.scores(self._known), answers):
            return Solution(self._known, 0.0, True)
        self._known = None
        if self._inexact or not (probes or _solvable(model, odds)):
            return None
        if isinstance(model, Network):
            fit = solve_network(model, answers, self._rng, probes)
        else:
            fit = model.solve(answers, self._rng)
        if readings.explained(model.scores(fit.theta), answers) and _determined(
            model, odds, fit.theta
        ):
            # Too few equations hold for many parameters, of which the least are not the victim's.
            enough = odds.equations >= model.unknowns and not self._lacks_rank(model, answers)
            self._known = fit.theta if enough else None
            return fit
        if odds.reported.all() and odds.equations >= model.unknowns and fit.value < CLOSE:
            return fit  # a rectifier that few answers switch on is not determined; the rest is
        # Answers with classes left out may also leave coefficients out.
        self._inexact = bool(odds.reported.all()) and odds.equations >= HOPELESS * model.unknowns
        return None

    def _pooled(self, x: Array, answers: Array) -> Solution | None:
        """Solve for the exact probabilities of some classes; None where they are too few."""
        model, odds = self._learner.model(x), PooledOdds(answers)
        if odds.equations < model.unknowns:
            return None
        if self._known is not None and odds.explained(model.scores(self._known), readings.EXACT):
            return Solution(self._known, 0.0, True)
        fit = intervals.fit_pooled(model, answers, self._rng)
        scores = model.scores(fit.theta)
        if not odds.explained(scores, readings.EXACT):
            return None
        normal = model.normal(fit.theta, odds.curvature(scores))
        if not _full(normal, model.unknowns):
            return None
        self._known = fit.theta
        return fit

    def _withheld(self, bought: Purchases, rows: Rows, answers: Array) -> Solution | None:
        """Fit to the answers of these rows, and to the labels of all others."""
        rest = np.setdiff1d(np.arange(len(bought)), rows)
        model = self._learner.model(bought.x[np.concatenate([rows, rest])])
        if isinstance(model, Network) or not len(rows) or (answers < 0).any():
            return None
        start = self._learner.fit(bought.x, bought.targets(), self._rng).thetas[0]
        return fit_withheld(model, answers, bought.labels[rest], start)

    def _undetermined(self, x: Array, answers: Array) -> str:
        """Say why equations that hold tell no parameters."""
        if LogOdds(answers).equations < self._learner.model(x[:1]).unknowns:
            return LEAST
        return OPEN if self._lacks_rank(self._learner.model(x), answers) else NEARLY

    def _lacks_rank(self, model: Linear | OneVsRest | Network, answers: Array) -> bool:
        """Whether some name of a raw code was never asked, or always with another; or some unit.

        A unit of a public layer may be off for all inputs that were asked, and on for others.
        """
        known = self._learner.embedding is not None
        if isinstance(model, Network) or not (known or self._space.coded.size):
            return False
        width = model.a.shape[1]
        return not visible(model.a[clear_rows(answers, width)])

    def _surrogate(self, fit: Solution, note: str, exact: bool = False) -> Surrogate:
        def predict(x: Array) -> Reply:
            scores = self._learner.model(x).scores(fit.theta)
            return from_outputs(np.asarray(softmax(scores, axis=1)))

        parameters = {}
        if exact:
            parameters = in_units(self._learner.parameters(fit.theta), self._space)
        return Surrogate(predict, parameters, fit.converged, note)


def usable(bought: Purchases) -> Rows:
    """Rows whose answers are distributions, or parts of them."""
    return np.flatnonzero((bought.outputs >= 0).all(axis=1) & (bought.outputs.sum(axis=1) > 0))


def _whole(answers: Array) -> Array:
    """Scale each row to sum to one."""
    whole: Array = answers / answers.sum(axis=1, keepdims=True)
    return whole


def _solvable(model: Linear | OneVsRest | Network, odds: LogOdds) -> bool:
    """Whether it is worth trying."""
    told_classes = odds.reported.sum(axis=1)
    if model.k > 2 and np.ptp(told_classes) > 1:
        return False  # zeros here and there come from noise that was clipped
    if isinstance(model, Linear) and odds.reported.all():
        return True  # of too few answers the least solution serves
    return odds.equations >= model.unknowns * (SLACK if isinstance(model, Network) else 1)


def _determined(model: Linear | OneVsRest | Network, odds: LogOdds, theta: Array) -> bool:
    """Whether the answers fix all parameters; all of them do, if they are enough."""
    if odds.reported.all():
        return True
    normal = model.normal(theta, odds.curvature(model.scores(theta)))
    return _full(normal, model.unknowns)


def _full(normal: Array, unknowns: int) -> bool:
    """Whether a normal matrix has so many dimensions."""
    sizes = np.linalg.eigvalsh(normal, UPLO="U")
    return int((sizes > NULL * sizes[-1]).sum()) >= unknowns


def in_units(parameters: Mapping[str, Array], space: InputSpace) -> dict[str, Array]:
    """Turn parameters on columns scaled to [-1, 1] into those on the API's own units.

    Where it takes raw codes, they stand at the end: 0 and 1 for each name of a code but the first.
    """
    real = np.delete(np.arange(space.d), space.coded)
    names = int(space.high[space.coded].sum())
    low = np.concatenate([space.low[real], np.zeros(names)])
    high = np.concatenate([space.high[real], np.ones(names)])
    centre, half = (low + high) / 2, (high - low) / 2
    found = dict(parameters)
    if "w1" in found:  # a network's first layer: (d, hidden)
        found["w1"] = found["w1"] / half[:, None]
        found["b1"] = found["b1"] - centre @ found["w1"]
    else:
        found["coef"] = found["coef"] / half
        found["intercept"] = found["intercept"] - found["coef"] @ centre
    return found
