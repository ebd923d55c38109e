"""Steps that answers are rounded to: which probabilities are answered alike."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from moatbench.traits import AnswerGrid
from moatbench.types import Array

SMALLEST = 1e-30  # a probability below which significant digits are not told apart


class Steps(Protocol):
    """Numbers the steps of the answers, from low to high; one step's end is the next one's start.

    `relative` says whether steps are the finer the smaller the probability is. `note` names it.
    """

    @property
    def relative(self) -> bool: ...

    @property
    def note(self) -> str: ...

    def steps(self, answers: Array) -> Array:
        """Return the whole numbers of the answers' steps; NaN where there is no answer."""

    def ends(self, steps: Array) -> Array:
        """Return the probabilities where the steps end."""


@dataclass(frozen=True)
class Decimals:
    """Answers rounded to so many decimals."""

    places: int

    relative = False

    @property
    def note(self) -> str:
        return f"{self.places} decimals"

    def steps(self, answers: Array) -> Array:
        return np.asarray(np.round(answers / self._unit))

    def ends(self, steps: Array) -> Array:
        ends: Array = (steps + 0.5) * self._unit
        return ends

    @property
    def _unit(self) -> float:
        return 2 * (0.5 * 10.0**-self.places)


@dataclass(frozen=True)
class Bins:
    """Answers j / (bins - 1) for probabilities in [j, j + 1) / bins."""

    bins: int

    relative = False

    @property
    def note(self) -> str:
        return f"{self.bins} bins"

    def steps(self, answers: Array) -> Array:
        return np.asarray(np.round(answers * (self.bins - 1)))

    def ends(self, steps: Array) -> Array:
        ends: Array = (steps + 1) / self.bins
        return ends


@dataclass(frozen=True)
class Digits:
    """Answers rounded to so many digits from the first that is not zero."""

    digits: int

    relative = True

    @property
    def note(self) -> str:
        return f"{self.digits} digits"

    def steps(self, answers: Array) -> Array:
        """Nine tenths of 10^digits steps a decade, counted from that of 1."""
        logs = np.log10(np.maximum(answers, SMALLEST))
        decade = np.floor(logs + 1e-9 * 10.0**-self.digits)
        mantissa = np.round(np.maximum(answers, SMALLEST) * 10.0 ** (self.digits - 1 - decade))
        return np.asarray(decade * self._count + mantissa - self._first)

    def ends(self, steps: Array) -> Array:
        decade = np.floor(steps / self._count)
        mantissa = steps - decade * self._count + self._first
        ends: Array = (mantissa + 0.5) * 10.0 ** (decade + 1 - self.digits)
        return ends

    @property
    def _first(self) -> float:
        return 10.0 ** (self.digits - 1)

    @property
    def _count(self) -> float:
        """Steps a decade."""
        return 9 * self._first


@dataclass(frozen=True)
class LogDecimals:
    """Answers whose natural logarithms are rounded to so many decimals."""

    places: int

    relative = True

    @property
    def note(self) -> str:
        return f"{self.places} decimals of logarithms"

    def steps(self, answers: Array) -> Array:
        return np.asarray(np.round(np.log(np.maximum(answers, SMALLEST)) * 10.0**self.places))

    def ends(self, steps: Array) -> Array:
        ends: Array = np.exp((steps + 0.5) * 10.0**-self.places)
        return ends


GRIDS: dict[str, Callable[[int], Steps]] = {
    "decimals": Decimals,
    "digits": Digits,
    "bins": Bins,
    "log_decimals": LogDecimals,
}


def grid_of(said: AnswerGrid) -> Steps:
    """Return the steps that a defense says its confidences have."""
    return GRIDS[said.unit](said.steps)


def bounds(grid: Steps, answers: Array) -> tuple[Array, Array]:
    """Return the least and the greatest probabilities (n, k) that are answered so.

    Where the lowest step begins, the least is below zero, which is no bound.
    """
    steps = grid.steps(answers)
    return grid.ends(steps - 1), grid.ends(steps)
