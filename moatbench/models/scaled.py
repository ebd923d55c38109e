"""Models of scaled numbers, behind an API that takes them in the data's own units."""

from dataclasses import dataclass

from moatbench.reply import Predict, Reply
from moatbench.space import InputSpace
from moatbench.types import Array


@dataclass(frozen=True)
class OnScaled:
    """A model of numbers from -1 to 1, asked in the units of a space."""

    space: InputSpace
    model: Predict

    def __call__(self, x: Array) -> Reply:
        """Answer (n, d) rows of the space."""
        return self.model(self.space.scaled(x))


def behind(space: InputSpace, model: Predict) -> Predict:
    """Return what answers rows of a space as a model does on scaled ones."""
    whole = ((space.low == -1) & (space.high == 1))[space.numeric].all()
    return model if whole else OnScaled(space, model)
