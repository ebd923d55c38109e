"""A model that stands for the one behind a service, asked with rows as the service takes them."""

from dataclasses import dataclass

import numpy as np

from moatbench.feature import OFF, ON, Categorical, Numeric
from moatbench.reply import Predict, Reply
from moatbench.space import InputSpace
from moatbench.types import Array, Rows
from moatbench.victim import Victim


@dataclass(frozen=True)
class Reference:
    """Answers of a model to rows of another space of the same columns, in other units and codes.

    Args:
        predict: of the model.
        space: of the rows; codes of names.
        own: the model's.
        order: for each class of the service, the model's.
    """

    predict: Predict
    space: InputSpace
    own: InputSpace
    order: Rows

    @classmethod
    def of(cls, victim: Victim, space: InputSpace, classes: tuple[str, ...]) -> "Reference":
        """Find out how a victim is asked.

        Raises:
            ValueError: its columns or classes are others.
        """
        theirs, ours = ({f.name: f for f in s.features} for s in (victim.space, space))
        named = [n for n, f in ours.items() if n in theirs and _names(f) - _names(theirs[n])]
        if named or theirs.keys() != ours.keys() or {*victim.classes} != {*classes}:
            raise ValueError(
                "victim.reference must be a model of the same columns and classes, got "
                f"{', '.join(theirs)} for {', '.join(victim.classes)}; the service takes "
                f"{', '.join(ours)} for {', '.join(classes)}"
            )
        order = np.array([victim.classes.index(name) for name in classes], dtype=np.intp)
        return cls(victim.predict, space, victim.space, order)

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows of the service's space."""
        reply = self.predict(self._rows(x))
        outputs = None if reply.outputs is None else reply.outputs[:, self.order]
        return Reply(np.argsort(self.order)[reply.labels].astype(np.int64), outputs)

    def _rows(self, x: Array) -> Array:
        """Write rows in the model's units and codes."""
        columns_of = zip(self.space.features, self.space.columns, strict=True)
        places = {feature.name: columns.start for feature, columns in columns_of}
        made = np.empty((len(x), self.own.d))
        for feature, columns in zip(self.own.features, self.own.columns, strict=True):
            place = places[feature.name]
            given = x[:, place]
            if isinstance(feature, Categorical):
                codes = self._codes(feature, given)[:, None]
                hot = codes == np.arange(len(feature.values))
                made[:, columns] = np.where(hot, ON, OFF) if feature.one_hot else codes
                continue
            (low, high), (a, b) = feature.bounds, (self.space.low[place], self.space.high[place])
            same = (low, high) == (a, b)  # what need not move keeps its last bit
            moved = given if same else low + (given - a) / (b - a) * (high - low)
            made[:, columns.start] = moved
        return made

    def _codes(self, feature: Categorical, given: Array) -> Rows:
        """(n,) the model's codes of names; a number that it takes for a name is the nearest."""
        ours = next(f for f in self.space.features if f.name == feature.name)
        if isinstance(ours, Categorical):
            return np.array([feature.values.index(v) for v in ours.values])[given.astype(np.intp)]
        names = np.array([float(value) for value in feature.values])
        return np.asarray(np.abs(given[:, None] - names).argmin(axis=1))


def _names(feature: Numeric | Categorical) -> set[str]:
    return set(feature.values) if isinstance(feature, Categorical) else set()
