"""Train a surrogate of a family on purchased answers."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.special import softmax

from moatbench.client import Card, Surrogate
from moatbench.learners.ridge_path import Batch, Thetas, fit_at, walk
from moatbench.models.embedding import Embedding, Monomials, Nystrom, gaussian
from moatbench.models.linear import Linear, design
from moatbench.models.network import Network
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.newton import STEPS, Logistic, descend_path
from moatbench.reply import Reply, from_outputs
from moatbench.search.doubt import most_uncertain
from moatbench.space import InputSpace
from moatbench.types import Array, Generator, Labels, Mask, Rows

PUBLISHED, FALLBACK = "published", "mlp"
FAMILIES = {
    "logistic": "softmax",
    "softmax": "softmax",
    "linear_svm": "softmax",  # the same boundaries
    "one_vs_rest": "one_vs_rest",
    "mlp": "mlp",
    "poly_svm": "poly",
    "poly": "poly",
    "rbf_svm": "rbf",
    "kernel_logistic": "rbf",
    "rbf": "rbf",
}
LEARNERS = (PUBLISHED, "softmax", "one_vs_rest", "mlp", "poly", "rbf")
HIDDEN, ACTIVATION, DEGREE = 20, "tanh", 2  # where the service does not publish them
STARTS = 3  # of a network
SUPPORT = 20  # support vectors a column, as a guess
HELD_OUT = 5  # every fifth row chooses the ridge
UNTESTED = 1e-3  # the ridge where there are fewer
SEARCH, LAST = 500, 5000  # iterations at each ridge of a path, and of the fit to all rows
ROUND, NETWORK_ROUND = 100, 25  # where the fit only serves to choose the next queries
STALE = 1.2  # times as many rows, and a ridge is chosen anew
NEWTON = 1500  # columns at most for Newton's method
# Where a victim's classes are level, on numeric columns of [-1, 1]: in the midst of its data, which
# lie below the middle of most columns' range (amounts, counts, intensities are skewed).
LEVEL = -0.3
BINARY_PATH: Array = 10.0 ** -np.arange(1.0, 11.0)  # ridges


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
            scores = [embedding.scores(self.learner.space.encode(x), coef)]
        else:
            model = self.learner.model(x)
            scores = [model.scores(theta) for theta in self.thetas]
        mean: Array = np.mean([softmax(s, axis=1) for s in scores], axis=0)
        return mean

    def labels(self, x: Array) -> Labels:
        """(n,) the most probable class."""
        return from_outputs(self.outputs(x)).labels

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


@dataclass(frozen=True)
class Learner:
    """Cross-entropy on labels or soft labels, run to convergence, with a ridge chosen by the data.

    The ridge comes down a path, and held-out purchases say where to stop: with exact answers at its
    end; with rounded, noisy or bare labels before. Afterwards the held-out rows are trained on too.

    Args:
        space: what the API takes.
        k: classes.
        family: softmax (at k = 2 logistic regression), one_vs_rest, mlp; poly or rbf, softmax in
            the feature space of a kernel.
        hidden: units of an mlp.
        activation: of an mlp: tanh, logistic or relu.
        note: what a surrogate should say about its learner.
        embedding: into the feature space; None where there is none, or it is still to be chosen.
        gamma: of an rbf, where the service publishes it.
        level: where numeric columns have their origin, so that the ridge on all unknowns, the
            intercepts too, takes the classes to be level there.
    """

    space: InputSpace
    k: int
    family: str
    hidden: int = HIDDEN
    activation: str = ACTIVATION
    note: str = ""
    embedding: Embedding | None = None
    gamma: float | None = None
    level: float = 0.0

    def levelled(self) -> "Learner":
        """Return one that expects level classes where data lie: for answers that tell little.

        Uniform queries pin a model down around the middle of the cube. How it goes on from there
        to where real inputs lie is left to the ridge, and so to the origin. Kernels stay.
        """
        own = self.family in ("softmax", "one_vs_rest", "mlp")
        return replace(self, level=LEVEL) if own else self

    def unlevelled(self, theta: Array) -> Array:
        """Return the unknowns of the same linear model on columns whose origin is their middle."""
        coef = theta.reshape(self.k, -1).copy()
        coef[:, -1] -= coef[:, :-1] @ self._origin
        return coef.ravel()

    @cached_property
    def _origin(self) -> Array:
        """Place of the origin, on encoded columns."""
        numeric = np.delete(self.space.numeric, self.space.coded)
        width = self.space.encode(self.space.low[None]).shape[1]
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
        resume: Fit | None = None,
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
        if self.family == "rbf" and self.embedding is None:
            known = resume.learner.embedding if resume else None
            embedding = gaussian(self.space.encode(x), targets, known, self.gamma)
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
            held = held_out(len(x))
            train, exam = (Batch(self.model(x[part]), targets[part]) for part in (~held, held))
            thetas, ridge = walk(train, exam, thetas, self._path(resume), cap)
        return Fit(self, thetas, thetas, ridge, len(x), False)

    def model(self, x: Array) -> Linear | OneVsRest | Network:
        """Return the model on the rows of x (n, d): scores (n, k) as a function of theta."""
        z = self.space.encode(x)
        if self.level:
            z = z - self._origin
        a = design(z if self.embedding is None else self.embedding(z))
        if self.family == "mlp":
            return Network(a, self.k, self.hidden, self.activation)
        return OneVsRest(a, self.k) if self.family == "one_vs_rest" else Linear(a, self.k)

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


def held_out(n: int) -> Mask:
    """(n,) the purchases that choose the ridge."""
    held: Mask = np.arange(n) % HELD_OUT == HELD_OUT - 1
    return held


def learner_for(name: str, card: Card) -> Learner:
    """Return the learner of that name; `published` is the victim's own family, if the card says."""
    asked = card.family if name == PUBLISHED else name
    family = FAMILIES.get(asked or "", FALLBACK)
    same = FAMILIES.get(card.family or "") == family
    published: Mapping[str, Any] = card.architecture if same else {}
    note = ""
    if asked not in FAMILIES:
        note = f"trained an {FALLBACK}: the family is {asked or 'not published'}"
    return Learner(
        card.space,
        len(card.classes),
        family,
        hidden=int(published.get("hidden", HIDDEN)),
        activation=str(published.get("activation", ACTIVATION)),
        note=note,
        embedding=Monomials(int(published.get("degree", DEGREE))) if family == "poly" else None,
        gamma=_gamma(published, card.space),
    )


def _gamma(published: Mapping[str, Any], space: InputSpace) -> float | None:
    """Return the published width of a kernel: on scaled inputs, as encoded ones but for codes."""
    as_encoded = not space.coded.size
    return float(published["gamma"]) if "gamma" in published and as_encoded else None


def ignorant(card: Card, answers: Labels | None = None) -> Surrogate:
    """Return the surrogate of an attacker that learnt nothing but the share of each class."""
    k = len(card.classes)
    seen = np.bincount(answers, minlength=k) if answers is not None else np.zeros(k)
    share = (seen + 1) / (seen.sum() + k)

    def predict(x: Array) -> Reply:
        return from_outputs(np.tile(share, (len(x), 1)))

    return Surrogate(predict, converged=False, note="no usable answers", begun=False)
