"""The matrix of attacks and defenses as a figure."""

from collections.abc import Sequence
from math import isnan
from typing import TYPE_CHECKING

from moatbench.report.draw.style import PANELS, POINTS, sized
from moatbench.report.measure.worst import Field, over_seeds
from moatbench.report.write.numerals import percent

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BESIDE = 5  # attacks; beyond, the two panels of a heat map stand one above the other


def heat_map(field: Field, width: float) -> "Figure":
    """Mean fidelity at the budget of each attack on each defense, test data and uniform inputs."""
    names, attacks = field.defenses, [a for a in field.attacks if _measured(field, a)]
    stacked = len(attacks) > BESIDE
    rows = len(names) * (2 if stacked else 1)
    figure = sized(width, 1.0 + 0.2 * rows + 0.05 * max(map(len, attacks)))
    shape = (2, 1) if stacked else (1, 2)
    axes = figure.subplots(*shape, sharex=True, sharey=True)
    cells = {m: [[_mean(field, d, a, m) for a in attacks] for d in names] for m, _ in PANELS}
    known = [v for grid in cells.values() for line in grid for v in line if not isnan(v)]
    floor = 10 * int(min(*known, 90) // 10)  # colours tell differences, not the distance from zero
    for axis, (metric, where) in zip(axes, PANELS, strict=True):
        image = axis.imshow(cells[metric], cmap="cividis", vmin=floor, vmax=100, aspect="auto")
        _write_values(
            axis, cells[metric], [[(d, a) in field.skips for a in attacks] for d in names]
        )
        axis.set_xticks(
            range(len(attacks)), attacks, rotation=35, ha="right", rotation_mode="anchor"
        )
        axis.set_yticks(range(len(names)), names)
        axis.tick_params(length=0)
        axis.set_title(f"on {where}")
        axis.spines[["left", "bottom"]].set_visible(False)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.01)
    bar.set_label("fidelity (%)")
    bar.outline.set_visible(False)
    return figure


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
                color="white" if dark else "black",
            )


def _measured(field: Field, attack: str) -> bool:
    return any(name == attack for _, name in field.curves)


def _mean(field: Field, defense: str, attack: str, metric: str) -> float:
    return 100 * over_seeds(field.curves.get((defense, attack), []), metric).mean
