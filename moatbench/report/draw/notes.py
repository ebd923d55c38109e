"""Names beside marks, where they cover nothing."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from moatbench.display.style import FAINT
from moatbench.report.draw.style import POINTS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.transforms import Bbox

FAR = 9.0  # points: a thin line leads from a mark to a text that is farther
SIDES = ((1, 0), (0.7, 0.7), (0, 1), (-0.7, 0.7), (-1, 0), (-0.7, -0.7), (0, -1), (0.7, -0.7))


def write(
    axis: "Axes",
    texts: Sequence[str],
    at: tuple[float, float],
    colour: str,
    taken: list["Bbox"],
    away: Sequence[float],
    *,
    wide: bool = False,
) -> bool:
    """Try the places around a mark, and shorter texts; say whether one covers nothing.

    Args:
        axis: that the mark is on.
        texts: the best first.
        at: the mark, in the axis' data.
        colour: of the text.
        taken: boxes in pixels that may not be covered; the text's is added.
        away: points from the mark, the best first.
        wide: whether a text stands beside its place, and not about it.
    """
    from matplotlib.patheffects import withStroke

    note: Any = axis.annotate(
        "",
        at,
        xytext=(0, 0),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=POINTS - 1,
        color=colour,
        annotation_clip=False,
        parse_math=False,
        path_effects=[withStroke(linewidth=1.5, foreground="white")],  # over lines of the picture
    )
    inside = axis.get_window_extent()
    for text in texts:
        note.set_text(text)
        for distance in away:
            for right, up in SIDES:
                if wide:
                    note.set_ha("left" if right > 0 else "right" if right < 0 else "center")
                note.set_position((distance * right * 1.2, distance * up))
                box = note.get_window_extent()
                within = inside.x0 <= box.x0 and box.x1 <= inside.x1 and inside.y0 <= box.y0
                if within and box.y1 <= inside.y1 and not any(box.overlaps(t) for t in taken):
                    taken.append(box)
                    if wide and distance > FAR:
                        _lead(axis, at, box)
                    return True
    note.remove()
    return False


def _lead(axis: "Axes", at: tuple[float, float], box: "Bbox") -> None:
    """Draw a line from a mark to the nearest point of a text."""
    x, y = axis.transData.transform(at)
    ends = min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)
    to = axis.transData.inverted().transform(ends)
    axis.plot([at[0], to[0]], [at[1], to[1]], color=FAINT, lw=0.5, zorder=1)
