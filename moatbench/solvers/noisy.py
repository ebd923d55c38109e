"""Fits to answers with noise of a known law, and what to ask next."""

from math import ceil

import numpy as np
from scipy.special import softmax

from moatbench.learners.learner import Learner
from moatbench.models.linear import Linear
from moatbench.models.network import Network
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.minimise import Solution, descend, levenberg_marquardt
from moatbench.search.boundary import Segments, bisect, on_plane, opposites
from moatbench.search.doubt import most_uncertain
from moatbench.solvers.noise_likelihood import Law, NoisyAnswers
from moatbench.types import Array, Generator, Labels

START = 0.25  # uniform queries an unknown before any are chosen
GROWTH = 0.25  # queries of a round, as a share of those made before
CHOSEN = 0.75  # of a round's queries, those on the boundary; the others are uniform
CHOICE, MOST = 8, 2000  # candidates for each query that is chosen; and at most
ENDS = 4  # points to pair up, for each candidate
REACH = 1.0  # log-odds from the boundary within which candidates lie
WEAK = 0.1  # of the ridge that the first fit suggests, to begin with
ROUNDS, SETTLED = 4, 0.3  # of the ridge; relative change that is small
STEPS = 60  # of Levenberg-Marquardt at each ridge
SEARCH, LEVEL = 1000, 1e-4  # iterations of a network's fit, and the gradient that ends it


class Noisy:
    """The most probable model, given noisy answers and a normal prior on its unknowns.

    The prior's width is the one under which the answers are most probable; it takes the classes to
    be level where data lie (`Learner.levelled`).

    Args:
        learner: its models are fitted.
        law: of the noise.
        rng: draws the starts of fits, and where to ask.

    Source: MacKay 1992, "Bayesian interpolation", sec. 4.4, for the width.
    """

    def __init__(self, learner: Learner, law: Law, rng: Generator) -> None:
        self._law, self._rng = law, rng
        self._learner = learner if learner.family == "mlp" else learner.levelled()
        self._guide: Array | None = None

    @property
    def turn(self) -> int:
        """After how many uniform queries to let fits choose others, whatever the budget; 0: never.

        Rounds grow with what was asked, so that early ones, which know little, spend little.
        """
        model = self._learner.model(self._learner.space.low[None])
        return 0 if isinstance(model, Network) else ceil(START * model.unknowns)

    def fit(self, x: Array, answers: Array) -> Solution | None:
        """Fit to answers (n, k) to the rows of x (n, d); None where there are too few of them."""
        found = self._fit(x, answers)
        if found is None or not self._learner.level:
            return found
        return found._replace(theta=self._learner.unlevelled(found.theta))

    def _fit(self, x: Array, answers: Array) -> Solution | None:
        model = self._learner.model(x)
        few = len(x) * (model.k - 1) < model.unknowns
        if isinstance(model, Network):
            return None if few else self._network(model, x, answers)
        theta, ridge = self._guide, 1 / len(x)
        if theta is None:
            theta = self._learner.fit(x, answers, self._rng).thetas[0]
            ridge = WEAK * model.unknowns / (len(x) * float(theta @ theta) + 1e-9)
        return self._descended(model, NoisyAnswers(answers, self._law), theta, ridge)

    def questions(self, x: Array, answers: Array, n: int) -> Array:
        """Choose a round of queries after the n made so far, to which these are the answers."""
        space, count = self._learner.space, ceil(GROWTH * n)
        chosen = space.sample_cube(0, self._rng)
        if len(x) and (fit := self._fit(x, answers)) is not None:
            self._guide = fit.theta
            chosen = self._uncertain(x, fit.theta, int(CHOSEN * count))
        uniform = space.sample_cube(count - len(chosen), self._rng)
        return self._rng.permutation(np.vstack([chosen, uniform]))

    def _uncertain(self, x: Array, theta: Array, n: int) -> Array:
        """Choose up to n points near the boundary: of many, those that would tell it most.

        An answer far from it says only that its class is sure, however many are bought.
        """
        candidates = self._crossings(theta, min(max(CHOICE * n, n), max(MOST, n)))
        if len(candidates) <= n:
            return candidates
        model = self._learner.model(x)
        p = np.asarray(softmax(model.scores(theta), axis=1))
        weight = 2 * ((p * (1 - p)) ** 2).sum(axis=1)  # a quarter where two classes are level
        precision = (model.a * weight[:, None]).T @ model.a
        precision[np.diag_indices(len(precision))] += self._law.sigma**2
        features = self._learner.model(candidates).a
        return candidates[most_uncertain(features, precision, n)]

    def _crossings(self, theta: Array, m: int) -> Array:
        """Find up to m points near the boundary between two of the model's classes."""
        space, model = self._learner.space, self._learner.model(self._learner.space.low[None])
        flat = self._learner.embedding is None and not space.coded.size
        if isinstance(model, Linear) and model.k == 2 and flat:
            # There may be no pair on both sides
            plain = self._learner.unlevelled(theta)
            normal = np.diff(model.coef(plain), axis=1)[:, 0]
            offset = normal[-1] + self._rng.uniform(-REACH, REACH, m)
            z = space.encode(space.sample_cube(m, self._rng))
            return on_plane(z, space, normal[:-1], offset)
        ends = space.sample_cube(ENDS * m, self._rng)

        def labels(x: Array) -> Labels:
            return np.asarray(self._learner.model(x).scores(theta).argmax(axis=1), np.int64)

        start, end = opposites(labels(ends), np.arange(m), self._rng)
        return bisect(Segments.between(ends[start], ends[end], space, False, self._rng), labels)

    def _descended(
        self, model: Linear | OneVsRest, objective: NoisyAnswers, theta: Array, ridge: float
    ) -> Solution:
        """Fit, and fit again under the prior that the last fit makes most probable."""
        n = len(objective.answers)
        for _ in range(ROUNDS):
            fit = levenberg_marquardt(
                model, objective, theta, iterations=STEPS, ridge=ridge, stall=1e-6
            )
            theta = fit.theta
            normal = model.normal(theta, objective.curvature(model.scores(theta)))
            sizes = np.linalg.eigvalsh(normal, UPLO="U").clip(0)
            determined = float((sizes / (sizes + ridge)).sum())
            before, ridge = ridge, determined / (n * float(theta @ theta) + 1e-9)
            if abs(np.log(ridge / before)) < SETTLED:
                break
        return fit

    def _network(self, model: Network, x: Array, answers: Array) -> Solution:
        """Fit a network, all of whose unknowns the prior takes for determined."""
        theta = self._learner.fit(x, answers, self._rng).thetas[0]
        ridge = model.unknowns / (len(x) * float(theta @ theta))
        objective = NoisyAnswers(answers, self._law)
        return descend(model, objective, theta, iterations=SEARCH, ridge=ridge, tolerance=LEVEL)
