"""The figures of a report: nothing overlaps, all can be read."""

import logging
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from made_runs import one_field, run, sample

from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.worst import Field, fields


def test_no_text_of_a_figure_meets_another_and_all_can_be_read() -> None:
    from itertools import combinations

    import matplotlib
    from matplotlib.text import Text

    from moatbench.report.draw import figures, heat_map
    from moatbench.report.draw.style import COLUMN, PAGE, PANELS, RC, looks

    field = fields(sample())[0]
    shown, board = looks(field.defenses), standings(field)
    with matplotlib.rc_context(RC):
        for figure in (
            figures.curves(field, board, shown, PANELS[:1], COLUMN),
            figures.curves(field, board, shown, PANELS, PAGE),
            figures.tradeoff(board, shown, COLUMN),
            heat_map.heat_map(field, PAGE),
        ):
            figure.draw_without_rendering()
            unseen = {
                id(tick.label1)
                for axes in figure.axes
                for axis in (axes.xaxis, axes.yaxis)
                for tick in axis.get_major_ticks()
                if not min(axis.get_view_interval())
                <= tick.get_loc()
                <= max(axis.get_view_interval())
            }
            # A slanted label's box is not the label
            texts = [
                t
                for t in figure.findobj(Text)
                if t.get_text().strip() and t.get_visible()
                if t.get_rotation() in (0, 90) and id(t) not in unseen
            ]
            assert len(texts) > 10
            assert min(float(t.get_fontsize()) for t in texts) >= 7
            for a, b in combinations(texts, 2):
                box, other = a.get_window_extent(), b.get_window_extent()
                meet = box.padded(-1).overlaps(other.padded(-1))
                assert not meet, (a.get_text(), b.get_text())
            for text in texts:
                box = text.get_window_extent()
                assert box.x0 >= 0, text.get_text()
                assert box.x1 <= figure.bbox.x1, text.get_text()


def many() -> Field:
    """Thirty defenses, of which some are equal and most nearly useless."""
    runs = [run(fidelity=(0.9, 0.99, 1.0)), run("label_only", fidelity=(0.8, 0.9, 0.95))]
    for place in range(30):
        ends = (0.9, 0.98, 0.999 - 0.002 * (place // 2))
        runs.append(run(f"d_{place}", fidelity=ends, row={"honest_l1_mean": 0.01 * place}))
    return one_field(*runs)


def test_no_colour_is_used_twice_and_equal_lines_share_a_label() -> None:
    from matplotlib.colors import to_hex

    from moatbench.display.style import FAINT
    from moatbench.report.draw import figures
    from moatbench.report.draw.lines import leading
    from moatbench.report.draw.style import COLUMN, PANELS, looks

    field = many()
    shown = looks(field.defenses, leading([field]))
    colours = Counter(look.colour for look in shown.values())
    assert {colour for colour, n in colours.items() if n > 1} == {FAINT}
    figure = figures.curves(field, standings(field), shown, PANELS[:1], COLUMN)
    (axis,) = figure.axes
    drawn = [line for line in axis.lines if np.size(line.get_xdata()) == 3]
    strong = Counter(to_hex(line.get_color()) for line in drawn if line.get_linewidth() > 1)
    assert strong
    assert set(strong.values()) == {1}
    names = [text.get_text() for text in axis.texts]
    assert "D 0, D 1" in names
    assert len(names) == 1 + 2 + 15


@pytest.mark.parametrize(
    ("ends", "note"), [((97, 99.8, 99.9), True), ((10, 95, 96), True), ((10, 20, 95), False)]
)
def test_high_lines_get_an_axis_that_tells_99_from_999(ends: tuple[float, ...], note: bool) -> None:
    from moatbench.report.draw.scale import scale_of

    scale = scale_of("auto", ends, ends)
    assert bool(scale.note) == note
    assert not scale_of("linear", ends, ends).note
    assert scale_of("log", ends, ends).note


def test_on_the_log_axis_95_99_and_999_are_apart() -> None:
    from moatbench.report.draw.scale import scale_of

    scale = scale_of("log", (100.0,), (80.0, 99.95, 100.0))
    at = [scale.at(v) for v in (90, 99, 99.9, 100)]
    assert at[1] - at[0] == pytest.approx(at[2] - at[1])
    assert at[3] > scale.at(99.95)


def test_fonts_say_nothing_in_the_log_of_a_sweep(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    from moatbench.report.draw import figures
    from moatbench.report.draw.style import RC

    caplog.set_level(logging.INFO)
    figure = Figure()
    figure.text(0.5, 0.5, "fidelity")
    with rc_context(RC):
        figures._save(figure, tmp_path, "some")
    assert not [record for record in caplog.records if record.name.startswith("fontTools")]
