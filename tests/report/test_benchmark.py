"""The benchmark of the report runs: it reads, writes and opens a page of made-up runs."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).parents[2] / "benchmarks" / "report.py"


@pytest.mark.slow
def test_the_benchmark_of_the_report_measures_a_few_runs() -> None:
    command = [sys.executable, str(PROGRAM), "--runs", "20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "| 20 runs logged |" in done.stdout
    assert "the page weighs" in done.stdout
