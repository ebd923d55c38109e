"""Numbers as they are written, and tables as Markdown and LaTeX."""

import subprocess
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import pytest
from made_runs import cells, run, sample

from moatbench.report.measure.statistics import Interval, t_interval
from moatbench.report.measure.worst import fields
from moatbench.report.select.selection import select
from moatbench.report.write import methods
from moatbench.report.write.contents import tables
from moatbench.report.write.numerals import percent, share
from moatbench.report.write.tables import Group, Head, Table, latex, markdown, tex
from moatbench.tracking.read import Logged


def test_one_seed_shows_no_interval_and_the_page_says_so() -> None:
    found = select([run(), run("d")])
    assert share(t_interval([0.5])) == "50.0"
    assert any("One seed only" in line for line in methods.notices(found, fields(found)))
    assert "no interval is given" in methods.paragraph(found, fields(found))
    made = {table.name: table for table in tables(found, fields(found))}
    assert not any("[" in cell for row in made["leaderboard"].groups[0].rows for cell in row)


def test_nearly_all_and_nearly_nothing_do_not_look_like_all_and_nothing() -> None:
    assert percent(1.0) == "100.0"
    assert percent(0.9998) == "99.98"
    assert percent(0.99999) == "> 99.99"
    assert percent(0.0) == "0.0"
    assert percent(0.0001) == "1e-02"
    assert share(Interval(nan, nan, nan, 0)) == "-"


def test_latex_is_escaped_and_ruled() -> None:
    table = Table("t", "A & B", "50 % of x_1", [Head("a_b", number=False), Head("<= 5")])
    text = latex(replace(table, groups=[Group("one", [["rounding_2", "> 3"]])]))
    assert r"A \& B. 50 \% of x\_1" in text
    assert r"a\_b & $\le$ 5 \\" in text
    assert r"rounding\_2 & $>$ 3 \\" in text
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_markdown_keeps_its_columns() -> None:
    table = Table("t", "T", "c", [Head("a")], [Group("", [["x|y"], ["> 3"]])])
    assert "| x\\|y |\n| > 3 |" in markdown(table)


@pytest.mark.needs("pdflatex")
def test_every_latex_table_compiles(tmp_path: Path) -> None:
    found = sample()
    made = tables(found, fields(found))
    texts = [latex(table, narrow=narrow) for table in made for narrow in (False, True)]
    document = "\n".join([*texts, tex(methods.paragraph(found, fields(found)))])
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}x\n"
        f"{document}\n\\end{{document}}\n"
    )
    batch = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(batch, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


def test_a_caption_has_at_most_25_words_and_the_rest_are_notes() -> None:
    found = sample()
    for table in tables(found, fields(found)):
        for narrow in (False, True):
            text = latex(table, narrow=narrow)
            captions = [line for line in text.splitlines() if line.startswith(r"\caption")]
            assert captions or not text
            assert all(len(line.split()) <= 25 for line in captions), captions
        assert tex(table.notes) in latex(table)


def test_a_matrix_has_the_maximum_with_its_accuracy_and_the_best_in_bold() -> None:
    def told(defense: str, attack: str, fidelity: float, **row: Any) -> Logged:
        ends = (0.1, 0.1, fidelity)
        return run(defense, attack, fidelity=ends, row={"accuracy": fidelity - 0.25, **row})

    runs = [told(d, a, f) for d, a, f in (("none", "a", 1.0), ("none", "b", 0.5))]
    runs += [told("label_only", "a", 0.75), told("label_only", "b", 0.875)]
    runs += [told("mad", "a", 0.25, honest_label_agreement=0.0)]
    table = cells("attacks_test", *runs)
    assert (table["none"]["maximum"], table["none"]["accuracy"]) == ("100.0", "75.0")
    assert (table["label_only"]["maximum"], table["label_only"]["accuracy"]) == (
        "**87.5**",
        "**62.5**",
    )
    assert table["label_only"]["B"] == "**87.5 / 62.5**"
    assert table["mad"] == {"defense": "mad", "maximum": "25.0", "accuracy": "0.0"} | {
        "A": "25.0 / 0.0",
        "B": "-",
    }


def test_an_interval_is_told_by_its_longer_arm() -> None:
    assert share(Interval(0.976, 0.936, 1.0, 3)) == "97.6 +- 4.0"
    assert share(Interval(1.0, 1.0, 1.0, 3)) == "100.0 +- 0"
    assert share(Interval(0.9998, 0.9995, 1.0, 3)) == "99.98 +- 0.03"
    assert r"97.6 $\pm$ 4.0" in tex("97.6 +- 4.0")


def test_readers_are_shown_names_and_no_code() -> None:
    runs = [run(d, a) for d in ("none", "label_only", "my_own") for a in ("top1_pool", "tuned")]
    found = select(runs)
    for table in tables(found, fields(found)):
        assert "| my_own " not in markdown(table)
        for text in (latex(table), latex(table, narrow=True)):
            assert not any(line.startswith(r"label\_only") for line in text.splitlines())
        if table.name == "leaderboard":
            assert "Labels only & " in latex(table)
            assert "My own & " in latex(table)
            assert "Top-1 pool +1" in latex(table)


def test_a_table_longer_than_a_page_goes_on_in_another_float() -> None:
    rows = [[f"{k}", "x"] for k in range(100)]
    table = Table("t", "T", "C.", [Head("a"), Head("b", narrow=True)], [Group("", rows)])
    text = latex(table)
    assert text.count(r"\begin{table*}") == 2
    assert text.count(r"\label") == 1
    assert "T, continued." in text
    assert latex(table, narrow=True).count(r"\begin{table}") == 2
    assert latex(replace(table, columns=[Head("a"), Head("b")]), narrow=True) == ""


def test_what_groups_of_customers_pay_is_the_worst_over_attacks_and_the_mean_over_seeds() -> None:
    def harm(kept: float) -> dict[str, Any]:
        told = {"rows": 9.0, "refused": 0.0, "label_agreement": kept, "top_agreement": None}
        return {"a": {"sex:F": {**told, "accuracy_lost": 0.1, "l1_mean": 0.25}}}

    runs = [
        run("d", attack, seed, harm=harm(kept))
        for attack, seed, kept in (("one", 0, 0.9), ("two", 0, 0.5), ("one", 1, 0.7))
    ]
    found = select([run(seed=0), run(seed=1), *runs])
    made = {table.name: table for table in tables(found, fields(found))}
    (row,) = made["groups"].groups[0].rows
    assert row[1:] == ["d", "sex:F", "0.0", "60.0", "-", "10.0", "0.25"]
    assert "groups" not in {table.name for table in tables(select([run()]), [])}


def test_the_judges_rows_are_counted_where_equal_ones_moved_them() -> None:
    def told(rows: int) -> dict[str, Any]:
        return {"data_provenance": {"name": "iris", "sha256": "abc", "rows": 150, **at(rows)}}

    def at(rows: int) -> dict[str, Any]:
        return {"test_share": 0.3, "test_rows": rows} if rows else {"test_share": 0.3}

    def points(*runs: int) -> str:
        made = cells("settings", *(run(seed=s, **told(n)) for s, n in enumerate(runs)))
        return made["softmax"]["test points"]

    assert points(44, 46) == "44 to 46"
    assert points(45) == "45"
    assert points(0) == "45"  # an earlier version's
