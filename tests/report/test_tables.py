"""Numbers as they are written, and tables as Markdown and LaTeX."""

import subprocess
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest
from made_runs import run, sample

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
