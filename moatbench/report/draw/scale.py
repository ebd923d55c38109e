"""The axis of fidelity: linear, or spaced by the log of what is missing to 100 %."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, log10
from statistics import median_high
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SCALES = ("auto", "log", "linear", "whole")
HIGH = 90.0  # %: where half of the lines end above it, the axis tells 99 from 99.9 by itself
NINES = (0, 50, 80, 90, 95, 98, 99, 99.5, 99.8, 99.9, 99.95, 99.98, 99.99, 99.995, 99.999)
APART = 0.045  # of the axis, between two ticks


@dataclass(frozen=True)
class Scale:
    """Where a share in % stands on the axis.

    Args:
        low: the lowest value that is shown.
        high: the highest.
        least: on a log scale the smallest gap to 100 % that is not 0; 0 on a linear one.
    """

    low: float
    high: float
    least: float = 0.0

    @property
    def note(self) -> str:
        """What the axis' title must say of it."""
        return ", log of the disagreement" if self.least else ""

    def at(self, value: float) -> float:
        """Return the place of a value; what lacks nothing stands above all others."""
        if not self.least:
            return value
        return -log10(max(100 - value, self._floor))

    @property
    def _floor(self) -> float:
        return self.least / (3 if self.high >= 100 else 1.1)

    def fit(self, axis: "Axes") -> None:
        """Set ends and ticks of an axis whose values are places."""
        if not self.least:
            air = max(0.04 * (self.high - self.low), 0.5)
            axis.set_ylim(self.low - air, self.high + air)
            axis.set_yticks([t for t in axis.get_yticks() if self.low - air <= t <= 100])
            return
        low, high = self.at(self.low), self.at(self.high)
        air = 0.03 * (high - low) or 0.1
        axis.set_ylim(low - air, high + air)
        ticks = [100.0] if self.high >= 100 else []
        for tick in reversed(NINES):
            known = self.low <= tick and 100 - tick >= self.least / 1.1
            clear = all(abs(self.at(tick) - self.at(t)) >= APART * (high - low) for t in ticks)
            ticks += [float(tick)] if known and clear else []
        axis.set_yticks([self.at(t) for t in ticks], [f"{t:g}" for t in ticks])
        if self.high >= 100:  # between the last value and 100 % the scale has no end
            cut = (2 * self.at(100) + self.at(100 - self.least)) / 3
            axis.plot(
                [0],
                [cut],
                marker=((-1, -0.6), (1, 0.6)),
                color="k",
                markersize=6,
                clip_on=False,
                transform=axis.get_yaxis_transform(),
            )


def scale_of(kind: str, ends: Sequence[float], values: Sequence[float]) -> Scale:
    """Choose the scale of a picture.

    Args:
        kind: of SCALES; `auto` takes `log` where half of the lines end above HIGH.
        ends: where the lines end, in %.
        values: all that must be shown, in %; NaN are left out.
    """
    known = [value for value in values if not isnan(value)]
    high = bool(ends) and median_high(ends) >= HIGH
    if kind == "whole" or not known:
        return Scale(0.0, 100.0)
    if kind == "linear" or (kind == "auto" and not high):
        return Scale(min(known), max(known))
    gaps = [gap for value in known if (gap := 100 - value) > 1e-9]
    least = min([*gaps, 100 - HIGH])
    return Scale(min(*known, 90.0), max(known) if max(known) < 100 - 1e-9 else 100.0, least)
