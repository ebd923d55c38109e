"""The figure of one run: the worst case against queries, the attacks behind it in grey."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from moatbench.display.answer import folded, together
from moatbench.display.labels import GAP as GAP
from moatbench.display.labels import Label, beside, share_of
from moatbench.display.labels import apart as apart
from moatbench.display.style import FAINT, SOFT, STRONG
from moatbench.record.columns import FLOORS, WORST_CASE
from moatbench.record.curve import Row, by_attack
from moatbench.record.summary import Summary
from moatbench.record.whole import write_whole
from moatbench.verdict.names import shown
from moatbench.verdict.words import of_run as verdict_of

PANELS = (("fidelity_test", "on test data"), ("fidelity_uniform", "on uniform inputs"))
# Room for names behind each panel; to measure all texts takes a quarter of drawing them
MARGINS = {"left": 0.08, "right": 0.81, "bottom": 0.11, "wspace": 0.7}
LETTERS = 140  # of a line above the panels
POINTS = 7.5  # of the labels
LABELS, LONGEST = 16, 34  # lines that have one, and its letters
Line = tuple[str, Sequence[Row]]


def draw(rows: Sequence[Row], summary: Summary, folder: Path) -> None:
    """Draw curve.png: a panel for each kind of fidelity, a line for each attack.

    For print there are the report's figures: a PDF of each run was a ninth of a tiny sweep.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.0, 4.4), dpi=110)
    axes = figure.subplots(1, len(PANELS), sharey=True, gridspec_kw=MARGINS)
    strong, others = _sorted(by_attack(rows))
    for axis, (metric, where) in zip(axes, PANELS, strict=True):
        _panel(axis, strong, others, metric)
        floor = summary.floor_scores.get(metric)
        labels = _ends(axis, [*strong, *others], metric, len(strong))
        if floor is not None:
            axis.axhline(floor, color=SOFT, linewidth=0.8, linestyle=(0, (1, 3)))
            words = FLOORS.get(summary.floor or "", "no API").partition(",")[0]
            text = f"No query: {words.removeprefix('the ')}"
            labels.append(Label(share_of(axis, floor), text))
        beside(axis, labels, GAP, POINTS, LONGEST)
        axis.set_title(where, fontsize=9, loc="left", y=1.0)  # told, it is not searched for
    axes[0].set_ylabel("inputs on which the copy\nagrees with the model, %", fontsize=9)
    heading = fill(verdict_of(summary) or summary.title, LETTERS)
    figure.subplots_adjust(top=0.91 - 0.04 * len(heading.splitlines()))
    figure.suptitle(heading, fontsize=9, x=0.01, ha="left", parse_math=False)
    # `savefig` would draw it twice, and of a tiny run the figure takes the most
    write_whole(folder / "curve.png", FigureCanvasAgg(figure).print_png)


def _sorted(curves: Mapping[str, Sequence[Row]]) -> tuple[list[Line], list[Line]]:
    """Return the line that stands for the run, and the others, equal ones as one."""
    attacks = {name: curve for name, curve in curves.items() if name != WORST_CASE}
    lines = [(together(names), curve) for names, curve in folded(attacks)]
    if WORST_CASE in curves:
        return [("worst_case", curves[WORST_CASE])], lines
    return lines[:1], lines[1:]


def _panel(axis: Any, strong: Sequence[Line], others: Sequence[Line], metric: str) -> None:
    for _, curve in others:
        axis.plot(*_points(curve, metric), color=FAINT, linewidth=1.0, marker=".", markersize=4)
    for _, curve in strong:
        axis.plot(*_points(curve, metric), color=STRONG, linewidth=2.6, marker="o", markersize=5)
    axis.set_xscale("log")
    ticks = sorted({row["queries"] for _, curve in [*strong, *others] for row in curve})
    axis.set_xticks(ticks, [f"{t:,}" for t in ticks], fontsize=8)
    axis.minorticks_off()
    axis.set_xlabel("queries", fontsize=9)
    axis.set_ylim(-0.01, 1.01)
    axis.set_yticks([0, 0.25, 0.5, 0.75, 1.0], ["0", "25", "50", "75", "100"], fontsize=8)
    axis.grid(alpha=0.25, linewidth=0.6)
    axis.spines[["top", "right"]].set_visible(False)


def _points(curve: Sequence[Row], metric: str) -> tuple[list[int], list[float]]:
    return [row["queries"] for row in curve], [row[metric] for row in curve]


def _ends(axis: Any, lines: Sequence[Line], metric: str, strong: int) -> list[Label]:
    """Return where each line ends, and its name."""
    ends = [(curve[-1][metric], name, i < strong) for i, (name, curve) in enumerate(lines[:LABELS])]
    return [
        Label(share_of(axis, end), shown(name), STRONG if first else FAINT, first)
        for end, name, first in ends
        if end == end
    ]
