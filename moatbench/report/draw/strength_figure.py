"""What each strength of a defense costs, against what it leaves: one connected line a defense."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isnan
from typing import TYPE_CHECKING, Any

from moatbench.display.labels import Label, beside, share_of
from moatbench.report.draw.notes import write
from moatbench.report.draw.panels import LETTERS, panelled, title_above
from moatbench.report.draw.style import COLUMN, POINTS, Look, looks
from moatbench.report.measure.baselines import baselines_first, is_baseline
from moatbench.report.measure.leaderboard import Standing
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.strengths import Strengths
from moatbench.verdict.names import folded, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = (("l1", "honest cost (mean L1)"), ("lost", "accuracy lost (points)"))
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
    names = {row.defense: shown(row.defense) for row in points}
    names |= {line.name: _called(line) for line in lines}
    costs = COSTS[: 1 + (width > COLUMN and not regression)]
    longest = max(map(len, names.values()))
    figure, axes, gap = panelled(width, len(costs), len(look), longest)
    drawn = {**{row.defense: [row] for row in points}, **{line.name: line.rows for line in lines}}
    for axis, (cost, said) in zip(axes, costs, strict=True):
        for name, along in drawn.items():
            _draw(axis, along, cost, look[name])
        axis.set_xlabel(said)
        axis.grid(alpha=0.25, linewidth=0.5)
        axis.margins(x=0.1, y=0.1)
        axis.set_yticks([t for t in axis.get_yticks() if 0 <= t <= 100])
        title_above(axis, "worst-case fidelity (%)")
        _name(axis, drawn, cost, look, names, gap)
        _label(axis, lines, cost, look)
    return figure


def _name(
    axis: "Axes",
    drawn: Mapping[str, Sequence[Standing]],
    cost: str,
    look: Mapping[str, Look],
    names: Mapping[str, str],
    gap: float,
) -> None:
    """Write names beside the panel, each led to from its line's dearest strength."""
    labels = []
    for name, rows in drawn.items():
        found = [both for both in (_at(row, cost) for row in rows) if not isnan(sum(_means(both)))]
        if not found:
            continue
        x, y = max(map(_means, found))
        at = share_of(axis, y)
        low, high = axis.get_xlim()
        across = (x - low) / (high - low)
        lead: Any = {"color": look[name].colour, "lw": 0.4, "alpha": 0.5, "ls": ":"}
        axis.plot([across, 1.0], [at, at], transform=axis.transAxes, **lead)
        labels.append(Label(at, names[name], look[name].colour, mark=look[name].marker))
    beside(axis, labels, gap, POINTS - 1, LETTERS + 2)


def _at(row: Standing, cost: str) -> tuple[Interval, Interval]:
    """Return a row's cost, and its worst case in %."""
    paid = row.cost if cost == "l1" else _percent(row.honest["honest_accuracy_lost"])
    return paid, _percent(row.test.value)


def _percent(share: Interval) -> Interval:
    return Interval(100 * share.mean, 100 * share.low, 100 * share.high, share.n)


def _called(line: Strengths) -> str:
    """Name a line and its knob, where there is room for both."""
    whole = f"{shown(line.name)}, by {line.knob}"
    return whole if len(whole) <= LETTERS else folded([line.name], LETTERS)


def _means(both: tuple[Interval, Interval]) -> tuple[float, float]:
    return both[0].mean, both[1].mean


def _draw(axis: "Axes", rows: Sequence[Standing], cost: str, look: Look) -> None:
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
