"""One table says of each column of curve.csv what five places ask."""

from pathlib import Path
from typing import Any

import pytest
from summaries import summary

from moatbench.display.table import of_honest
from moatbench.judge.customers.quality import UNKNOWN
from moatbench.record.columns import COLUMNS, SMALLER, Column, column, shown
from moatbench.record.curve import read, worst_case
from moatbench.tracking.log import points
from moatbench.tracking.note import note


@pytest.fixture
def two_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two made-up columns, each in the one place that a measured one has beside its judge."""
    for made in (
        Column("distance_twin", "from a twin", group="surrogate", worse=SMALLER, shown=("chart",)),
        Column(
            "honest_patience",
            "patience lost",
            group="honest",
            heading="patience",
            shown=("terminal", "note", "page", "dashboard"),
        ),
    ):
        monkeypatch.setitem(COLUMNS, made.name, made)


def row(attack: str, fidelity: float, distance: float) -> dict[str, Any]:
    scores = {"fidelity_test": fidelity, "fidelity_uniform": fidelity, "distance_twin": distance}
    return {"attack": attack, "queries": 10, **scores, "honest_patience": 0.25}


@pytest.mark.usefixtures("two_more")
def test_a_column_that_stands_in_the_table_is_seen_everywhere() -> None:
    curves = {"a": [row("a", 0.9, 0.5)], "b": [row("b", 0.5, 0.1)]}
    (worst,) = worst_case(curves)
    assert (worst["winner"], worst["distance_twin"]) == ("a", 0.1)

    rows = [row("a", 0.9, 0.5), {**worst, "attack": "worst_case"}]
    summaries = {"worst_case": {"final_honest_patience": 0.25, "final_distance_twin": 0.1}}
    made = summary(attack="suite", summaries=summaries, checkpoints=[10])
    kept = {key: value for key, value, _ in points(made, rows)}
    assert kept["distance_twin"] == kept["summary/final_distance_twin"] == 0.1
    assert kept["a/distance_twin"] == 0.5
    assert "a/honest_patience" not in kept  # of a suite's single attacks, how good they are

    header, _, line, *_ = of_honest(made, rows).splitlines()
    assert "patience" in header
    assert "0.2500" in line
    assert "| patience lost | 0.25 |" in note(made)
    assert [c.name for c in shown("chart")][-1] == "distance_twin"


def test_what_the_judge_measures_of_answers_is_in_the_table() -> None:
    assert {f"honest_{name}" for name in UNKNOWN} <= COLUMNS.keys()


def test_cells_are_read_as_their_column_says(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text("attack,queries,waited,fidelity_cube,note,theirs,words\n7,10,0,,12,3,two\n")
    (only,) = read(file)
    assert (only["attack"], only["note"]) == ("7", "12")  # a name stays one
    assert isinstance(only["queries"], int)
    assert isinstance(only["waited"], float)
    assert only["fidelity_cube"] != only["fidelity_cube"]  # not measured
    assert (only["theirs"], only["words"]) == (3, "two")  # no column of ours


def test_a_cell_that_is_no_number_is_told_with_its_column(tmp_path: Path) -> None:
    file = tmp_path / "curve.csv"
    file.write_text("attack,queries,fidelity_test\na,10,high\n")
    with pytest.raises(ValueError, match="fidelity_test must be a number, got 'high'"):
        read(file)


def test_a_stranger_has_no_direction_and_no_scale() -> None:
    assert column("theirs") == Column("theirs", "")
    assert not column("theirs").is_quality
