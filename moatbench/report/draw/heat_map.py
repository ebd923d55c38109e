"""The matrix of attacks and defenses as a figure."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from moatbench.display.style import SOFT
from moatbench.report.draw.style import PANELS, POINTS, sized
from moatbench.report.measure.baselines import baselines_first
from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.worst import Field, over_seeds
from moatbench.report.write.numerals import percent
from moatbench.verdict.names import folded, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BESIDE = 5  # attacks; beyond, the two panels of a heat map stand one above the other
TALLEST = 8.5  # inches: what a page can hold
NAME = 26  # letters of a row
Panels = Sequence[tuple[str, str]]


def heat_maps(field: Field) -> dict[str, Panels]:
    """Name the figures that show the matrix: one, or one for each panel where a page is short."""
    if _height(field, len(PANELS)) <= TALLEST:
        return {"attacks_page": PANELS}
    return {f"attacks_{m.removeprefix('fidelity_')}_page": [(m, on)] for m, on in PANELS}


def heat_map(field: Field, width: float, panels: Panels = PANELS) -> "Figure":
    """Mean fidelity at the budget of each attack on each defense; equal rows are one."""
    attacks = [a for a in field.attacks if _measured(field, a)]
    rows = _rows(field, attacks)
    stacked = len(attacks) > BESIDE
    figure = sized(width, _height(field, len(panels)))
    shape = (len(panels), 1) if stacked else (1, len(panels))
    axes = list(figure.subplots(*shape, sharex=True, sharey=True, squeeze=False).flat)
    cells = {m: [[_mean(field, d[0], a, m) for a in attacks] for d in rows] for m, _ in panels}
    known = [v for grid in cells.values() for line in grid for v in line if not isnan(v)]
    lowest = min(known, default=90.0)
    floor = 10 * int(min(lowest, 90) // 10)  # colours tell differences, not the distance to zero
    for axis, (metric, where) in zip(axes, panels, strict=True):
        image = axis.imshow(cells[metric], cmap="cividis", vmin=floor, vmax=100, aspect="auto")
        _write_values(
            axis, cells[metric], [[(d[0], a) in field.skips for a in attacks] for d in rows]
        )
        names = [shown(attack) for attack in attacks]
        axis.set_xticks(range(len(attacks)), names, rotation=35, ha="right", rotation_mode="anchor")
        axis.set_yticks(range(len(rows)), [folded(names, NAME) for names in rows])
        axis.tick_params(length=0)
        axis.set_title(f"on {where}")
        axis.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("fidelity (%)")
    bar.outline.set_visible(False)
    return figure


def _height(field: Field, panels: int) -> float:
    attacks = [a for a in field.attacks if _measured(field, a)]
    rows = len(_rows(field, attacks)) * (panels if len(attacks) > BESIDE else 1)
    return 1.0 + 0.17 * rows + 0.05 * max(map(len, attacks))


def _rows(field: Field, attacks: Sequence[str]) -> list[list[str]]:
    """Return the defenses of each row, baselines first and then ranked; equal ones share a row."""
    order = [row.defense for row in baselines_first(standings(field))]
    rows: dict[str, list[str]] = {}
    for name in order:
        cells = [[_mean(field, name, a, m) for a in attacks] for m, _ in PANELS]
        skipped = [(name, a) in field.skips for a in attacks]
        rows.setdefault(repr((cells, skipped)), []).append(name)
    return list(rows.values())


def _write_values(
    axis: "Axes", cells: Sequence[Sequence[float]], skipped: Sequence[Sequence[bool]]
) -> None:
    low, high = axis.get_images()[0].get_clim()
    for y, line in enumerate(cells):
        for x, value in enumerate(line):
            absent = "n/a" if skipped[y][x] else "-"
            dark = (value - low) / (high - low) < 0.55
            axis.text(
                x,
                y,
                absent if isnan(value) else percent(value / 100).replace("100.0", "100"),
                ha="center",
                va="center",
                fontsize=POINTS - 1,
                color=SOFT if isnan(value) else "white" if dark else "black",
            )


def _measured(field: Field, attack: str) -> bool:
    return any(name == attack for _, name in field.curves)


def _mean(field: Field, defense: str, attack: str, metric: str) -> float:
    return 100 * over_seeds(field.curves.get((defense, attack), []), metric).mean
