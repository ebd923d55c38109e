"""From bought answers to kernel logistic regression, its representers included."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import softmax

from moatbench.client import Card, Surrogate
from moatbench.learners.published import smooth_learner
from moatbench.learners.purchases import Purchases
from moatbench.models import forward
from moatbench.models.kernel_logistic import KernelLogistic, kernel_scores
from moatbench.models.kernels import measured
from moatbench.numerics.minimise import Solution
from moatbench.numerics.objectives import LogOdds
from moatbench.reply import Reply, from_outputs
from moatbench.solvers import readings
from moatbench.solvers.edges import Edges
from moatbench.types import Array, Generator, Rows

SLACK = 1.5  # equations an unknown below which the search ends in local minima
MORE = 1.5  # times as many equations, and a search that failed is tried again
HOPELESS = 4  # equations an unknown with which a search that fails has met answers with errors
CANDIDATES = 2000  # representers that the searches start from
STARTED = 500  # the same, for rounded answers
BETTER = 0.5  # of a linear fit's error, or the answers are more than rounded


class KernelReconstruction:
    """Fits kernel logistic regression to more and more answers, and keeps an exact solution.

    Args:
        card: tells the kernel's gamma, the number of representers, the classes and the space.
        intervals: whether rounded answers are taken for bounds on the probabilities.
        rng: draws the starts of fits.
    """

    def __init__(self, card: Card, intervals: bool, rng: Generator) -> None:
        self._card, self._intervals, self._rng = card, intervals, rng
        self._known: Array | None = None
        self._failed = 0  # equations with which the last search failed

    turn = 0  # never bisect: there are too many unknowns
    noisy = False

    def foretold(self, bought: Purchases) -> bool:
        """Whether the answers suffice to plan `edges`, of which there are none."""
        return True

    def edges(self, bought: Purchases) -> Edges | None:
        """Plan no bisections."""
        return None

    def extremes(self, bought: Purchases) -> Array:
        """Ask about no extremes."""
        return bought.x[:0]

    def questions(self, bought: Purchases, n: int) -> Array:
        """Choose no queries."""
        return bought.x[:0]

    def __call__(
        self, bought: Purchases, probes: Sequence[Rows] = (), edges: Edges | None = None
    ) -> Surrogate:
        """Fit to the answers, at least one."""
        rows = (bought.outputs >= 0).all(axis=1) & (bought.outputs.sum(axis=1) > 0)
        x, answers = bought.x[rows], bought.outputs[rows]
        places = readings.decimals(answers)
        if places is None and (fit := self._solve(x, answers)) is not None:
            return self._surrogate(fit, "equations solved")
        linear = smooth_learner("softmax", self._card).fit(bought.x, bought.targets(), self._rng)
        if places and self._intervals:
            gap = float(np.abs(linear.outputs(x) - answers).mean())
            if (fit := self._approximate(x, answers, places, gap)) is not None:
                return self._surrogate(fit, f"fit to {places} decimals")
        # Too few answers do not determine the representers: a linear model then errs less than a
        # kernel one from any start (Digits: test fidelity).
        return replace(linear.surrogate(), note="softmax on soft labels")

    def _approximate(self, x: Array, answers: Array, places: int, gap: float) -> Solution | None:
        """Fit to rounded answers; None where they are too few, or it hardly lessens the gap."""
        model = self._model(x)
        if LogOdds(answers).equations < SLACK * model.unknowns:
            return None
        space = self._card.space
        inputs = self._measured(space.sample_cube(STARTED, self._rng))
        fit = model.approximate(answers, 0.5 * 10.0**-places, inputs)
        left = np.abs(softmax(model.scores(fit.theta), axis=1) - answers).mean()
        return fit if left < BETTER * gap else None

    def _solve(self, x: Array, answers: Array) -> Solution | None:
        """Solve for exact answers; None where they are too few, or contradict each other."""
        whole = (answers > 0).all(axis=1)
        model, answers = self._model(x[whole]), answers[whole]
        if self._known is not None and readings.explained(model.scores(self._known), answers):
            return Solution(self._known, 0.0, True)
        self._known = None
        equations = LogOdds(answers).equations
        hopeless = self._failed >= HOPELESS * model.unknowns
        if hopeless or equations < max(SLACK * model.unknowns, MORE * self._failed):
            return None
        space = self._card.space
        inputs = self._measured(space.sample_cube(CANDIDATES, self._rng))
        fit = model.solve(answers, inputs, self._rng)
        if readings.explained(model.scores(fit.theta), answers):
            self._known = fit.theta
            return fit
        self._failed = equations  # maybe in a local minimum, of which more answers leave fewer
        return None

    def _measured(self, x: Array) -> Array:
        """(n, r) the inputs where the kernel measures distances."""
        return measured(self._card.space.scaled(x), self._card.architecture.get("metric", ()))

    def _model(self, x: Array) -> KernelLogistic:
        known = self._card.architecture
        return KernelLogistic(
            self._measured(x),
            len(self._card.classes),
            float(known["gamma"]),
            int(known["representers"]),
        )

    def _surrogate(self, fit: Solution, note: str) -> Surrogate:
        model = self._model(self._card.space.low[None])
        (representers, coef), gamma = model.parts(fit.theta), model.gamma

        def predict(x: Array) -> Reply:
            z = self._measured(x)
            return from_outputs(forward.softmax(kernel_scores(z, representers, coef, gamma)))

        return Surrogate(predict, model.parameters(fit.theta), fit.converged, note)


def kernel_unmet(card: Card) -> str:
    """Say what of a kernel logistic model's architecture is not published; '' where all is."""
    if card.space.coded.size:
        return "needs numbers alone, between which a kernel has distances, and the API takes codes"
    kernel = card.architecture
    numbers = [kernel.get("gamma"), kernel.get("representers")]
    if kernel.get("kernel") == "rbf" and all(isinstance(n, float | int) for n in numbers):
        return ""
    return (
        "needs an rbf kernel, its gamma and the number of representers published; the API tells "
        f"{ {k: v for k, v in kernel.items() if k != 'metric'} }"
    )
