"""Whether a surrogate bears the watermark of the defense that its answers were bought from.

Source of the test: Szyller et al. 2021, "DAWN", arXiv:1906.00830, whose verification compares the
surrogate's answers on the marked inputs with the planted ones. Here the null is measured, not
assumed: how often models that never saw an answer of the API give the planted labels.
"""

from dataclasses import replace
from functools import cached_property

import numpy as np

from moatbench.client import Surrogate
from moatbench.defense import Marks
from moatbench.judge.checked import answers
from moatbench.judge.floor import public_card
from moatbench.learners.fit import Fit
from moatbench.learners.published import PUBLISHED, AnyFit, learner_for
from moatbench.learners.trees import TreeFit
from moatbench.learners.untold import Untold
from moatbench.types import Array, Generator, Labels
from moatbench.victim import Victim

MODELS = 20  # independent ones
# Each is trained on so many, and briefly; a worse model agrees more often by chance: the safe side
MOST_ROWS = 500
COLUMNS = ("pairs", "agreement", "independent", "p")
NONE = {f"watermark_{name}": float("nan") for name in COLUMNS}


class Owner:
    """The defender who looks for its marks in a surrogate.

    Args:
        victim: whose family is known to all.
        rng: draws the independent models.
    """

    def __init__(self, victim: Victim, rng: Generator) -> None:
        self._victim, self._rng = victim, rng

    def verify(self, surrogate: Surrogate, marks: Marks | None) -> dict[str, float]:
        """Test a surrogate on the marks that were told to its attacker.

        `watermark_pairs` is how many there are, `watermark_agreement` the share on which the
        surrogate gives the planted label, `watermark_independent` that of the independent models,
        and `watermark_p` the chance that such a model agrees with as many. NaN without marks.
        """
        if marks is None or len(self._victim.classes) == 1:
            return NONE
        whole = ~np.isnan(marks.x).any(axis=1)  # few models answer rows with features left out
        marks = marks._replace(x=marks.x[whole], labels=marks.labels[whole])
        if not len(marks.labels):
            return NONE | {"watermark_pairs": 0.0}
        told = answers(surrogate, marks.x, "the marked rows", self._victim)
        agrees = told.labels == marks.labels
        null = self.null_rate(marks)
        values = (len(agrees), agrees.mean(), null, p_value(int(agrees.sum()), len(agrees), null))
        return {f"watermark_{n}": float(v) for n, v in zip(COLUMNS, values, strict=True)}

    def null_rate(self, marks: Marks) -> float:
        """Return how often independent models give the planted labels; never quite 0 nor 1."""
        hits = sum(int((fit.labels(marks.x) == marks.labels).sum()) for fit in self.independent)
        return (hits + 1) / (len(self.independent) * len(marks.labels) + 2)

    @cached_property
    def independent(self) -> list[AnyFit]:
        """Models of the published family, each of a bootstrap sample with true labels.

        They are trained once, on the pool, or where its labels are not known on the judge's rows.
        """
        x, y = self._labelled()
        learner = learner_for(PUBLISHED, public_card(self._victim))
        learner = learner.network if isinstance(learner, Untold) else learner
        targets = np.eye(len(self._victim.classes))[y]
        first = learner.fit(x, targets, self._rng, brief=True)  # chooses the ridge, for all
        trees = isinstance(first, TreeFit)  # which choose nothing
        fits: list[AnyFit] = []
        for _ in range(MODELS):
            rows = self._rng.integers(len(x), size=len(x))
            begin: AnyFit = first
            if (
                isinstance(first, Fit) and first.learner.family == "mlp"
            ):  # elsewhere the start does not decide the end
                start = first.learner.model(x[:1]).begin(self._rng)
                begin = replace(first, thetas=(start,))
            fits.append(learner.fit(x[rows], targets[rows], self._rng, begin, brief=trees))
        return fits

    def _labelled(self) -> tuple[Array, Labels]:
        shares = self._victim.shares
        x, y = shares.x_test, shares.y_test
        if shares.y_pool is not None and len(shares.pool):
            x, y = shares.pool, shares.y_pool
        rows = np.sort(self._rng.permutation(len(x))[:MOST_ROWS])
        return x[rows], y[rows]


def p_value(hits: int, pairs: int, rate: float) -> float:
    """Chance of so many hits or more in independent pairs, each hit at the rate.

    Pairs are not hit alike; above the mean, a binomial of the mean rate has the larger tail
    (Hoeffding 1956, "On the Distribution of the Number of Successes in Independent Trials").
    """
    from scipy.stats import binom  # heavy, and for one defense

    return float(binom.sf(hits - 1, pairs, rate))
