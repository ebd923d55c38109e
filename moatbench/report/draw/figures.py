"""The figures of a paper, in PDF and SVG at the width of a column and of a page."""

import logging
import re
from collections.abc import Sequence
from math import hypot, isnan, sqrt
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbench.display.labels import Label, beside, share_of
from moatbench.display.style import SOFT
from moatbench.report.draw.heat_map import heat_map, heat_maps
from moatbench.report.draw.lines import Line, leading, worst_lines
from moatbench.report.draw.notes import write
from moatbench.report.draw.panels import LETTERS, panelled, title_above
from moatbench.report.draw.scale import Scale, scale_of
from moatbench.report.draw.strength_figure import strength_figure
from moatbench.report.draw.style import COLUMN, INK, PAGE, PANELS, POINTS, RC, Look, looks, sized
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.strengths import strengths
from moatbench.report.measure.worst import Field
from moatbench.report.select.records import Setting
from moatbench.verdict.names import folded

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEAR = 6.0  # points: marks that are nearer share a label
AWAY = (6.0, 12.0, 20.0, 30.0)  # points from a mark to its label
COSTS = (0, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 1.5, 2)


def draw(fields: Sequence[Field], folder: Path, scale: str = "auto") -> list[str]:
    """Draw every figure into `folder`; return the names of the files."""
    import matplotlib

    names = list(dict.fromkeys(d for field in fields for d in field.defenses))
    shown = looks(names, leading(fields))
    files = []
    with matplotlib.rc_context(RC):
        for field in fields:
            rows = standings(field)
            drawn: dict[str, Figure] = {
                "curves_column": curves(field, rows, shown, PANELS[:1], COLUMN, scale),
                "curves_page": curves(field, rows, shown, PANELS, PAGE, scale),
                "tradeoff_column": tradeoff(rows, shown, COLUMN, scale),
                "tradeoff_page": tradeoff(rows, shown, PAGE, scale),
                **{n: heat_map(field, PAGE, panels) for n, panels in heat_maps(field).items()},
            }
            if lines := strengths(field, rows):
                for name, width in (("strengths_column", COLUMN), ("strengths_page", PAGE)):
                    drawn[name] = strength_figure(lines, rows, width, regression=field.regression)
            for name, figure in drawn.items():
                files += _save(figure, folder, f"{name}_{slug(field.setting)}")
    return files


