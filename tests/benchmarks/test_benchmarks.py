"""Every program of benchmarks/ still runs: its reduced form ends well and prints its table."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from shop import ROOT

REDUCED = {
    "accounts": ["--quick"],
    "as_in_2016": ["--quick"],
    "benchmark_page": ["--check"],
    "clients": ["--quick"],
    "curve_end": ["--quick"],
    "defense_cost": ["rounding", "bdpl"],
    "ensemble_monitors": ["--quick"],
    "ensembles": ["--quick"],
    "ensembles_defaults": ["--quick"],
    "ensembles_exact": ["--quick"],
    "ensembles_recipe": ["--quick"],
    "evasion": ["--quick"],
    "gpu": ["--quick"],
    "inversion": ["--quick"],
    "isolation": ["--quick"],
    "kills": ["--quick"],
    "labels_only": ["--quick"],
    "leakage": ["--quick"],
    "metering": ["--quick"],
    "monitors": ["--quick"],
    "neural": ["loop", "--quick"],
    "parts": ["--check"],
    "peers": ["--quick"],
    "perturbed": ["--quick"],
    "pictures": ["--quick"],
    "report": ["--runs", "20"],
    "serving": ["--quick"],
    "same_curves": ["--only", "plain"],
    "solving": ["softmax iris"],
    "sweep": ["--quick"],
    "tracking": ["data=iris", "attack=equation_solving", "checkpoints=[5,10]"],
}
PARTS = ("configs", "load", "quick", "thefts")  # what the programs share
WITHOUT_TABLE = ("benchmark_page", "kills", "parts", "same_curves", "sweep")


def test_no_program_is_forgotten() -> None:
    found = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}
    assert found - set(PARTS) == set(REDUCED)


def test_help_tells_what_a_program_says_of_itself_and_runs_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from quick import read_options

    with pytest.raises(SystemExit) as end:
        read_options(["--help"], "What a sweep costs.\n\nRun: it.py [--quick]\n")
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith("What a sweep costs.")
    with pytest.raises(SystemExit, match="option must be --quick, got --quik"):
        read_options(["--quik"], "Run: it.py [--quick]")


@pytest.mark.parametrize("name", REDUCED)
def test_every_program_reads_its_options_before_it_runs(name: str) -> None:
    source = (ROOT / "benchmarks" / f"{name}.py").read_text()
    assert "argparse" in source or "quick" in source


@pytest.mark.parametrize("name", [name for name, asked in REDUCED.items() if "--quick" in asked])
def test_a_program_with_a_quick_form_names_it(name: str) -> None:
    told = ast.get_docstring(ast.parse((ROOT / "benchmarks" / f"{name}.py").read_text()))
    assert "[--quick]" in (told or "")


@pytest.mark.slow
@pytest.mark.parametrize("name", REDUCED)
def test_a_program_prints_its_table(name: str) -> None:
    before = {file: file.read_bytes() for file in (ROOT / "docs").glob("*.png")}
    command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), *REDUCED[name]]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]
    printed = done.stdout.splitlines()
    tables = [line for line in printed if line.startswith("|") and line.count("|") > 2]
    assert len(tables) > 2 or name in WITHOUT_TABLE, done.stdout
    assert any(character.isdigit() for character in printed[-1]), done.stdout
    assert before == {file: file.read_bytes() for file in (ROOT / "docs").glob("*.png")}


def test_the_page_of_the_benchmark_takes_a_reports_tables_in_one_step(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import benchmark_page

    (tmp_path / "tables").mkdir()
    told = (
        "**Title.** caption\n\n| defense | front | marks |\n|---|---|---|\n| mad | front | B: x |\n"
    )
    (tmp_path / "tables" / "leaderboard.md").write_text(told)
    page = "a\n<!-- leaderboard -->\nold\n<!-- / -->\nb\n<!-- reasons -->\nold\n<!-- / -->\nc\n"
    made = benchmark_page.renewed(page, tmp_path)
    assert made == (
        "a\n<!-- leaderboard -->\n| defense | marks |\n| --- | --- |\n| mad | B: x |\n"
        "<!-- / -->\nb\n"
        f"<!-- reasons -->\n{benchmark_page.NONE}\n<!-- / -->\nc\n"
    )


def test_the_worst_cases_of_other_victims_stand_side_by_side(tmp_path: Path) -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    import benchmark_page

    heads = "| defense | test data | uniform inputs | by attack |\n|---|---|---|---|\n"
    for name, rows in {
        "a": "| mad | 99.5 ± .1 | 98.0 | top1 |\n",
        "b": "| edm | 90 | - | x |",
    }.items():
        (tmp_path / name / "tables").mkdir(parents=True)
        (tmp_path / name / "tables" / "leaderboard.md").write_text(heads + rows)
    made = benchmark_page.side_by_side({"A": tmp_path / "a", "B": tmp_path / "b"})
    assert made.splitlines()[0] == "| defense | A | B |"
    assert made.splitlines()[2:] == ["| edm | - | 90/- x |", "| mad | 99.5/98.0 top1 | - |"]
