"""Panels side by side, with room to their right for the names of what is drawn."""

from typing import TYPE_CHECKING, Any

from moatbench.report.draw.style import sized

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LETTERS, LETTER = 23, 0.058  # of a label at a line's end, and inches of one
LEFT, RIGHT, TOP, BOTTOM = 0.42, 0.36, 0.24, 0.42  # inches about a panel and its labels
LINE = 0.125  # inches between two labels


def panelled(
    width: float, count: int, most: int, longest: int
) -> tuple["Figure", list["Axes"], float]:
    """Return an empty figure, its panels, and the least gap of two labels in shares of a panel.

    Args:
        width: of the figure, in inches.
        count: of panels.
        most: labels beside a panel.
        longest: letters of a label.
    """
    height = max(2.4, TOP + BOTTOM + LINE * (most + 1))
    figure = sized(width, height)
    figure.set_layout_engine("none")
    each = width / count
    inner = each - LEFT - RIGHT - LETTER * longest, height - TOP - BOTTOM
    size = BOTTOM / height, inner[0] / width, inner[1] / height
    axes = [figure.add_axes(((place * each + LEFT) / width, *size)) for place in range(count)]
    return figure, axes, LINE / inner[1]


def title_above(axis: "Axes", title: str) -> None:
    """Write what the axis shows above it, where no label can be."""
    figure: Any = axis.figure
    box = axis.get_position()
    wide, high = box.width * figure.get_figwidth(), box.height * figure.get_figheight()
    axis.text(-LEFT / wide, 1 + 0.1 / high, title, transform=axis.transAxes)
