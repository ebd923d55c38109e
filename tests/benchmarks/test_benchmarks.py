"""Every program of benchmarks/ still runs: its reduced form ends well and prints its table."""

import subprocess
import sys

import pytest
from shop import ROOT

REDUCED = {
    "curve_end": ["--quick"],
    "defense_cost": ["rounding", "bdpl"],
    "evasion": ["--quick"],
    "inversion": ["--quick"],
    "labels_only": ["--quick"],
    "leakage": ["--quick"],
    "metering": ["--quick"],
    "monitors": ["--quick"],
    "parts": ["--check"],
    "report": ["--runs", "20"],
    "same_curves": ["--only", "plain"],
    "solving": ["softmax iris"],
    "sweep": ["--quick"],
    "tracking": ["data=iris", "attack=equation_solving", "checkpoints=[5,10]"],
}
PARTS = ("configs", "quick", "thefts")  # what the programs share
WITHOUT_TABLE = ("parts", "same_curves", "sweep")


def test_no_program_is_forgotten() -> None:
    found = {file.stem for file in (ROOT / "benchmarks").glob("*.py")}
    assert found - set(PARTS) == set(REDUCED)


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
