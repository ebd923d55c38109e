"""The docs keep up with the code: generated pages, links, rooms, words."""

import ast
import re
import runpy
from pathlib import Path

import parts
import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

pytestmark = pytest.mark.skipif(not (ROOT / "docs").exists(), reason="docs are not in the wheel")


@pytest.mark.needs("art")  # whose parts are built
def test_the_page_of_parts_is_up_to_date() -> None:
    assert parts.PAGE.read_text() == parts.page(), "run: python benchmarks/parts.py --write"


@pytest.mark.parametrize("group", ["attack", "defense", "victim", "data", "experiment", "response"])
def test_the_page_of_parts_links_to_every_config_file(group: str) -> None:
    text = parts.PAGE.read_text()
    files = list((ROOT / "conf" / group).glob("*.yaml"))
    assert files
    assert [f.name for f in files if f"(../conf/{group}/{f.name})" not in text] == []


def test_a_default_is_shown_as_it_would_be_typed() -> None:
    shown = parts.knobs(ROOT / "conf" / "victim" / "regression_tree.yaml")
    assert shown["target"] == "null"
    assert shown["min_samples_leaf"] == "1"
    assert shown["partial"] == "false"


def text_of(page: Path) -> str:
    """Return a page without its code."""
    return re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Name the headings of a page as GitHub links to them."""
    titles = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=[p.name for p in PAGES])
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    lost = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        name, _, anchor = link.partition("#")
        file = page.parent / name if name else page
        if "://" not in link and (not file.exists() or (anchor and anchor not in anchors(file))):
            lost.append(link)
    assert lost == []


def test_the_table_of_rooms_is_that_of_the_layer_test() -> None:
    floors = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))["FLOORS"]
    text = (ROOT / "docs" / "architecture.md").read_text()
    told = re.findall(r"^\| (\d+) \| `(\w+)/` \| (.*) \|$", text, re.MULTILINE)
    assert {(int(n), room) for n, room, _ in told} == {
        (n, room) for n, floor in enumerate(floors, 1) for room in floor
    }
    for _, room, says in told:
        docstring = ast.get_docstring(
            ast.parse((ROOT / "moatbench" / room / "__init__.py").read_text())
        )
        assert docstring is not None
        assert says == docstring.splitlines()[0]


def test_the_nouns_are_told_in_reading_order() -> None:
    nouns = runpy.run_path(str(ROOT / "tests" / "test_layers.py"))["NOUNS"]
    text = (ROOT / "docs" / "architecture.md").read_text()
    told = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert [noun for noun in told if noun in nouns] == nouns


def test_every_figure_is_on_the_page_that_says_how_it_is_made() -> None:
    docs = ROOT / "docs"
    told = (docs / "figures.md").read_text()
    figures = [f.relative_to(docs).as_posix() for f in docs.rglob("*.png")]
    assert figures
    assert [name for name in figures if f"({name})" not in told] == []
