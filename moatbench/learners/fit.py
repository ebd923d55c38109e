"""What a learner found: a surrogate, where it doubts, and from where the next round goes on."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import softmax

from moatbench.client import Surrogate
from moatbench.learners.ridge_path import Batch, Thetas, fit_at
from moatbench.models.embedding import Nystrom
from moatbench.models.linear import Linear
from moatbench.models.network import Network
from moatbench.reply import Reply, from_outputs
from moatbench.search.doubt import most_uncertain
from moatbench.types import Array, Labels, Mask, Rows

if TYPE_CHECKING:
    from moatbench.learners.learner import Learner

HELD_OUT = 5  # every fifth row chooses the ridge
LAST = 5000  # iterations of the fit to all rows


@dataclass(frozen=True)
class Fit:
    """A trained surrogate: the average of the models that explain held-out answers best.

    Args:
        learner: what trained it.
        thetas: the unknowns of each model.
        rehearsed: the same before the held-out rows were added; the next round starts from them.
        ridge: the penalty that the held-out rows chose.
        chosen_at: how many rows there were then.
        converged: whether every model's search converged before its cap of iterations.
        taught: what it was trained on: inputs (n, d), targets (n, k); None if nothing yet.
    """

    learner: "Learner"
    thetas: Thetas
    rehearsed: Thetas
    ridge: float
    chosen_at: int
    converged: bool
    taught: tuple[Array, Array] | None = None

    def outputs(self, x: Array) -> Array:
        """(n, k) class probabilities."""
        embedding, k = self.learner.embedding, self.learner.k
        if isinstance(embedding, Nystrom):
            coef = self.thetas[0].reshape(k, -1).T
            scores = [embedding.scores(self.learner.encoded(x), coef)]
        else:
            model = self.learner.model(x)
            scores = [model.scores(theta) for theta in self.thetas]
        mean: Array = np.mean([softmax(s, axis=1) for s in scores], axis=0)
        return mean

    def labels(self, x: Array) -> Labels:
        """(n,) the most probable class."""
        return from_outputs(self.outputs(x)).labels

    @property
    def in_steps(self) -> bool:
        """Whether the outputs are constant but for steps."""
        return False

    def uncertain(self, candidates: Array, n: int, known: Array) -> Rows:
        """Choose n of the candidates (m, d) on the boundary that would tell the fit most.

        Args:
            candidates: inputs.
            n: at most m.
            known: (rows, d) the inputs that it was trained on.
        """
        p, features = self.outputs(known), self._features(known)
        weight = (1 - (p**2).sum(axis=1)) / 2  # with two classes the curvature of the loss
        precision = (features * weight[:, None]).T @ features
        precision[np.diag_indices(len(precision))] += self.ridge * len(known)
        return most_uncertain(self._features(candidates), precision, n)

    def _features(self, x: Array) -> Array:
        """(n, r) what the scores are linear in; of a network, its hidden units."""
        model = self.learner.model(x)
        return model.hidden_units(self.thetas[0]) if isinstance(model, Network) else model.a

    def moved(self, embedding: Nystrom) -> "Fit | None":
        """Return the same function in the coordinates of another embedding of the same kernel."""
        old = self.learner.embedding
        if not isinstance(old, Nystrom) or old.kernel != embedding.kernel:
            return None
        learner = replace(self.learner, embedding=embedding)

        def carried(theta: Array) -> Array:
            coef = theta.reshape(self.learner.k, -1)
            values = old(embedding.landmarks) @ coef[:, :-1].T
            return np.hstack([embedding.weights(values).T, coef[:, -1:]]).ravel()

        thetas, rehearsed = (tuple(map(carried, ts)) for ts in (self.thetas, self.rehearsed))
        return replace(self, learner=learner, thetas=thetas, rehearsed=rehearsed)

    @property
    def plane(self) -> tuple[Array, float] | None:
        """Normal and offset of the boundary, on encoded inputs; None unless it is one plane."""
        model = self.learner.model(self.learner.space.low[None])
        flat = isinstance(model, Linear) and self.learner.embedding is None
        if not isinstance(model, Linear) or not flat or self.learner.k != 2:
            return None
        theta = self.learner.unlevelled(self.thetas[0])
        difference = np.diff(model.coef(theta), axis=1)[:, 0]
        return difference[:-1], float(difference[-1])

    def surrogate(self) -> Surrogate:
        """Return the fit as an attack yields it."""

        def predict(x: Array) -> Reply:
            return from_outputs(self.outputs(x))

        doubled = self._doubled if self.taught and len(self.taught[0]) >= HELD_OUT else None
        return Surrogate(predict, converged=self.converged, note=self.learner.note, doubled=doubled)

    def _doubled(self) -> tuple[Mask, Mask]:
        """Train without the held-out rows, then for as many steps again; tell which are right.

        Starts where the ridge was chosen, so that a fit which had converged costs little.
        """
        assert self.taught is not None
        x, targets = self.taught
        held = held_out(len(x))
        rows = Batch(self.learner.model(x[~held]), targets[~held])
        thetas, right = self.rehearsed, []
        for _ in range(2):
            fits = [fit_at(self.ridge, rows, theta, iterations=LAST) for theta in thetas]
            thetas = tuple(fit.theta for fit in fits)
            found = replace(self, thetas=thetas).labels(x[held])
            right.append(found == targets[held].argmax(axis=1))
        return right[0], right[1]


def held_out(n: int, back: int = 0) -> Mask:
    """(n,) the purchases that choose the ridge, or those so many places before them."""
    held: Mask = (np.arange(n) + back) % HELD_OUT == HELD_OUT - 1
    return held


def surely_more(one: Mask, other: Mask, deviations: float = 1.0) -> bool:
    """Whether the first of two models is right on more of the same rows, by more than chance.

    Of few rows a single one says nothing.

    Args:
        one: (n,) where the first is right.
        other: (n,) where the second is.
        deviations: standard deviations of the difference, that it must be more than.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated
    proportions or percentages".
    """
    ahead, behind = int((one & ~other).sum()), int((other & ~one).sum())
    return ahead > behind and (ahead - behind) ** 2 > deviations**2 * (ahead + behind)


def surely_less(gaps: Array, others: Array) -> bool:
    """Whether the first (n,) gaps of the same rows are less in the mean, by a standard error."""
    better = others - gaps
    return bool(better.mean() > better.std() / np.sqrt(len(better)))  # few rows are a coin's toss
