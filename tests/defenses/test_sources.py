"""Every defense says what was read of its source, and the docs say the same."""

import ast
import re
from pathlib import Path

import pytest

import moatbench.defenses

FOLDER = Path(moatbench.defenses.__path__[0])
FILES = sorted(f for f in FOLDER.rglob("*.py") if f.stem != "__init__")
DOCS = Path(__file__).parents[2] / "docs" / "defenses.md"
KINDS = ("text", "authors' code", "re-implementation", "abstract", "nothing")  # the best first


def read(file: Path) -> str:
    """Return what was read of the source of a defense, the best of it; '' if it is not said."""
    doc = ast.get_docstring(ast.parse(file.read_text())) or ""
    said = re.search(r"^Read: ([^.;]+)", doc, re.MULTILINE)
    words = said[1].split(", ") if said else []
    known = bool(words) and set(words) <= set(KINDS)
    return min(words, key=KINDS.index) if known else ""


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_defense_says_what_was_read_of_its_source(file: Path) -> None:
    assert read(file), f"write a line 'Read: KIND.' of {', '.join(KINDS)} below its source"


@pytest.mark.skipif(not DOCS.exists(), reason="docs are not in the wheel")
@pytest.mark.parametrize("kind", KINDS)
def test_the_docs_say_what_was_read_of_each(kind: str) -> None:
    (row,) = re.findall(rf"^\| {kind}[^|]* \| (.*) \|$", DOCS.read_text(), re.MULTILINE)
    assert re.findall(r"`(\w+)`", row) == [f.stem for f in FILES if read(f) == kind]


@pytest.mark.skipif(not DOCS.exists(), reason="docs are not in the wheel")
def test_what_rests_on_an_abstract_is_marked_unverified() -> None:
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| ")]
    assert any(line.startswith("| abstract") and "unverified" in line for line in rows)
    for file in (f for f in FILES if read(f) == "abstract"):
        own = [line for line in rows if line.startswith(f"| `{file.stem}` |")]
        assert all("unverified" in line for line in own), file.stem
