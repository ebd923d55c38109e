"""Fit the model behind one's own copy of the defense.

A defense that is a known function of the true answer hides nothing that determines the model: of
all models one alone, put behind the same defense, gives the answers that were told. It is searched
for by least squares, with no inverse of the defense: single answers may have several origins, but
the origins of all of them must lie on one model.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import ClassVar

import numpy as np
from scipy.special import softmax

from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.knobs import check_choice
from moatbench.learners.published import PUBLISHED, smooth_learner, too_many
from moatbench.models.linear import Linear
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.numerics.minimise import MANY
from moatbench.reply import Reply, from_outputs, has_outputs
from moatbench.solvers.reconstruction import in_units
from moatbench.solvers.through import Changed, Through, fit_through
from moatbench.strategies.retraining import Retraining, check_knobs
from moatbench.strategies.simulation import Simulation, stand_in, unlikeness, variants
from moatbench.types import Array, Generator, Rows

KNOWLEDGE = ("exact", "family")
WAVE = 256  # inputs drawn at a time
EXPLAINED = 1e-6  # gap in an answer that no defense bothers to make
HELD_OUT = 5  # every fifth answer judges
TRIED = 4  # variants of a defense that are fitted
ANSWERS = 2.5  # times as many equations as unknowns, where these are many
ENOUGH = 1.2  # equations an unknown: with fewer, a wrong model may explain all answers
AGAIN = 1e-12  # what a copy may differ by when it is asked again
FLAT = 1e-6  # slope along which a change of the true answer does not show
SAMPLE = 20  # answers on which a copy is tried out


@dataclass(frozen=True)
class FitThrough(Attack):
    """Least squares on what the defense would make of the model's own answers.

    Queries are uniform. The search starts from a fit to the labels, from one to the answers taken
    for true, and from the last result. Where the result does not reproduce the answers exactly, it
    is kept only if it predicts held-out labels no worse than the fit to the labels alone.

    Args:
        knowledge: of the defense: `exact` (its knobs; never its secrets) or `family` (the knobs
            are those in use with which a copy before the label fit answers most like the API).
        inputs: the raw `cube`, or `valid` inputs only.
    """

    knowledge: str
    inputs: str

    against: ClassVar[frozenset[str]] = frozenset({"perturbs"})
    needs: ClassVar[Needs] = Needs(
        confidences=True, families=frozenset({"logistic", "softmax", "one_vs_rest"})
    )

    def __post_init__(self) -> None:
        check_choice("fit_through: knowledge", self.knowledge, KNOWLEDGE)
        check_knobs("labels", "published", self.inputs)

    def unmet(self, target: Target) -> str:
        """Say also where the answers are no known function of the true ones."""
        if reason := super().unmet(target) or too_many(PUBLISHED, target.api.card):
            return reason
        if not target.api.card.full:
            return "needs whole distributions, and the victim tells of some classes only"
        traits = target.known.traits
        if traits is None:
            return ""
        if "perturb" not in traits.stages:
            return "there is nothing to see through: no defense perturbs the confidences"
        if traits.noise is not None or traits.shared:
            return "needs answers that the true ones decide, and here chance or the past does too"
        return ""

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Ask as uniform retraining does."""
        attacker = Seeing(target, self, rng)
        while attacker.open:
            yield from attacker.buy(attacker.uniform(WAVE))


