"""docs/pitfalls.md: all twenty, and every test that it names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "pitfalls.md").read_text()
ROWS = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE, re.MULTILINE)


def test_each_of_the_twenty_has_a_row() -> None:
    assert sorted(int(number) for number, _ in ROWS) == list(range(1, 21))


def test_each_row_names_tests_that_exist() -> None:
    for number, row in ROWS:
        named = re.findall(r"`(tests/[\w/.]+)::(\w+)`", row)
        assert named, f"row {number} names no test"
        for file, test in named:
            text = (ROOT / file).read_text()
            assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_each_row_says_what_is_not_enforced() -> None:
    for number, row in ROWS:
        cells = re.split(r"(?<!\\)\|", row)
        assert len(cells) == 4, f"row {number} has {len(cells)} cells"
        assert all(cell.strip() for cell in cells)
