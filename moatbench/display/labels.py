"""Names at the ends of lines, moved apart where they would meet."""

from collections.abc import Sequence
from textwrap import shorten
from typing import Any, NamedTuple

from moatbench.display.style import FAINT, SOFT

GAP = 0.048  # between two labels, as a share of the axis' height


class Label(NamedTuple):
    """A name for the end of a line.

    Args:
        end: where the line ends, as a share of the axis' height.
        text: what to write.
        colour: of the way from the line to the name, and of a strong name.
        strong: whether it is bold.
        mark: the line's marker, before the name; '' for none.
    """

    end: float
    text: str
    colour: str = FAINT
    strong: bool = False
    mark: str = ""


def share_of(axis: Any, value: float) -> float:
    """Return where a value lies on an axis, as a share of its height."""
    low, high = axis.get_ylim()
    return float((value - low) / (high - low))


def beside(axis: Any, labels: Sequence[Label], gap: float, points: float, longest: int) -> None:
    """Write each name beside its line's end.

    Args:
        axis: that the lines are drawn on.
        labels: in any order.
        gap: between two names, as a share of the axis' height.
        points: of the letters.
        longest: letters of a name.
    """
    ranked = sorted(labels, key=lambda label: (-label.end, not label.strong))
    inches = axis.get_position().width * axis.figure.get_figwidth()
    steps = [x / inches for x in (0.07, 0.14, 0.18, 0.23, 0.30)]  # to the right of the axis
    for label, place in zip(ranked, apart([one.end for one in ranked], gap), strict=True):
        axis.plot(
            [1.0, 1 + steps[0], 1 + steps[1]],
            [label.end, place, place],
            color=label.colour,
            linewidth=0.6,
            transform=axis.transAxes,
            clip_on=False,
        )
        if label.mark:
            mark = {"marker": label.mark, "markersize": 0.5 * points, "markeredgewidth": 0}
            at = [1 + steps[3]], [place]
            axis.plot(*at, color=label.colour, transform=axis.transAxes, clip_on=False, **mark)
        axis.text(
            1 + steps[4 if label.mark else 2],
            place,
            shorten(label.text, longest, placeholder=" .."),
            color="black" if label.mark else label.colour if label.strong else SOFT,
            fontsize=points,
            fontweight="bold" if label.strong and not label.mark else "normal",
            va="center",
            transform=axis.transAxes,
            parse_math=False,
        )


def apart(ends: Sequence[float], gap: float = GAP) -> list[float]:
    """Move places, the highest first, so far apart that labels do not meet; none below 0."""
    places: list[float] = []
    for end in ends:
        places.append(min(end, places[-1] - gap) if places else end)
    low = 0.0
    for i in reversed(range(len(places))):  # what was pushed below the axis pushes back
        places[i] = max(places[i], low)
        low = places[i] + gap
    return places
