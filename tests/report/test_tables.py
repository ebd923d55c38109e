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
    texts = [latex(table) for table in tables(found, fields(found))]
    document = "\n".join([*texts, tex(methods.paragraph(found, fields(found)))])
    (tmp_path / "t.tex").write_text(
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}x\n"
        f"{document}\n\\end{{document}}\n"
    )
    batch = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(batch, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]


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
