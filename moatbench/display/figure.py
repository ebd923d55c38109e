"""The figure of one run: fidelity against queries."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from moatbench.display.style import COLOURS, MARKERS
from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import Row, by_attack
from moatbench.record.whole import write_whole

LEGEND = 8  # lines that a legend within a panel may name
# Of a figure whose legend lies within: to measure all texts takes a quarter of drawing it
MARGINS = {"left": 0.1, "right": 0.99, "bottom": 0.14, "top": 0.83, "wspace": 0.05}
PANELS = (("fidelity_test", "on test data"), ("fidelity_uniform", "on uniform inputs"))


def draw(rows: Sequence[Row], title: str, folder: Path) -> None:
    """Draw curve.png and curve.pdf: a panel for each kind of fidelity, a line for each attack."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.backends.backend_pdf import FigureCanvasPdf
    from matplotlib.figure import Figure

    curves = by_attack(rows)
    many = len(curves) > LEGEND
    figure = Figure(figsize=(10.0 if many else 8.4, 3.6), dpi=110)
    if many:  # as wide as their names ask for
        figure.set_layout_engine("constrained")
    axes = figure.subplots(1, 2, sharey=True, gridspec_kw=None if many else MARGINS)
    for axis, (metric, where) in zip(axes, PANELS, strict=True):
        for place, (name, curve) in enumerate(curves.items()):
            worst = name == WORST_CASE
            axis.plot(
                [row["queries"] for row in curve],
                [row[metric] for row in curve],
                color="black" if worst else COLOURS[place % len(COLOURS)],
                marker="" if worst else MARKERS[place % len(MARKERS)],
                linestyle=":" if worst else "-",
                linewidth=2.2 if worst else 1.4,
                markersize=4.5,
                label=name.replace("_", " "),
            )
        axis.set_xscale("log")
        ticks = sorted({row["queries"] for row in rows})
        axis.set_xticks(ticks, [f"{t:,}" for t in ticks])
        axis.minorticks_off()
        axis.set_xlabel("queries")
        axis.set_title(where, fontsize=10)
        axis.grid(alpha=0.3, linewidth=0.6)
    axes[0].set_ylabel("fidelity")
    axes[0].set_ylim(top=1.005)
    if many:  # beside the panels, where they cover no line
        lines = axes[1].get_legend_handles_labels()
        figure.legend(*lines, loc="outside right center", fontsize=7, frameon=False)
    else:
        axes[1].legend(fontsize=8, frameon=False)
    figure.suptitle(title.replace("_", " "), fontsize=10)
    # `savefig` would draw each twice, and of a tiny run the figure takes the most
    write_whole(folder / "curve.png", FigureCanvasAgg(figure).print_png)
    figure.set_layout_engine("none")  # it is laid out by now
    # No date in the PDF: the same run gives the same bytes
    save = partial(FigureCanvasPdf(figure).print_pdf, metadata={"CreationDate": None})
    write_whole(folder / "curve.pdf", save)
