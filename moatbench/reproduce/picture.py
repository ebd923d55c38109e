"""Figures 4 to 7: fidelity against queries per unknown, a line for each method."""

from pathlib import Path
from statistics import median
from typing import Any

from moatbench.display.style import COLOURS, MARKERS
from moatbench.reproduce.of_figures import averaged, averages, lines_of
from moatbench.reproduce.results import Results
from moatbench.reproduce.spec import Section

PANELS = (("test", "1 - R_test"), ("uniform", "1 - R_unif, valid inputs"))
# Errors on a log scale, so that 99 % and 99.9 % are told apart, but labelled by 1 - R
TICKS = {0.5: "50 %", 0.1: "90 %", 1e-2: "99 %", 1e-3: "99.9 %", 1e-4: "99.99 %"}
NONE = 1e-5  # where no disagreement at all is drawn


def draw(section: Section, results: Results, folder: Path) -> bool:
    """Draw a section's picture into <folder>/<key>.png; return whether there was anything to draw.

    A line is the median over seeds of the average over data sets, its band the range over seeds; a
    star is a point that the paper's text gives.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = [line for line in lines_of(section) if averages(section, results, line, "test")]
    if not lines:
        return False
    figure = Figure(figsize=(8.4, 4.0), layout="constrained")
    FigureCanvasAgg(figure)  # no pyplot: nothing global, no window
    axes = figure.subplots(1, 2, sharey=True)
    for axis, (field, title) in zip(axes, PANELS, strict=True):
        for place, line in enumerate(lines):
            _draw_line(axis, averages(section, results, line, field), place, line)
        for claim in section.claims:
            colour = COLOURS[lines.index(claim.line) % len(COLOURS)] if claim.line in lines else "k"
            _draw_claim(axis, claim.alpha, 1 - claim.fidelity, colour)
        _label(axis, section, title)
    _scale(axes[0], len(averaged(section, results)))
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(section.title, fontsize=10)
    figure.savefig(folder / f"{section.key}.png", dpi=160, metadata={"Software": None})
    return True


def _draw_line(axis: Any, found: dict[float, list[float]], place: int, name: str) -> None:
    errors = {alpha: [max(1 - value, NONE) for value in values] for alpha, values in found.items()}
    colour, marker = COLOURS[place % len(COLOURS)], MARKERS[place % len(MARKERS)]
    middle = [median(values) for values in errors.values()]
    style = {"color": colour, "marker": marker, "linewidth": 1.4, "markersize": 4.5}
    axis.plot(list(errors), middle, label=name, **style)
    band = [min(values) for values in errors.values()], [max(values) for values in errors.values()]
    axis.fill_between(list(errors), *band, color=colour, alpha=0.15, linewidth=0)


def _draw_claim(axis: Any, alpha: float, error: float, colour: str) -> None:
    known = axis.get_legend_handles_labels()[1]
    label = "the paper: at least" if "the paper: at least" not in known else None
    axis.plot(
        [alpha], [error], "*", color=colour, markersize=13, markeredgecolor="black", label=label
    )


def _label(axis: Any, section: Section, title: str) -> None:
    ours = {budget for row in section.rows for budget in row.budgets}
    alphas = sorted(ours | {claim.alpha for claim in section.claims})
    axis.set_xscale("log")
    axis.set_xticks(alphas, [f"{alpha:g}" for alpha in alphas])
    axis.minorticks_off()
    axis.set_xlabel("alpha = queries per unknown")
    axis.set_title(title, fontsize=10)
    axis.grid(alpha=0.3, linewidth=0.6)


def _scale(axis: Any, sets: int) -> None:
    axis.set_yscale("log")
    axis.set_ylim(1.0, NONE / 1.5)
    axis.set_yticks([*TICKS, NONE], [*TICKS.values(), "100 %"])
    axis.minorticks_off()
    axis.set_ylabel(f"fidelity, average of {sets} data sets")
