"""Services that prepare raw features themselves, before a model that they publish.

Tramèr et al. 2016, sec. 3.2 and 5.2, table 7.
"""

from dataclasses import dataclass

import numpy as np

from moatbench.data import Dataset
from moatbench.knobs import check_number, check_whole
from moatbench.models import forward
from moatbench.models.scaled import behind
from moatbench.reply import Reply, from_outputs
from moatbench.space import InputSpace
from moatbench.types import Array, Generator
from moatbench.victim import Victim


def amazon_logistic(
    data: Dataset, rng: Generator, bins: int = 10, C: float = 1.0, max_iter: int = 5000
) -> Victim:
    """Train multinomial logistic regression on features that the service extracts.

    It takes raw features, of which some may be left out. A numeric feature becomes one indicator
    for each of its quantile bins, a categorical one an indicator for each value; what is left out
    is zero in all of its indicators. Neither edges nor number of bins are published.

    Args:
        data: two classes or more.
        rng: draws the shares.
        bins: of a numeric feature, at most, as equal values fall into one; 0 takes it as it is.
        C: inverse of the L2 penalty, > 0.
        max_iter: of the optimiser.
    """
    if bins is False or bins != 0:
        check_whole("victim.bins", bins, 2, other="0 for none")
    check_number("victim.C", C, 0, above=True)
    check_whole("victim.max_iter", max_iter, 1)
    shares = data.shares(rng, encoding="codes")
    from sklearn.linear_model import LogisticRegression  # heavy: after all that may be wrong

    x_train = shares.space.scaled(shares.x_train)
    extraction = Indicators.of(shares.space, x_train, bins)
    model = LogisticRegression(C=C, max_iter=max_iter)
    model.fit(extraction(x_train), shares.y_train)
    coef, intercept = model.coef_, model.intercept_
    if len(shares.classes) == 2:  # scikit-learn keeps one row of log-odds
        coef, intercept = np.vstack([-coef, coef]) / 2, np.hstack([-intercept, intercept]) / 2
    service = Service(extraction, np.ascontiguousarray(coef.T), np.asarray(intercept))
    return Victim(shares, behind(shares.space, service), "amazon_logistic", partial=True)


@dataclass(frozen=True)
class Indicators:
    """Indicators of raw features: one for each bin of a numeric feature, or value of another.

    Args:
        edges: of each column's bins; None takes the column as it is.
    """

    edges: tuple[Array | None, ...]

    @classmethod
    def of(cls, space: InputSpace, x: Array, bins: int) -> "Indicators":
        """Cut numeric columns at the quantiles of x (n, d), categorical ones between codes."""
        coded = set(space.coded.tolist())
        return cls(
            tuple(
                np.arange(1.0, space.high[column] + 1)
                if column in coded
                else _quantiles(values, bins)
                for column, values in enumerate(x.T)
            )
        )

    def __call__(self, x: Array) -> Array:
        """(n, features), in [0, 1] or, without bins, as scaled."""
        return np.hstack([_extracted(x[:, [c]], e) for c, e in enumerate(self.edges)])


@dataclass(frozen=True)
class Service:
    """Softmax regression on extracted features: weights (features, k), intercept (k,)."""

    extraction: Indicators
    weights: Array
    intercept: Array

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) raw rows; NaN leaves a feature out."""
        scores = forward.affine(self.extraction(x), self.weights, self.intercept)
        return from_outputs(forward.softmax(scores))


def _quantiles(values: Array, bins: int) -> Array | None:
    """Edges between bins; a value on an edge belongs to the upper bin, and no bin is empty."""
    if not bins:
        return None
    edges = np.unique(np.quantile(values, np.arange(1, bins) / bins))
    return np.asarray(edges[edges > values.min()])


def _extracted(column: Array, edges: Array | None) -> Array:
    if edges is None:
        return np.nan_to_num(column, nan=0.0)
    places = np.searchsorted(edges, column, side="right")  # NaN goes last
    hot: Array = (places == np.arange(len(edges) + 1)) & ~np.isnan(column)
    return hot.astype(np.float64)
