"""Undo what a defense does to the confidences, and train on the result.

Sources: the lookup ("partial Bayes") and its priors, Tang et al. 2024, "ModelGuard" (USENIX
Security); the trained restorer, Chen et al. 2023, "D-DAE" (IEEE S&P).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from moatbench.attack import Attack, Needs, Target
from moatbench.client import Surrogate
from moatbench.defense import Defense
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.learners.published import AnyFit, too_many
from moatbench.learners.purchases import Purchases
from moatbench.learners.restoring import Method, Pairs
from moatbench.numerics.simplex import normalised
from moatbench.reply import has_outputs
from moatbench.strategies.recovering import CannotRestore, Recovering
from moatbench.strategies.retraining import check_knobs
from moatbench.strategies.simulation import Simulation, answers, stand_in, unlikeness, variants
from moatbench.types import Array, Generator
from moatbench.victim import Victim

KNOWLEDGE = ("exact", "family", "none")
PRIORS = ("shadow", "self", "oracle")
SAMPLE = 100  # purchases on which the variants of a defense are compared
PER_ANSWER = 4  # simulated answers at most, for each that was bought
SPREAD = 8.0  # Dirichlet weights, a class, around an estimate
LEAST = 1e-3  # added to each of them
TINY = 1e-12  # of a draw
FEWEST = 2  # pairs


@dataclass(frozen=True)
class Recovery(Attack):
    """Run one's own copy of the defense on answers that are known; learn from that to undo it.

    Queries are those of adaptive retraining on labels. At each checkpoint the bought answers are
    restored, and a surrogate is trained on them; but on the labels alone, or on the answers as
    told, where those predict held-out answers better, so that recovery is hardly ever worse.

    Args:
        restorer: what learns from pairs of answers told and true: `recovery.Lookup`, or
            `restorer.DDAE`.
        knowledge: of the defense: `exact` (its knobs; never its secrets), `family` (the knobs are
            those in use with which the copy answers most like the API), `none` (no copy: the
            answers bought beside what a surrogate trained on their labels says).
        prior: what the true answers of the copy are: `shadow` (those of a surrogate, on inputs
            like the queries and on the pool), `self` (drawn around the answers themselves, and
            then around what they were restored to), `oracle` (the victim's own on the same inputs:
            an upper bound).
        learner: `published` (the victim's own family; where it is not told, an mlp or trees),
            `softmax`, `one_vs_rest`, `mlp`, `poly`, `rbf` or `trees`.
        inputs: the raw `cube`, or `valid` inputs only.
        first: uniform queries before the first round, as a share of the answers that would
            determine the surrogate.
        growth: queries of a round, as a share of those made before.
        uniform_share: of a round's queries, those that are uniform.
        pairs: simulated answers at most, beside those for the inputs bought.
        rounds: of restoring and training at a checkpoint.
    """

    restorer: Method
    knowledge: str
    prior: str
    learner: str
    inputs: str
    first: float
    growth: float
    uniform_share: float
    pairs: int
    rounds: int

    needs: ClassVar[Needs] = Needs(confidences=True)
    # Those before which the error of the answers falls by a tenth at least, as measured on digits
    against: ClassVar[frozenset[str]] = frozenset({"noisy", "perturbs", "relabels"})

    def __post_init__(self) -> None:
        check_knobs("labels", self.learner, self.inputs)
        check_choice("recovery: knowledge", self.knowledge, KNOWLEDGE)
        check_choice("recovery: prior", self.prior, PRIORS)
        if self.knowledge == "none" and self.prior != "shadow":
            raise ValueError(
                "recovery: prior must be shadow where knowledge is none, as nothing is simulated, "
                f"got {self.prior!r}; set prior or knowledge"
            )
        check_number("recovery: first", self.first, 0)
        check_number("recovery: growth", self.growth, 0, above=True)
        check_number("recovery: uniform_share", self.uniform_share, 0, 1)
        check_whole("recovery: pairs", self.pairs, 1)
        check_whole("recovery: rounds", self.rounds, 1)

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        """Whether the prior is the victim itself."""
        return self.prior == "oracle"

    def unmet(self, target: Target) -> str:
        """Say also where there is nothing to undo."""
        if reason := super().unmet(target) or too_many(self.learner, target.api.card):
            return reason
        if not target.api.card.full:
            return "needs whole distributions, and the victim tells of some classes only"
        traits = target.known.traits
        if traits is None or traits.touches_confidences:
            return ""
        return "there is nothing to undo: no defense touches the confidences"

    def run(self, target: Target, rng: Generator) -> Iterator[Surrogate]:
        """Ask as adaptive retraining does."""
        api = target.api
        undoing = Undoing(self, target)
        attacker = Recovering(
            api, self.learner, self.inputs, rng, undoing, self.rounds, target.pool
        )
        yield from attacker.adapt(self.first, self.growth, self.uniform_share)


@dataclass(frozen=True)
class Undoing:
    """Restores what was bought; `knobs` are the attack's."""

    knobs: Recovery
    target: Target

    def __call__(
        self, bought: Purchases, fit: AnyFit, estimates: Array | None, rng: Generator
    ) -> Array:
        """Estimate the true answers (n, k) to the purchases that came with outputs.

        Args:
            bought: the purchases.
            fit: the best model of the victim so far.
            estimates: (n, k) of the round before; None in the first.
            rng: draws.

        Raises:
            CannotRestore: there is no copy of the defense to be had, or none that answers.
        """
        rows = np.flatnonzero(has_outputs(bought.outputs))
        x, outputs, labels = bought.x[rows], bought.outputs[rows], bought.labels[rows]
        if not len(rows):
            raise CannotRestore("no answer came with outputs")
        if self.knobs.knowledge == "none":
            pairs = Pairs(outputs, fit.outputs(x), labels)
        else:
            believed = normalised(outputs.clip(0)) if estimates is None else estimates
            pairs = self._simulated(x, outputs, believed, fit, rng)
        keeps = self.target.known.keeps_labels
        restored = self.knobs.restorer.learn(pairs, keeps, rng).restore(outputs, labels)
        if np.shape(restored) != outputs.shape or not np.isfinite(restored).all():
            raise ValueError(
                f"the restorer must return finite outputs of shape {outputs.shape}, got shape "
                f"{np.shape(restored)} or NaN"
            )
        return restored

    def _simulated(
        self, x: Array, outputs: Array, believed: Array, fit: AnyFit, rng: Generator
    ) -> Pairs:
        """Ask the copy about the inputs bought, in their order, and then about more."""
        if self.target.known.defense is None:
            raise CannotRestore("the defense is not known")
        try:
            card, pool = self.target.api.card, self.target.pool
            own = fit.surrogate().predict
            model = self.target.known.victim or stand_in(card, pool, own, rng)
            defense = self._explaining(x, outputs, model, rng)
            copy = Simulation(defense, model, rng)
            # First what was bought: a copy that counts or keeps is then where the API is.
            bought = _pairs(copy, x, answers(model, x))
            more = _pairs(copy, *self._more(x, believed, model, rng))
        except ValueError as reason:
            raise CannotRestore(f"the copy of the defense: {reason}") from reason
        # The inputs bought would tell an oracle the very answers that are to be restored.
        parts = [bought, more] if self.knobs.prior == "shadow" else [more]
        pairs = Pairs(*map(np.concatenate, zip(*parts, strict=True)))
        if len(pairs.told) < FEWEST:
            raise CannotRestore("the copy of the defense answers next to nothing")
        return pairs

    def _explaining(self, x: Array, outputs: Array, model: Victim, rng: Generator) -> Defense:
        """Return the defense, or that of its variants which answers most like the API."""
        known = self.target.known.defense
        assert known is not None
        if self.knobs.knowledge == "exact":
            return known
        some = np.sort(rng.permutation(len(x))[:SAMPLE])
        tried = variants(known, rng)
        gaps = [unlikeness(d, model, x[some], outputs[some], rng) for d in tried]
        return tried[int(np.argmin(gaps))]

    def _more(
        self, x: Array, believed: Array, model: Victim, rng: Generator
    ) -> tuple[Array, Array]:
        """(m, d) inputs and the (m, k) true answers that the copy is to make something of."""
        m = min(self.knobs.pairs, PER_ANSWER * len(x))
        if self.knobs.prior == "self":
            rows = rng.integers(len(x), size=m)
            weights = SPREAD * believed.shape[1] * believed[rows] + LEAST
            return x[rows], normalised(np.maximum(rng.standard_gamma(weights), TINY))
        # Customers' inputs have surer answers than uniform ones: a prior must know of both.
        pool, space = self.target.pool, self.target.api.card.space
        some = pool[rng.permutation(len(pool))[: m // 2]]
        rest = m - len(some)
        sample = space.sample if self.knobs.inputs == "valid" else space.sample_cube
        drawn = np.concatenate([some, sample(rest, rng)])
        return drawn, answers(model, drawn)


def _pairs(copy: Simulation, x: Array, true: Array) -> Pairs:
    rows, told_outputs, labels = copy.tell(x, true)
    return Pairs(told_outputs, true[rows], labels)
