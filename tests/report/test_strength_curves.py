"""A defense at several strengths is one connected line; one strength only is told."""

from typing import Any

from made_runs import cells, one_field, run

from moatbench.report.measure.leaderboard import standings
from moatbench.report.measure.strengths import Strengths, strengths, strengths_seen
from moatbench.report.measure.worst import Field, fields
from moatbench.report.select.records import Selection
from moatbench.report.select.selection import select
from moatbench.report.write.methods import notices
from moatbench.tracking.read import Logged


def at(epsilon: float, seed: int = 0, defense: str = "mad", **more: Any) -> Logged:
    """Costs grow by epsilon, and fidelity falls."""
    end = 0.9 - 0.03 * epsilon - 0.01 * seed
    knobs = {f"defense.{defense}.epsilon": epsilon, **more}
    row = {"honest_l1_mean": epsilon, "honest_accuracy_lost": epsilon / 10}
    return run(defense, seed=seed, fidelity=(0.2, 0.3, end), row=row, knobs=knobs, id=more)


def swept() -> list[Logged]:
    mad = [at(epsilon, seed) for epsilon in (1.0, 0.25, 10.0) for seed in (0, 1)]
    beside = [run("none", seed=s) for s in (0, 1)] + [run("label_only", seed=s) for s in (0, 1)]
    return [*beside, *mad]


def lines(field: Field) -> list[Strengths]:
    return strengths(field, standings(field))


def test_strengths_are_joined_in_their_order() -> None:
    (line,) = lines(one_field(*swept()))
    assert (line.name, line.knob, line.values) == ("mad", "epsilon", (0.25, 1.0, 10.0))
    assert [round(row.cost.mean, 9) for row in line.rows] == [0.25, 1.0, 10.0]


def test_another_knob_makes_another_line() -> None:
    guard = "defense.mad.guard"
    runs = [at(e, 0, "mad", **{guard: on}) for e in (0.1, 0.2) for on in (False, True)]
    assert [(line.name, line.values) for line in lines(one_field(*runs))] == [
        ("mad (guard=False)", (0.1, 0.2)),
        ("mad (guard=True)", (0.1, 0.2)),
    ]


def test_one_strength_is_no_line_and_is_told() -> None:
    found = select([run("none"), at(0.5), at(0.5, defense="grad2"), at(1.0, defense="grad2")])
    (field,) = fields(found)
    assert [line.name for line in lines(field)] == ["grad2"]
    assert strengths_seen(field, standings(field)) == {"none": 1, "mad": 1, "grad2": 2}
    (told,) = [line for line in notices(found, [field]) if "one strength" in line]
    assert told.startswith("Measured at one strength only, so nothing is said of others: MAD.")


def test_the_table_has_a_row_for_each_strength() -> None:
    table = cells("strengths", *swept())
    assert table["mad"]["strength"] == "epsilon = 10"  # the last of the three
    assert table["mad"]["honest cost"] == "10"


def test_a_report_shows_the_figure_in_its_page(tmp_path: Any) -> None:
    from moatbench.report.write.report import write

    found: Selection = select(swept())
    write(found, tmp_path, "bench")
    drawn = sorted(f.name for f in (tmp_path / "figures").glob("strengths_*"))
    assert [name.split("_")[1] for name in drawn] == ["column", "column", "page", "page"]
    page = (tmp_path / "index.html").read_text()
    assert '<img alt="strengths_page_softmax_iris" src="data:image/svg+xml;base64,' in page


def test_no_label_of_the_figure_meets_another() -> None:
    from itertools import combinations

    import matplotlib
    from matplotlib.text import Annotation

    from moatbench.report.draw.strength_figure import strength_figure
    from moatbench.report.draw.style import COLUMN, PAGE, RC

    field = one_field(*swept())
    with matplotlib.rc_context(RC):
        for width, panels in ((COLUMN, 1), (PAGE, 2)):
            figure = strength_figure(lines(field), standings(field), width)
            assert len(figure.axes) == panels
            notes = [t for t in figure.findobj(Annotation) if t.get_text()]
            assert len(notes) >= 2 * panels
            boxes = [note.get_window_extent() for note in notes]
            assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
