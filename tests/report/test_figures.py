"""The figures of a report: nothing overlaps, all can be read."""

from made_runs import sample

from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.worst import fields


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
