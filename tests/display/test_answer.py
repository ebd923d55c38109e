"""A run's answer on the terminal fits the screen, and its figure tells lines apart."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.image import imread
from summaries import summary

from moatbench.display import answer, figure, table
from moatbench.record.curve import Row, worst_case
from moatbench.record.curve import summary as summed
from moatbench.record.flag import Flag
from moatbench.record.summary import Summary

QUERIES = (65, 130, 325, 650, 1300, 2600, 5200, 10400)
ENDS = [0.999, 0.995, 0.99, 0.97, 0.96, 0.95, 0.5, 0.4, 0.3, 0.2]


def curve(name: str, end: float, **changes: Any) -> list[Row]:
    return [
        {
            "attack": name,
            "queries": q,
            "fidelity_test": end * (i + 1) / len(QUERIES),
            "fidelity_uniform": end / 2,
            "converged": 1,
            "begun": 1,
            "honest_label_agreement": 1.0,
            **changes,
        }
        for i, q in enumerate(QUERIES)
    ]


@pytest.fixture
def suite() -> tuple[Summary, list[Row]]:
    """A suite of twelve attacks, three of them equal, with flags and long names."""
    curves = {f"attack_{i}": curve(f"attack_{i}", end) for i, end in enumerate(ENDS)}
    for twin in ("twin_of_the_strongest_attack_there_ever_was", "another"):
        curves[twin] = curve(twin, ENDS[0])
    curves["attack_3"][-1]["converged"] = 0
    rows = [row for one in curves.values() for row in one] + worst_case(curves)
    sums = {name: summed(one) for name, one in [*curves.items(), ("worst_case", rows[-8:])]}
    made = summary(
        data="a_table_whose_file_has_a_rather_long_name_for_some_reason",
        attack="suite",
        summaries=sums,
        winner="attack_0",
        checkpoints=list(QUERIES),
        floor="pool",
        baselines={"pool": {"fidelity_test": 0.1, "fidelity_uniform": 0.2}},
        labels_only=["attack_7", "attack_8"],
        not_applicable={f"idle_{i}": "needs what is not there" for i in range(20)},
        flags=[Flag("B", f"{i}: not converged " + "at many queries " * 9) for i in range(7)]
        + [Flag("C", "one seed", "one seed")],
    )
    return made, rows


def test_it_fits_a_screen(suite: tuple[Summary, list[Row]]) -> None:
    lines = answer.of_run(*suite).splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) <= 25


def test_attacks_are_told_by_strength_equal_ones_once_weak_ones_counted(
    suite: tuple[Summary, list[Row]],
) -> None:
    text = answer.of_run(*suite)
    lines = [line.split("  ")[0] for line in text.splitlines()]
    head = next(i for i, line in enumerate(lines) if line.startswith("---"))
    assert lines[head + 1 : head + 9] == [
        "worst case",
        "Attack 0 +2 equal",
        *[f"Attack {i}" for i in range(1, 5)],
        "5 weaker, between",
        "labels alone, the best",
    ]
    assert "20.0-95.0" in text
    assert "no query: the best constant answer" in text
    assert "97.0*" in text
    assert "* the fit had not converged" in text


def test_grave_flags_have_a_line_each_and_notes_share_one(
    suite: tuple[Summary, list[Row]],
) -> None:
    lines = answer.of_flags(suite[0])
    assert [line[:8] for line in lines[:3]] == ["B bound:"] * 3
    assert lines[3:] == ["... and 4 more of grade A or B (verbose=true)", "C note: one seed"]


def test_all_that_was_measured_is_there_for_who_asks(suite: tuple[Summary, list[Row]]) -> None:
    text = table.of_all(*suite)
    assert "Idle 19 does not apply: needs what is not there" in text
    assert "Attack 9" in text
    assert text.count("B bound:") == 7


def test_few_checkpoints_are_chosen_the_first_and_the_last_among_them() -> None:
    assert answer.chosen(QUERIES, 4) == [65, 325, 2600, 10400]
    assert answer.chosen([10, 20], 6) == [10, 20]
    assert answer.chosen([10], 6) == [10]


def test_customers_with_unusual_inputs_are_told_where_they_lose() -> None:
    final = {"final_fidelity_test": 0.9, "final_shifted_label_agreement": 0.75}
    made = summary(summaries={"solve": final | {"final_shifted_refused": 0.5}})
    text = answer.of_run(made, curve("solve", 0.9))
    assert "those with unusual inputs: 25.0 % of labels wrong, 50.0 % of queries refused" in text


def test_labels_of_a_figure_do_not_meet_and_stay_within() -> None:
    for ends in ([1.0] * 12, [0.0] * 12, [1.0, 0.99, 0.5, 0.49, 0.0, 0.0]):
        places = figure.apart(ends)
        assert all(a - b >= figure.GAP - 1e-9 for a, b in pairwise(places))
        assert min(places) >= 0
        assert max(places) <= 1


def test_the_figure_has_one_colour_that_is_no_grey(
    suite: tuple[Summary, list[Row]], tmp_path: Path
) -> None:
    figure.draw(suite[1], suite[0], tmp_path)
    pixels = imread(tmp_path / "curve.png")[..., :3].reshape(-1, 3)
    coloured = pixels[np.ptp(pixels, axis=1) > 0.5]
    assert len(coloured) > 500
    assert np.ptp(coloured.argmax(axis=1)) == 0  # blue, in all its shades
