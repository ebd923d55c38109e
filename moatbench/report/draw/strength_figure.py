"""What each strength of a defense costs, against what it leaves: one connected line a defense."""

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, isnan
from typing import TYPE_CHECKING, Any

from moatbench.report.draw.notes import write
from moatbench.report.draw.style import COLUMN, Look, looks, sized
from moatbench.report.measure.baselines import baselines_first, is_baseline
from moatbench.report.measure.leaderboard import Standing
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.strengths import Strengths
from moatbench.verdict.names import shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = (("l1", "honest cost (mean L1, a refusal counts 2)"), ("lost", "accuracy lost (points)"))
STEPS, HALF = 24, 4.0  # boxes along a segment, half the side of a mark, in pixels
AWAY = (7.0, 14.0)  # points from a mark to its label


def strength_figure(
    lines: Sequence[Strengths], rows: Sequence[Standing], width: float, *, regression: bool = False
) -> "Figure":
    """Worst-case fidelity against cost, a line for each defense through its strengths in order.

    A column has the L1 distance, a page the accuracy lost as well; the baselines are points.
    """
    points = [row for row in baselines_first(rows) if is_baseline(row)]
    look = looks([*(row.defense for row in points), *(line.name for line in lines)])
    wide = width > COLUMN and not regression
    costs, columns = COSTS[: 1 + wide], 2 + 2 * wide
    figure = sized(width, 2.3 + 0.16 * ceil(len(look) / columns))
    axes = figure.subplots(1, len(costs), sharey=True, squeeze=False)[0]
    for axis, (cost, said) in zip(axes, costs, strict=True):
        for row in points:
            _draw(axis, [row], cost, look[row.defense], shown(row.defense))
        for line in lines:
            _draw(axis, line.rows, cost, look[line.name], f"{shown(line.name)}, by {line.knob}")
        axis.set_xlabel(said)
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.margins(x=0.1, y=0.1)
    axes[0].set_ylabel("worst-case fidelity (%)")
    axes[0].set_yticks([t for t in axes[0].get_yticks() if 0 <= t <= 100])
    handles, labels = axes[0].get_legend_handles_labels()
    place: Any = "outside lower center"
    figure.legend(handles, labels, loc=place, ncols=columns, frameon=False, handlelength=2.6)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed where the marks now are
    for axis, (cost, _) in zip(axes, costs, strict=True):
        _label(axis, lines, cost, look)
    return figure


def _at(row: Standing, cost: str) -> tuple[Interval, Interval]:
    """Return a row's cost, and its worst case in %."""
    paid = row.cost if cost == "l1" else _percent(row.honest["honest_accuracy_lost"])
    return paid, _percent(row.test.value)


def _percent(share: Interval) -> Interval:
    return Interval(100 * share.mean, 100 * share.low, 100 * share.high, share.n)


def _draw(axis: "Axes", rows: Sequence[Standing], cost: str, look: Look, label: str) -> None:
    found = [both for both in (_at(row, cost) for row in rows) if not isnan(both[0].mean)]
    if not found:
        return
    x, y = zip(*found, strict=True)
    drawn = axis.errorbar(
        [v.mean for v in x],
        [v.mean for v in y],
        xerr=_arms(x),
        yerr=_arms(y),
        color=look.colour,
        marker=look.marker,
        linestyle=look.dash if len(found) > 1 else "none",
        markersize=4,
        markeredgewidth=0,
        linewidth=1.2,
        elinewidth=0.8,
        label=label,
    )
    for bars in drawn.lines[2]:
        bars.set_alpha(0.4)  # intervals of three seeds are long: the line comes first


def _arms(values: Sequence[Interval]) -> list[list[float]] | None:
    if any(isnan(v.low) for v in values):
        return None
    both = [v.mean - v.low for v in values], [v.high - v.mean for v in values]
    return [[max(0.0, end) for end in ends] for ends in both]


def _label(axis: "Axes", lines: Sequence[Strengths], cost: str, look: dict[str, Look]) -> None:
    """Write the strengths beside their marks, the ends of each line first, where there is room."""
    from matplotlib.transforms import Bbox

    marks = [
        (*_at(row, cost), value, line, place)
        for line in lines
        for place, (value, row) in enumerate(zip(line.values, line.rows, strict=True))
    ]
    taken: list[Bbox] = []
    for line in lines:
        found = [_at(row, cost) for row in line.rows]
        spots = axis.transData.transform([(x.mean, y.mean) for x, y in found])
        for one, two in pairwise([*spots, spots[-1]]):
            # The line, as a chain of boxes; at its ends those of the marks
            chain = [one + (two - one) * at / STEPS for at in range(STEPS)]
            sizes = [HALF, *[HALF / 4] * (STEPS - 1)]
            taken += [Bbox([c - size, c + size]) for c, size in zip(chain, sizes, strict=True)]
    by_end = sorted(marks, key=lambda m: m[4] not in (0, len(m[3].values) - 1))
    for x, y, value, line, _ in by_end:
        if not isnan(x.mean):
            write(axis, [f"{value:g}"], (x.mean, y.mean), look[line.name].colour, taken, AWAY)
