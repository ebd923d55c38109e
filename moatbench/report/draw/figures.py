"""The figures of a paper, in PDF and SVG at the width of a column and of a page."""

import re
from collections.abc import Sequence
from math import ceil, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from moatbench.report.draw.heat_map import heat_map
from moatbench.report.draw.strength_figure import strength_figure
from moatbench.report.draw.style import COLUMN, INK, PAGE, PANELS, RC, Look, looks, sized
from moatbench.report.measure.leaderboard import Standing, standings
from moatbench.report.measure.statistics import Interval
from moatbench.report.measure.strengths import strengths
from moatbench.report.measure.worst import UNDEFENDED, Field, worst
from moatbench.report.select.records import Setting

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MANY = 10  # defenses; beyond, those off the front are drawn in grey
FAINT = "#b5b5b5"


def draw(fields: Sequence[Field], folder: Path) -> list[str]:
    """Draw every figure into `folder`; return the names of the files."""
    import matplotlib

    shown = looks(list(dict.fromkeys(d for field in fields for d in field.defenses)))
    names = []
    with matplotlib.rc_context(RC):
        for field in fields:
            rows = standings(field)
            drawn: dict[str, Figure] = {
                "curves_column": curves(field, rows, shown, PANELS[:1], COLUMN),
                "curves_page": curves(field, rows, shown, PANELS, PAGE),
                "tradeoff_column": tradeoff(rows, shown, COLUMN),
                "attacks_page": heat_map(field, PAGE),
            }
            if lines := strengths(field, rows):
                for name, width in (("strengths_column", COLUMN), ("strengths_page", PAGE)):
                    drawn[name] = strength_figure(lines, rows, width, regression=field.regression)
            for name, figure in drawn.items():
                names += _save(figure, folder, f"{name}_{slug(field.setting)}")
    return names


def slug(setting: Setting) -> str:
    """A setting's name as part of a file's."""
    return re.sub(r"[^\w.-]+", "_", f"{setting.victim}_{setting.data}").strip("_")


def curves(
    field: Field,
    rows: Sequence[Standing],
    shown: dict[str, Look],
    panels: Sequence[tuple[str, str]],
    width: float,
) -> "Figure":
    """Worst-case fidelity against queries, a line for each defense with its interval."""
    bold = {r.defense for r in rows if len(rows) <= MANY or r.front or r.defense == UNDEFENDED}
    names = [d for d in field.defenses if field.against(d)]
    columns = 2 if width < PAGE else 4
    lines = ceil((len(bold) + (len(bold) < len(names))) / columns)
    figure = sized(width, 2.1 + 0.16 * lines)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (metric, where) in zip(axes, panels, strict=True):
        for name in sorted(names, key=lambda n: n in bold):
            _curve(axis, field, name, metric, shown[name] if name in bold else None)
        _log_queries(axis, field.checkpoints)
        axis.set_title(f"on {where}")
    axes[0].set_ylabel("worst-case fidelity (%)")
    _legend(figure, axes[0], columns)
    return figure


def _curve(axis: "Axes", field: Field, name: str, metric: str, look: Look | None) -> None:
    against = field.against(name)
    points = [worst(against, metric, place).value for place in range(len(field.checkpoints))]
    x = field.checkpoints
    if look is None:
        axis.plot(x, [100 * p.mean for p in points], color=FAINT, lw=0.8, label="other defenses")
        return
    axis.plot(
        x,
        [100 * p.mean for p in points],
        color=look.colour,
        marker=look.marker,
        linestyle=look.dash,
        markersize=3.2,
        linewidth=1.2,
        markeredgewidth=0,
        label=name,
    )
    if not any(isnan(p.low) for p in points):
        ends = [100 * p.low for p in points], [100 * p.high for p in points]
        axis.fill_between(x, *ends, color=look.colour, alpha=0.15, linewidth=0)


def tradeoff(rows: Sequence[Standing], shown: dict[str, Look], width: float) -> "Figure":
    """Worst case against honest cost, with the Pareto front."""
    figure = sized(width, 2.2 + 0.16 * ceil(len(rows) / 2))
    axis = figure.subplots()
    for row in rows:
        look, fidelity = shown[row.defense], row.test.value
        if isnan(row.cost.mean):
            continue
        axis.errorbar(
            row.cost.mean,
            100 * fidelity.mean,
            xerr=_arms(row.cost.mean, row.cost.low, row.cost.high),
            yerr=_arms(100 * fidelity.mean, 100 * fidelity.low, 100 * fidelity.high),
            color=look.colour,
            marker=look.marker,
            markersize=5,
            markerfacecolor=look.colour if row.front else "white",
            linestyle="none",
            elinewidth=0.8,
            label=row.defense,
        )
    front = sorted((r.cost.mean, 100 * r.test.value.mean) for r in rows if r.front)
    if front:
        axis.step(*zip(*front, strict=True), where="post", color=INK, lw=0.7, ls=":", zorder=0)
    axis.set_xlabel("honest cost (mean L1, a refusal counts 2)")
    axis.set_ylabel("worst-case fidelity (%)")
    axis.grid(alpha=0.25, linewidth=0.5)
    axis.margins(x=0.08)
    _to_scale(axis, [r.test.value for r in rows])
    _legend(figure, axis, 2)
    return figure


def _log_queries(axis: "Axes", checkpoints: Sequence[int]) -> None:
    axis.set_xscale("log")
    ticks = _apart(checkpoints)
    axis.set_xticks(ticks, [_short(t) for t in ticks])
    axis.minorticks_off()
    axis.set_xlabel("queries")
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


def _to_scale(axis: "Axes", values: Sequence[Interval]) -> None:
    """Show shares in % with some air, and no tick above 100."""
    ends = [100 * v for value in values for v in value[:3] if not isnan(v)]
    air = max(0.08 * (max(ends) - min(ends)), 0.5)
    axis.set_ylim(min(ends) - air, max(ends) + air)
    axis.set_yticks([t for t in axis.get_yticks() if min(ends) - air <= t <= 100])


def _arms(mean: float, low: float, high: float) -> Any:
    return None if isnan(low) else [[mean - low], [high - mean]]


def _legend(figure: "Figure", axis: "Axes", columns: int) -> None:
    handles, labels = axis.get_legend_handles_labels()
    first = dict(zip(labels[::-1], handles[::-1], strict=True))  # grey lines share one entry
    figure.legend(
        [first[name] for name in dict.fromkeys(labels)],
        list(dict.fromkeys(labels)),
        loc="outside lower center",
        ncols=columns,
        frameon=False,
        handlelength=2.6,
        columnspacing=1.2,
        labelspacing=0.25,
    )


def _save(figure: "Figure", folder: Path, name: str) -> list[str]:
    dateless = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    for ending, metadata in dateless.items():
        figure.savefig(folder / f"{name}.{ending}", metadata=metadata)
    return [f"{name}.{ending}" for ending in dateless]
