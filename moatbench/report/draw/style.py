"""One look for page and paper: a colour, marker and dash for each defense; size and type."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from moatbench.display.style import FAINT
from moatbench.report.measure.worst import UNDEFENDED

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Without the yellow, which is faint on white; in the order in which neighbours differ most
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "os^Dv<>P"
DASHES = ("solid", "dashed", "dashdot", "dotted")
INK = "#222222"
COLUMN, PAGE = 3.3, 7.0  # inches
POINTS = 8  # of the text: what a journal prints at this size
PANELS = (("fidelity_test", "test data"), ("fidelity_uniform", "uniform inputs"))
RC: Any = {
    "font.size": POINTS,
    "axes.titlesize": POINTS,
    "axes.labelsize": POINTS,
    "xtick.labelsize": POINTS - 1,
    "ytick.labelsize": POINTS - 1,
    "legend.fontsize": POINTS - 1,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "pdf.fonttype": 42,  # TrueType: publishers refuse Type 3
    "svg.fonttype": "path",
    "svg.hashsalt": "moatbench",  # the same runs give the same bytes
}


@dataclass(frozen=True)
class Look:
    """How a defense is drawn: three channels, so that colour is never the only one.

    Args:
        colour: that nothing else in the picture has; FAINT for all that do not stand out.
        marker: its shape.
        dash: of its line.
    """

    colour: str
    marker: str
    dash: str

    @property
    def strong(self) -> bool:
        """Whether it stands out."""
        return self.colour != FAINT


def looks(defenses: Sequence[str], leading: Sequence[str] | None = None) -> dict[str, Look]:
    """Give each defense its look: the undefended API is ink, and few others have a colour.

    Args:
        defenses: in their order.
        leading: those that should stand out, the first of them first; None takes the order.
    """
    others = [name for name in defenses if name != UNDEFENDED]
    first = [name for name in (leading or others) if name in others][: len(PALETTE)]
    ranked = [*first, *(name for name in others if name not in first)]
    out = {
        name: Look(
            PALETTE[place] if place < len(first) else FAINT,
            MARKERS[1 + place % (len(MARKERS) - 1)],
            DASHES[place % len(DASHES)],
        )
        for place, name in enumerate(ranked)
    }
    return out | ({UNDEFENDED: Look(INK, MARKERS[0], "solid")} if UNDEFENDED in defenses else {})


def sized(width: float, height: float) -> "Figure":
    """Return an empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    engine = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05)  # inches
    figure = Figure(figsize=(width, height), layout=engine)
    FigureCanvasAgg(figure)  # no pyplot: nothing global, no window
    return figure
