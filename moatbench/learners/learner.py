"""Train a surrogate of a family on purchased answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from moatbench.learners.fit import HELD_OUT, LAST, Fit, held_out
from moatbench.learners.ridge_path import Batch, Split, Thetas, fit_at, walk
from moatbench.models.embedding import Embedding, HiddenLayer, gaussian
from moatbench.models.kernels import Metric, measured
from moatbench.models.linear import Linear, design
from moatbench.models.network import Network
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.newton import STEPS, Logistic, descend_path
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

if TYPE_CHECKING:
    from moatbench.learners.published import AnyFit

HIDDEN, ACTIVATION = 20, "tanh"  # where the service does not publish them
STARTS = 3  # of a network
SUPPORT = 20  # support vectors a column, as a guess
UNTESTED = 1e-3  # the ridge where there are fewer
SEARCH = 500  # iterations at each ridge of a path
ROUND, NETWORK_ROUND = 100, 25  # where the fit only serves to choose the next queries
STALE = 1.2  # times as many rows, and a ridge is chosen anew
FEW = 500  # labels, below which a fifth of them is too few to choose a ridge of many classes
NEWTON = 1500  # columns at most for Newton's method
# Where a victim's classes are level, on numeric columns of [-1, 1]: in the midst of its data, which
# lie below the middle of most columns' range (amounts, counts, intensities are skewed).
LEVEL = -0.3
BINARY_PATH: Array = 10.0 ** -np.arange(1.0, 11.0)  # ridges


@dataclass(frozen=True)
class Learner:
    """Cross-entropy on labels or soft labels, run to convergence, with a ridge chosen by the data.

    The ridge comes down a path, and held-out purchases say where to stop: with exact answers at its
    end; with rounded, noisy or bare labels before. Afterwards the held-out rows are trained on too.

    Args:
        space: what the API takes.
        k: classes.
        family: softmax (at k = 2 logistic regression), one_vs_rest, mlp; poly or rbf, softmax in
            the feature space of a kernel; linear_probe, softmax on a public hidden layer.
        hidden: units of an mlp.
        activation: of an mlp: tanh, logistic or relu.
        note: what a surrogate should say about its learner.
        embedding: into the feature space; None where there is none, or it is still to be chosen.
        gamma: of an rbf, where the service publishes it.
        metric: where its kernel measures distances: a factor for each encoded column, or a row of
            factors for each coordinate; () is on encoded columns.
        level: where numeric columns have their origin, so that the ridge on all unknowns, the
            intercepts too, takes the classes to be level there.
        in_turn: whether each fifth of few rows is held out in turn to choose the ridge.
        reduced: whether the first name of each raw code has no column of its own: with the
            intercept it would say twice what the others say, and no answers could tell them apart.
    """

    space: InputSpace
    k: int
    family: str
    hidden: int = HIDDEN
    activation: str = ACTIVATION
    note: str = ""
    embedding: Embedding | None = None
    gamma: float | None = None
    metric: Metric = ()
    level: float = 0.0
    in_turn: bool = False
    reduced: bool = False

    def levelled(self) -> "Learner":
        """Return one that expects level classes where data lie: for answers that tell little.

        Uniform queries pin a model down around the middle of the cube. How it goes on from there
        to where real inputs lie is left to the ridge, and so to the origin. Kernels stay, and so do
        spaces with more categories than numbers: there the middle is the better guess.
        """
        own = self.family in ("softmax", "one_vs_rest", "mlp")
        space = self.space
        numbers = int(np.count_nonzero(np.delete(space.numeric, space.coded)))
        mostly = numbers >= len(space.groups) + len(space.coded)
        return replace(self, level=LEVEL) if own and mostly else self

    def for_labels(self) -> "Learner":
        """Return one for bare labels: levelled, and careful with the ridge of a linear model."""
        return replace(self.levelled(), in_turn=self.family in ("softmax", "one_vs_rest"))

    def unlevelled(self, theta: Array) -> Array:
        """Return the unknowns of the same linear model on columns whose origin is their middle."""
        coef = theta.reshape(self.k, -1).copy()
        coef[:, -1] -= coef[:, :-1] @ self._origin
        return coef.ravel()

    @cached_property
    def _origin(self) -> Array:
        """Place of the origin, on encoded columns."""
        numeric = np.delete(self.space.numeric, self.space.coded)
        width = self.encoded(self.space.low[None]).shape[1]
        return np.where(np.pad(numeric, (0, width - len(numeric))), self.level, 0.0)

    @property
    def unknowns(self) -> int:
        """Equations that determine the model."""
        if self.family == "rbf":  # as many as it has support vectors, whose number is not known
            return int(SUPPORT * (self.space.encode(self.space.low[None]).shape[1] + 1))
        return int(self.model(self.space.low[None]).unknowns)

    def fit(
        self,
        x: Array,
        targets: Array,
        rng: Generator,
        resume: "AnyFit | None" = None,
        brief: bool = False,
    ) -> Fit:
        """Train.

        Args:
            x: (n, d) inputs, in the API's units.
            targets: (n, k) labels or soft labels, rows summing to one.
            rng: draws the starts of a network.
            resume: an earlier fit to go on from, on a path cut to its ridge's neighbours.
            brief: whether the fit only serves to choose the next queries, and need not end.
        """
        resume = resume if isinstance(resume, Fit) else None
        if self.family == "rbf" and self.embedding is None:
            known = resume.learner.embedding if resume else None
            embedding = gaussian(self.encoded(x), targets, known, self.gamma)
            resume = resume.moved(embedding) if resume else None
            return replace(self, embedding=embedding).fit(x, targets, rng, resume, brief)
        model = self.model(x)
        choice = resume if resume and len(x) < STALE * resume.chosen_at else None
        if isinstance(model, Linear) and self.k == 2 and model.a.shape[1] <= NEWTON:
            fit = self._fit_binary(model.a, targets[:, 1], resume, choice)
            return replace(fit, taught=(x, targets))
        rows = Batch(model, targets)
        if choice is None:
            cap = self._round if brief and resume else SEARCH
            choice = self._choose(x, targets, resume, self._begin(model, rng), cap)
        cap = self._round if brief else LAST
        fits = [fit_at(choice.ridge, rows, theta, iterations=cap) for theta in choice.thetas]
        converged = all(fit.converged for fit in fits)
        thetas = tuple(fit.theta for fit in fits)
        return replace(choice, thetas=thetas, converged=converged, taught=(x, targets))

    def _fit_binary(self, a: Array, y: Array, resume: Fit | None, choice: Fit | None) -> Fit:
        """Fit the difference of two scores; each answer, left out in turn, chooses the ridge."""
        w = np.zeros(a.shape[1])
        if resume:
            w = np.diff(resume.thetas[0].reshape(2, -1), axis=0)[0]
        ridge, chosen_at = (choice.ridge, choice.chosen_at) if choice else (UNTESTED, len(y))
        if choice is None and len(y) >= HELD_OUT:
            w, ridge, _ = descend_path(a, y, BINARY_PATH, w)
        found = Logistic(a, y, ridge).fit(w, STEPS)
        thetas = (np.concatenate([-found.theta, found.theta]) / 2,)
        return Fit(self, thetas, thetas, ridge, chosen_at, found.converged)

    def _choose(self, x: Array, targets: Array, resume: Fit | None, begin: Thetas, cap: int) -> Fit:
        """Let held-out rows choose the ridge, and which of the models to keep."""
        thetas, ridge = resume.rehearsed if resume else begin, UNTESTED
        if len(x) >= HELD_OUT:
            turns = HELD_OUT if self.in_turn and len(x) < FEW else 1
            splits = [self._split(x, targets, back) for back in reversed(range(turns))]
            thetas, ridge = walk(splits, thetas, self._path(resume), cap)
        return Fit(self, thetas, thetas, ridge, len(x), False)

    def _split(self, x: Array, targets: Array, back: int) -> Split:
        """Hold out every fifth row, or those so many places before them."""
        held = held_out(len(x), back)
        parts = (Batch(self.model(x[part]), targets[part]) for part in (~held, held))
        return Split(*parts)

    def model(self, x: Array) -> Linear | OneVsRest | Network:
        """Return the model on the rows of x (n, d): scores (n, k) as a function of theta."""
        z = self.encoded(x)
        if self.level:
            z = z - self._origin
        a = design(z if self.embedding is None else self.embedding(z))
        if self.family == "mlp":
            return Network(a, self.k, self.hidden, self.activation)
        return OneVsRest(a, self.k) if self.family == "one_vs_rest" else Linear(a, self.k)

    def parameters(self, theta: Array) -> Mapping[str, Array]:
        """Name a model's parameters, on encoded columns."""
        found, known = self.model(self.space.low[None]).parameters(theta), self.embedding
        return known.parameters(found) if isinstance(known, HiddenLayer) else found

    def encoded(self, x: Array) -> Array:
        """(n, m) the columns that the scores are a function of."""
        z = measured(self.space.encode(x), self.metric)
        if not (self.reduced and self.space.coded.size):
            return z
        sizes = self.space.high[self.space.coded].astype(np.int64) + 1
        firsts = z.shape[1] - sizes.sum() + np.cumsum(sizes) - sizes
        return np.delete(z, firsts, axis=1)

    def _begin(self, model: Linear | OneVsRest | Network, rng: Generator) -> Thetas:
        return tuple(model.begin(rng) for _ in range(STARTS if self.family == "mlp" else 1))

    @property
    def _round(self) -> int:
        """Iterations of a brief fit: a network's cost more, and it goes on in the next round."""
        return NETWORK_ROUND if self.family == "mlp" else ROUND

    def _path(self, resume: Fit | None) -> Array:
        path: Array = 10.0 ** -np.arange(1.0, 10.0)
        if self.family == "mlp":
            path = np.array([3e-2, 1e-2, 3e-3, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7])
        if resume is None:
            return path
        near: Array = path[(path < 11 * resume.ridge) & (path > resume.ridge / 11)]
        return near
