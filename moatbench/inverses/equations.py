"""From perturbed answers to a surrogate, by the equations among them that stand."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

from moatbench.client import Card, Surrogate
from moatbench.inverses.agreement.certain import agreements
from moatbench.inverses.agreement.stated import Agreement, Equations
from moatbench.learners.published import LINEAR_ODDS, linear_odds, odds_learner, smooth_learner
from moatbench.learners.purchases import Purchases
from moatbench.models import forward
from moatbench.models.linear import Linear
from moatbench.models.one_vs_rest import OneVsRest
from moatbench.reply import Predict, Reply, from_outputs
from moatbench.solvers.reconstruction import in_units
from moatbench.types import Array, Mask

# Whose classes' weights are functions of one linear score each
FAMILIES = LINEAR_ODDS | {"one_vs_rest"}
FEWEST = 5  # answers to learn from
Refuted = Callable[[Predict], bool]
MOST = 1500  # unknowns of sigmoids, which are solved for all at once


class Found(NamedTuple):
    """What answers agree on; `sure` where equations certify it, and nothing refutes it."""

    surrogate: Surrogate
    sure: bool


class StandingEquations:
    """Solves what most entries of perturbed answers agree on.

    Nothing need be known of the defense. A model that explains answers may be refuted all the same,
    where copies of the defense tell others of it. Where two models answer in turn, the one is meant
    that is surer of every answer of its own than of any of the other's, for a gate lies between
    them; where there is none, the one that is the surest of customers' inputs, on which a model is
    trained, and no parameters are told.

    Args:
        card: tells the family, the classes and the space.
        pool: (m, d) inputs like the customers'.
    """

    def __init__(self, card: Card, pool: Array) -> None:
        self._card, self._pool = card, pool
        self._sigmoids = card.family == "one_vs_rest"
        learner = smooth_learner("one_vs_rest", card) if self._sigmoids else odds_learner(card)
        self._learner = replace(learner, reduced=True)

    @property
    def applies(self) -> bool:
        """Whether the family is one of these, told whole; two sigmoids leave one odds, unsolved."""
        few = self._learner.k > 2 and self._learner.unknowns <= MOST
        solved = few if self._sigmoids else linear_odds(self._card)
        return self._card.full and solved

    def __call__(
        self, bought: Purchases, refuted: Refuted | None = None, labels: bool = False
    ) -> Found | None:
        """Return the model that the answers agree on; None where they agree on none.

        Args:
            bought: the answers.
            refuted: tells whether a model cannot be the victim.
            labels: whether those told are the victim's; else, where all models are refuted, what is
                learnt is what the others of the answers say.
        """
        outputs = bought.outputs
        told = np.asarray(np.isfinite(outputs).all(axis=1) & (outputs >= 0).all(axis=1))
        enough = told.sum() * max(self._learner.k - 1, 1) > self._learner.unknowns
        if not self.applies or not enough:
            return None
        answers = np.where(told[:, None], outputs, 0.0)
        equations = Equations.of(self._features(bought.x), answers, self._sigmoids)
        found = agreements(equations, bought.labels, self._learner.k)
        if not found:
            return None
        left = [one for one in found if not (refuted and refuted(self._predict(one.w)))]
        gated = [one for one in left if self._gated(one, found, bought.x)]
        if not (left or labels) and (others := self._by_others(bought, found, told)) is not None:
            return Found(others, False)
        sure = len(left) == 1 or len(gated) == 1
        best = gated[0] if len(gated) == 1 else self._surest(left or found)
        found_lies = self._outputs(best.w, bought.x).argmax(axis=1) != bought.labels
        surrogate = self._surrogate(best, told, len(found), int((told & found_lies).sum()))
        if sure or not best.exact:
            return Found(surrogate, best.exact)
        why = "which is the victim is open" if left else "copies of the defense tell others of it"
        note = f"{surrogate.note}, and {why}"
        return Found(replace(surrogate, parameters={}, note=note), bool(left))

    def _features(self, x: Array) -> Array:
        model = self._learner.model(x)
        assert isinstance(model, Linear | OneVsRest)
        return model.a

    def _by_others(
        self, bought: Purchases, refuted: list[Agreement], told: Mask
    ) -> Surrogate | None:
        """Learn from the answers that no refuted model explains; None where these are too few."""
        some = told & ~np.any([one.rows for one in refuted], axis=0)
        if some.sum() < FEWEST or len(np.unique(bought.labels[some])) < 2:
            return None
        fit = self._learner.fit(bought.x[some], bought.targets()[some], np.random.default_rng(0))
        note = (
            f"soft labels of {some.sum()} answers: copies of the defense refute what solves others"
        )
        return replace(fit.surrogate(), note=note)

    def _surest(self, found: list[Agreement]) -> Agreement:
        """Return the model that is the surest of the customers' inputs, on average."""
        if not len(self._pool):
            return found[0]
        return max(found, key=lambda one: self._outputs(one.w, self._pool).max(axis=1).mean())

    def _gated(self, one: Agreement, found: list[Agreement], x: Array) -> bool:
        """Whether a model is surer of each answer of its own than of any of another model's."""
        others = [other.rows & ~one.rows for other in found if other is not one]
        if not others or not (theirs := np.any(others, axis=0)).any():
            return False
        top = self._outputs(one.w, x).max(axis=1)
        return bool(top[one.rows].min() > top[theirs].max())

    def _predict(self, w: Array) -> Predict:
        def predict(x: Array) -> Reply:
            return from_outputs(self._outputs(w, x))

        return predict

    def _outputs(self, w: Array, x: Array) -> Array:
        scores = self._features(x) @ w
        if self._sigmoids:
            return forward.one_vs_rest(scores)
        if self._learner.k == 2:
            scores = np.hstack([np.zeros_like(scores), scores])
        return np.asarray(softmax(scores, axis=1))

    def _surrogate(self, one: Agreement, told: Mask, models: int, lies: int) -> Surrogate:
        w, predict = one.w, self._predict(one.w)
        entries, rows = one.stands[told].mean(), one.rows[told].mean()
        if not one.exact:
            note = (
                f"nearly solved: {entries:.1%} of the equations stand nearly, and none certify it"
            )
            return Surrogate(predict, {}, False, note)
        note = (
            f"{entries:.1%} of the equations stand, in {rows:.1%} of the answers; solved by these"
        )
        if models > 1:
            note += f"; {models} models answer in turn"
        if lies:
            note += f"; {lies} of the answers are told with another label than the model's"
        if not one.spans:
            note += "; they leave directions open in which no such input was asked about"
        return Surrogate(predict, self._parameters(w) if one.spans else {}, True, note)

    def _parameters(self, w: Array) -> dict[str, Array]:
        whole = np.hstack([np.zeros_like(w), w]) if self._learner.k == 2 else w
        return in_units(self._learner.parameters(whole.T.ravel()), self._card.space)
