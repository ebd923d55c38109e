"""Which family explains bought answers best: extract-and-test over families.

Source: Tramèr et al. 2016, "Stealing Machine Learning Models via Prediction APIs", sec. 6.2, where
the width of an RBF kernel is chosen so; how a family is tried is in `moatbench.solvers.screening`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from moatbench.client import Answers, Card, Surrogate
from moatbench.learners.grown_tree import tree_surrogate
from moatbench.learners.learner import HIDDEN
from moatbench.learners.published import (
    DEGREE,
    FAMILIES,
    LINEAR_ODDS,
    ignorant,
    learner_for,
    smooth_learner,
    trees_for,
)
from moatbench.learners.purchases import Purchases
from moatbench.learners.trees import FAMILIES as TREE_FAMILIES
from moatbench.learners.trees import TREES
from moatbench.models.embedding import Monomials
from moatbench.reply import Reply, has_outputs
from moatbench.solvers.reconstruction import Reconstruction
from moatbench.solvers.screening import EXACT, exact, gaps, recurring, subset, trial
from moatbench.space import InputSpace
from moatbench.types import Array, Generator

# The simplest first
CANDIDATES = ("softmax", "one_vs_rest", "poly", "rbf", "mlp", "tree", TREES)
CARD_FAMILY = {**FAMILIES, **dict.fromkeys(TREE_FAMILIES, TREES), "tree": "tree"}
SOLVED = (*LINEAR_ODDS, "one_vs_rest", "mlp")  # as equations, where confidences are told
ACTIVATIONS = ("tanh", "logistic", "relu")
HELD_OUT = 5  # every fifth purchase judges
SCREENED = 1000  # purchases that a screening takes, at most
SHORT, LONG = 60, 600  # iterations of a trial's fits, at each ridge
ENOUGH = 20  # held-out answers that make a long trial worth it
RIVAL, NEAR = 10.0, 1e-3  # gaps, in units of the least, that call for a long trial, if it is near
MONOMIALS = 1000  # beyond so many a polynomial kernel is not tried


class Candidates:
    """Families that may be the victim's; the one that predicts held-out answers best is kept.

    Args:
        card: of the API; where it publishes a family that can be fitted, that is the only one.
        families: to try where it does not, some of `CANDIDATES`.
        rng: draws the starts of fits.
    """

    def __init__(self, card: Card, families: Sequence[str], rng: Generator) -> None:
        # Apart, so that a fit does not depend on what was screened before it.
        self._screening, self._fitting = rng.spawn(2)
        known = CARD_FAMILY.get(card.family or "")
        self._card = card if known else replace(card, architecture={})
        self._families = (known,) if known else fitting(card, families)
        self._source = "published" if known else f"of {', '.join(self._families)}"
        self.trees = self._families == (TREES,)
        if known == TREES:
            self._source = f"as of a {card.family}"
        self._name, self._gaps = self._families[0], dict[str, Array]()
        self._solver: tuple[Card, Reconstruction] | None = None
        self._last: Surrogate | None = None

    def narrow(self, family: str) -> None:
        """Keep one family, if it is a candidate: the form of the answers gives it away."""
        if family in self._families and len(self._families) > 1:
            self._families, self._name, self._source = (family,), family, "told by the answers"

    def __call__(self, bought: Purchases) -> Surrogate:
        """Choose by the purchases so far, at least one, and fit the family to all of them.

        The parameters are those of the fit, and `held_out_<family>`, the mean squared gap from
        held-out answers, of each candidate that was screened.
        """
        if not has_outputs(bought.outputs).any() and (bought.labels == bought.labels[0]).all():
            return replace(ignorant(self._card, bought.labels), note="all answers alike")
        if self._open and not self._explained(bought):
            self._choose(bought)
        self._last = self._fitted(bought)
        means = {f"held_out_{name}": np.array(gap.mean()) for name, gap in self._gaps.items()}
        note = f"{self._name}, {self._source}: {self._last.note or 'trained'}"
        return replace(self._last, parameters={**self._last.parameters, **means}, note=note)

    @property
    def _open(self) -> bool:
        """Whether there is anything to choose."""
        untold = "mlp" in self._families and "activation" not in self._card.architecture
        return len(self._families) > 1 or untold

    def _explained(self, bought: Purchases) -> bool:
        """Whether the last surrogate predicted all answers exactly: no doubt is left then."""
        if self._last is None or not exact(bought):
            return False
        predicted = self._last.predict(bought.x).outputs
        return predicted is not None and bool(gaps(predicted, bought).max() <= EXACT)

    def _choose(self, bought: Purchases) -> None:
        """Screen the families, up to one that predicts held-out answers exactly; keep the best."""
        place = np.arange(len(bought))
        held = (place % HELD_OUT == HELD_OUT - 1) & (place < SCREENED)
        if not held.any():
            return
        train = subset(bought, ~held & (place < SCREENED), self._card)
        exam, self._gaps = subset(bought, held, self._card), {}
        # No other family answers many inputs with the very same confidences.
        likely = ("tree",) if "tree" in self._families and recurring(train) else self._families
        for name in likely:
            self._gaps[name] = self._tried(name, train, exam)
            if exact(exam) and self._gaps[name].max() <= EXACT:
                break
        if exact(exam) and len(exam) >= ENOUGH:
            self._decide(train, exam)
        self._name = simplest(self._gaps)
        if self._name == "mlp":
            self._choose_activation(train, exam)

    def _decide(self, train: Purchases, exam: Purchases) -> None:
        """Where several all but solve for exact answers, a longer search tells them apart."""
        means = {name: float(gap.mean()) for name, gap in self._gaps.items()}
        finalists = [n for n, mean in means.items() if mean <= RIVAL * min(means.values())]
        if len(finalists) > 1 and EXACT < min(means.values()) <= NEAR:
            for name in finalists:
                self._gaps[name] = self._tried(name, train, exam, LONG)

    def _tried(self, name: str, train: Purchases, exam: Purchases, steps: int = SHORT) -> Array:
        """Squared gaps of one candidate."""
        if name == "tree":
            predicted = tree_surrogate(self._card, train, self._screening).predict(exam.x).outputs
            assert predicted is not None
            return gaps(predicted, exam)
        if name == TREES:
            trees, rng = trees_for(self._named(name)), self._screening.spawn(1)[0]
            return gaps(trees.fit(train.x, train.targets(), rng).outputs(exam.x), exam)
        return trial(smooth_learner(name, self._named(name)), train, exam, self._screening, steps)

    def _choose_activation(self, train: Purchases, exam: Purchases) -> None:
        learner, rng = smooth_learner("mlp", self._named("mlp")), self._screening
        tried = {
            name: float(trial(replace(learner, activation=name), train, exam, rng, SHORT).mean())
            for name in ACTIVATIONS
        }
        best = min(tried, key=lambda name: tried[name])
        self._card = replace(self._card, architecture={"hidden": HIDDEN, "activation": best})

    def _named(self, name: str) -> Card:
        """Return the card as if it published the family; what else it publishes belongs to it."""
        return replace(self._card, family=name)

    def _fitted(self, bought: Purchases) -> Surrogate:
        """Fit the chosen family to all purchases, as the attack that is told of it would."""
        name, solvable = self._name, bool(has_outputs(bought.outputs).any())
        if name == "tree":
            return tree_surrogate(self._card, bought, self._fitting)
        if name in SOLVED and solvable:
            return self._reconstructed(bought)
        if name == "one_vs_rest":
            name = "softmax"  # has the same boundaries, and a unique minimum
        learner = learner_for(name, self._named(name))
        return learner.fit(bought.x, bought.targets(), self._fitting).surrogate()

    def _reconstructed(self, bought: Purchases) -> Surrogate:
        """Solve for exact answers; the solver keeps a solution for as long as it holds."""
        card, coded = self._named(self._name), bool(self._card.space.coded.size)
        if coded:
            card = replace(card, space=_spread(card.space))
        if self._solver is None or self._solver[0] != card:
            self._solver = card, Reconstruction(card, True, self._fitting)
        reconstruct = self._solver[1]
        if not coded:
            return reconstruct(bought)
        raw = self._card.space
        part = Purchases(card)
        part.add(
            Answers(
                raw.encode(bought.x), np.arange(len(bought)), bought.labels, bought.outputs, None
            )
        )
        surrogate = reconstruct(part)

        def predict(x: Array) -> Reply:
            return surrogate.predict(raw.encode(x))

        return replace(surrogate, predict=predict)


def simplest(gaps: Mapping[str, Array]) -> str:
    """Return the simplest candidate that errs no more than the best, within a standard error.

    Args:
        gaps: (m,) of each candidate, on the same answers; at least one.

    Source: Breiman et al. 1984, "Classification and Regression Trees", sec. 3.4.3, here on paired
    differences.
    """
    best = min(gaps, key=lambda name: float(gaps[name].mean()))
    for name in sorted(gaps, key=CANDIDATES.index):
        worse = gaps[name] - gaps[best]
        if worse.mean() <= worse.std() / np.sqrt(len(worse)) + EXACT:
            return name
    return best


def fitting(card: Card, families: Sequence[str]) -> tuple[str, ...]:
    """Leave out, in turn, families that answer otherwise than the card says; some always stay."""
    names = tuple(name for name in CANDIDATES if name in families)
    columns = _spread(card.space).d
    unfit = {
        "one_vs_rest": not card.confidences,  # labels tell softmax's boundaries, the same
        "poly": Monomials(DEGREE).size(columns) > MONOMIALS,
    }
    # Only a tree's node answers the confidence of its label alone.
    unfit |= {name: True for name in CANDIDATES if name not in ("tree", TREES) and not card.full}
    return tuple(name for name in names if not unfit.get(name)) or names


def _spread(space: InputSpace) -> InputSpace:
    """Return the space in which categorical codes are spread over columns of their own."""
    return InputSpace.box(space.encode(space.low[None]).shape[1])