class Seeing(Retraining):
    """An attacker that sees through a defense, where it can; `knobs` are the attack's."""

    def __init__(self, target: Target, knobs: FitThrough, rng: Generator) -> None:
        super().__init__(target.api, "labels", "published", knobs.inputs, rng)
        self._knobs, self._pool, self._defense = knobs, target.pool, target.known.defense
        # Labels alone are fitted by softmax
        self._family = replace(smooth_learner(PUBLISHED, target.api.card), reduced=True)
        self._copying, self._drawing = rng.spawn(2)
        self._last: list[Array] = []

    def surrogate(self) -> Surrogate:
        """Fit through the defense; to the labels, where that serves better."""
        plain, rows = super().surrogate(), np.flatnonzero(has_outputs(self.bought.outputs))
        x, answers = self.bought.x[rows], self.bought.outputs[rows]
        equations = len(rows) * (self._family.k - 1)
        if equations < ENOUGH * self._family.unknowns:
            return replace(plain, note="labels: too few answers")
        try:
            chosen = self._copies(plain, x, answers)
            for copy in chosen:
                _require_function(copy, x[:SAMPLE], _in_the_midst(plain, x[:SAMPLE]))
            seen = self._best(chosen, x, answers)
        except ValueError as reason:
            return replace(plain, note=f"labels: the copy of the defense: {reason}")
        if seen.gap <= EXPLAINED:
            self._last = [seen.theta]
            return self._made(seen, "every answer explained, through the defense")
        if self._predicts(chosen[0], rows):
            return self._made(seen, "through the defense", exact=False)
        return replace(plain, note="labels: they are foretold better than through the defense")

    def _copies(self, plain: Surrogate, x: Array, answers: Array) -> list[Simulation]:
        """Deploy copies before the fit to the labels: the defense's, or its likeliest variants'."""
        if self._defense is None:
            raise ValueError("there is none, as it is not known what the API does")
        rng = self._copying.spawn(1)[0]
        model = stand_in(self.api.card, self._pool, plain.predict, rng)
        if self._knobs.knowledge == "exact":
            return [Simulation(self._defense, model, rng)]
        tried = variants(self._defense, rng)
        order = np.argsort([unlikeness(d, model, x, answers, rng) for d in tried], kind="stable")
        return [Simulation(tried[place], model, rng) for place in order[:TRIED]]

    def _best(self, copies: Sequence[Simulation], x: Array, answers: Array) -> Through:
        """Fit through each copy; keep what explains the answers best."""
        found = []
        for copy in copies:
            found.append(self._through(copy, x, answers))
            if found[-1].gap <= EXPLAINED:
                break
        return min(found, key=lambda seen: seen.gap)

    def _through(self, copy: Simulation, x: Array, answers: Array) -> Through:
        model, rng = self._family.model(x), self._drawing.spawn(1)[0]
        assert isinstance(model, Linear | OneVsRest)

        def change(true: Array) -> Array:
            return _changed(copy, x, true)

        if model.unknowns > MANY:  # each step takes seconds: no more rows than the fit needs
            few = ceil(ANSWERS * self._family.unknowns / (self._family.k - 1))
            x, answers = x[:few], answers[:few]
            model = self._family.model(x)
        hard = np.eye(answers.shape[1])[answers.argmax(axis=1)]
        starts = [self._family.fit(x, targets, rng).thetas[0] for targets in (hard, answers)]
        return fit_through(model, change, answers, [*self._last, *starts])

    def _predicts(self, copy: Simulation, rows: Rows) -> bool:
        """Whether a fit through the defense predicts held-out labels as well as one to labels."""
        x, labels = self.bought.x[rows], self.bought.labels[rows]
        held = np.arange(len(rows)) % HELD_OUT == HELD_OUT - 1
        hard = np.eye(self.learner.k)[labels]
        if hard[~held].max(axis=0).sum() < 2:
            return False
        seen = self._through(copy, x[~held], self.bought.outputs[rows][~held])
        ours = self._family.model(x[held]).scores(seen.theta).argmax(axis=1)
        theirs = self.learner.fit(x[~held], hard[~held], self._drawing.spawn(1)[0]).labels(x[held])
        return bool((ours == labels[held]).mean() >= (theirs == labels[held]).mean())

    def _made(self, seen: Through, note: str, exact: bool = True) -> Surrogate:
        learner, theta = self._family, seen.theta

        def predict(x: Array) -> Reply:
            return from_outputs(np.asarray(softmax(learner.model(x).scores(theta), axis=1)))

        found = learner.model(self.space.low[None]).parameters(theta)
        return Surrogate(predict, in_units(found, self.space), exact, note)


def _require_function(copy: Simulation, x: Array, true: Array) -> None:
    """Raise a ValueError unless the true answer decides what is told, and leaves its mark on it."""
    first = _changed(copy, x, true)
    for asked, what in ((x, "it answers otherwise when asked again"), (x[::-1], "inputs matter")):
        if not np.allclose(_changed(copy, asked, true), first, rtol=0, atol=AGAIN):
            raise ValueError(what)
    slope = Changed(lambda y: _changed(copy, x, y), first, 1.0).slope(np.log(true))
    if np.median(np.linalg.matrix_rank(slope, tol=FLAT)) < true.shape[1] - 1:
        raise ValueError("many true answers are told alike")


def _in_the_midst(plain: Surrogate, x: Array) -> Array:
    """(n, k) answers halfway between a surrogate's and the uniform one, where nothing is cut."""
    outputs = plain.predict(x).outputs
    assert outputs is not None
    return np.asarray((outputs + 1 / outputs.shape[1]) / 2)


def _changed(copy: Simulation, x: Array, true: Array) -> Array:
    rows, told_instead, _ = copy.tell(x, true)
    if len(rows) < len(true):
        raise ValueError("it withholds answers that the API gives")
    return told_instead