def slug(setting: Setting) -> str:
    """A setting's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "_", f"{setting.victim}_{setting.data}").strip("_")


def curves(
    field: Field,
    rows: Sequence[Standing],
    shown: dict[str, Look],
    panels: Sequence[tuple[str, str]],
    width: float,
    scale: str = "auto",
) -> "Figure":
    """Worst-case fidelity against queries: a line for each defense, equal ones as one, named.

    Those that stand out have a colour and their interval, the rest is grey.
    """
    lines = {metric: worst_lines(field, metric) for metric, _ in panels}
    most = max(len(found) for found in lines.values())
    longest = max(len(folded(line.names, LETTERS)) for found in lines.values() for line in found)
    figure, axes, gap = panelled(width, len(panels), most, longest)
    for axis, (metric, where) in zip(axes, panels, strict=True):
        note = _curves(axis, field.checkpoints, lines[metric], shown, scale, gap)
        title_above(axis, f"fidelity on {where} (%){note}")
    return figure


def _curves(
    axis: "Axes",
    checkpoints: Sequence[int],
    lines: Sequence[Line],
    shown: dict[str, Look],
    kind: str,
    gap: float,
) -> str:
    """Draw a panel; return what its title must say of the scale."""
    leads = {
        line: next((n for n in line.names if shown[n].strong), line.names[0]) for line in lines
    }
    strong = [line for line in lines if shown[leads[line]].strong]
    values = [
        100 * v for line in lines for i in line.values for v in (i.mean, *_ends(i, line in strong))
    ]
    ends = [100 * line.values[-1].mean for line in lines]
    scale = scale_of(kind, [end for end in ends if not isnan(end)], values)
    for line in sorted(lines, key=lambda one: one in strong):
        _curve(axis, checkpoints, line, shown[leads[line]], scale)
    _log_queries(axis, checkpoints)
    scale.fit(axis)
    labels = []
    for line, end in zip(lines, ends, strict=True):
        look = shown[leads[line]]
        names = [leads[line], *(n for n in line.names if n != leads[line])]
        if not isnan(end):
            mark = look.marker if look.strong else ""
            at = share_of(axis, scale.at(end))
            labels.append(Label(at, folded(names, LETTERS), look.colour, look.strong, mark))
    beside(axis, labels, gap, POINTS - 1, LETTERS + 2)
    return scale.note


def _ends(value: Interval, wanted: bool) -> tuple[float, ...]:
    return (value.low, value.high) if wanted else ()


def _curve(axis: "Axes", x: Sequence[int], line: Line, look: Look, scale: Scale) -> None:
    means = [scale.at(100 * p.mean) for p in line.values]
    if not look.strong:
        axis.plot(x, means, color=look.colour, lw=0.8)
        return
    axis.plot(
        x,
        means,
        color=look.colour,
        marker=look.marker,
        linestyle=look.dash,
        markersize=3.2,
        linewidth=1.3,
        markeredgewidth=0,
    )
    if not any(isnan(p.low) for p in line.values):
        low, high = ([scale.at(100 * p[k]) for p in line.values] for k in (1, 2))
        axis.fill_between(x, low, high, color=look.colour, alpha=0.13, linewidth=0)


def tradeoff(
    rows: Sequence[Standing], shown: dict[str, Look], width: float, scale: str = "auto"
) -> "Figure":
    """Worst case against honest cost (by its square root), with the Pareto front."""
    figure = sized(width, 2.9)
    axis = figure.subplots()
    found = [row for row in rows if not isnan(row.cost.mean)]
    tests = [100 * v for row in found for v in row.test.value[:3]]
    y = scale_of(scale, [100 * row.test.value.mean for row in found], tests)
    at = {r.defense: (sqrt(r.cost.mean), y.at(100 * r.test.value.mean)) for r in found}
    for row in sorted(found, key=lambda row: shown[row.defense].strong):
        _point(axis, row, at[row.defense], shown[row.defense], y)
    front = sorted(at[row.defense] for row in found if row.front)
    if front:
        axis.step(*zip(*front, strict=True), where="post", color=INK, lw=0.7, ls=":", zorder=0)
    axis.set_xlabel("honest cost (mean L1, square-root scale)")
    figure.suptitle(f"worst-case fidelity (%){y.note}", x=0.01, ha="left", fontsize=POINTS)
    axis.grid(alpha=0.25, linewidth=0.5)
    _by_root(axis, [v for row in found for v in row.cost[:3] if not isnan(v)], width)
    y.fit(axis)
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed where the marks now are
    _name_points(axis, found, at, shown)
    return figure


def _point(axis: "Axes", row: Standing, at: tuple[float, float], look: Look, y: Scale) -> None:
    cost, fidelity = row.cost, row.test.value
    axis.errorbar(
        *at,
        xerr=_arms(at[0], sqrt(max(cost.low, 0)), sqrt(cost.high))
        if cost.low == cost.low
        else None,
        yerr=_arms(at[1], y.at(100 * fidelity.low), y.at(100 * fidelity.high)),
        color=look.colour,
        marker=look.marker,
        markersize=5 if look.strong else 4,
        markerfacecolor=look.colour if row.front else "white",
        linestyle="none",
        elinewidth=0.8 if look.strong else 0.5,
    )


def _by_root(axis: "Axes", costs: Sequence[float], width: float) -> None:
    """Space costs by their square root: most defenses are cheap, and 0 has its place."""
    from matplotlib.ticker import MaxNLocator

    most = max(costs, default=1.0) or 1.0
    axis.set_xlim(-0.04 * sqrt(most), 1.06 * sqrt(most))
    plain = 0.05 <= most <= 2 * COSTS[-1]
    known = COSTS if plain else [float(t) for t in MaxNLocator(5).tick_values(0, most)]
    ticks: list[float] = []
    for cost in known:
        if cost <= 1.05 * most and (
            not ticks or sqrt(cost) - sqrt(ticks[-1]) > 0.35 * sqrt(most) / width
        ):
            ticks.append(cost)
    axis.set_xticks([sqrt(t) for t in ticks], [f"{t:.3g}" for t in ticks])


def _name_points(
    axis: "Axes",
    rows: Sequence[Standing],
    at: dict[str, tuple[float, float]],
    shown: dict[str, Look],
) -> None:
    """Write names beside marks where there is room, the strong ones first."""
    from matplotlib.transforms import Bbox

    figure: Any = axis.figure
    dot = figure.dpi / 72
    spots = {name: axis.transData.transform(place) for name, place in at.items()}
    taken = [Bbox([spot - 3 * dot, spot + 3 * dot]) for spot in spots.values()]
    heaps: list[list[str]] = []
    for row in sorted(rows, key=lambda row: not shown[row.defense].strong):
        here = spots[row.defense]
        near = (h for h in heaps if hypot(*(spots[h[0]] - here)) < NEAR * dot)
        found = next(near, None)
        if found is None:
            heaps.append([row.defense])
        else:
            found.append(row.defense)
    for names in heaps:
        texts = list(dict.fromkeys(folded(names, letters) for letters in (30, 20, 12)))
        colour = INK if shown[names[0]].strong else SOFT
        write(axis, texts, at[names[0]], colour, taken, AWAY, wide=True)


def _log_queries(axis: "Axes", checkpoints: Sequence[int]) -> None:
    axis.set_xscale("log")
    ticks = _apart(checkpoints)
    axis.set_xticks(ticks, [_short(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("queries (log scale)")
    axis.grid(alpha=0.25, linewidth=0.5)


def _apart(checkpoints: Sequence[int], most: int = 6) -> list[int]:
    """Choose checkpoints for ticks whose labels do not touch, the last among them."""
    span = checkpoints[-1] / checkpoints[0]
    least = span ** (1 / (most - 1)) * 0.85 if span > 1 else 1.0
    ticks: list[int] = [checkpoints[-1]]
    for queries in reversed(checkpoints[:-1]):
        if ticks[-1] / queries >= least:
            ticks.append(queries)
    return ticks[::-1]


def _short(queries: int) -> str:
    return f"{queries:,}" if queries < 10_000 else f"{queries / 1000:g}k"


def _arms(mean: float, low: float, high: float) -> Any:
    return None if isnan(low) else [[mean - low], [high - mean]]


def _save(figure: "Figure", folder: Path, name: str) -> list[str]:
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # a thousand lines of a sweep's log
    dateless = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    for ending, metadata in dateless.items():
        figure.savefig(folder / f"{name}.{ending}", metadata=metadata)
    return [f"{name}.{ending}" for ending in dateless]
