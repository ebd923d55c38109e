"""The house's rule: a noun imports no room, a room only what lies below it."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "moatbench"
PARTS = ("attacks", "defenses", "victims")
MOST_FILES, MOST_LINES = 16, 250
READING = 1600  # lines of all nouns: what a newcomer reads first

# In reading order: each imports only those before it.
NOUNS = [
    "types",
    "knobs",
    "randomness",
    "feature",
    "space",
    "reply",
    "victim",
    "client",
    "monitor",
    "traits",
    "defense",
    "stack",
    "api",
    "attack",
]
# A room imports rooms of earlier lines, and itself.
FLOORS = [
    {"record", "numerics", "data", "tables"},
    {"verdict"},
    {"tracking", "display", "models"},
    {"search", "report", "formats"},
    {"learners", "sweep", "remote"},
    {"solvers"},
    {"inverses"},
    {"strategies", "judge", "serving"},
    {"isolation", "adapters"},
    {"compose"},
    {"runner"},
    {"testing", "reproduce", "cli"},
]
BLIND = {  # these see nothing else of ours
    "record": {"types"},
    "numerics": {"types", "knobs", "randomness"},
    "data": {"types", "knobs", "feature", "space", "victim"},
    "tables": {"knobs"},
    "models": {"types", "space", "reply", "knobs", "numerics"},
    "formats": {"types", "reply", "knobs", "models"},
    "remote": {"types", "reply", "knobs", "victim", "formats"},
    "adapters": {  # a wing of parts: it may use what parts may, and victims of one's own
        *("types", "knobs", "space", "reply", "victim", "client", "traits", "defense", "api"),
        *("attack", "data", "numerics", "models", "formats", "learners", "strategies", "victims"),
    },
    "serving": {
        *("types", "knobs", "feature", "space", "reply", "victim", "client", "monitor"),
        *("traits", "defense", "stack", "api", "record"),
    },
    "verdict": {"record"},
    "display": {"record", "verdict"},
    "tracking": {"record", "verdict"},
    "report": {"types", "record", "verdict", "tracking", "display"},
    "sweep": {"record", "verdict", "tracking", "report", "display"},
}
SHARED = {  # parts may use them
    *("data", "tables", "numerics", "models", "search", "learners", "solvers", "strategies"),
    *("formats", "inverses", "remote"),
}
ONLY = {  # libraries, and who may import them
    "mlflow": {"tracking"},
    "hydra.utils": {"compose"},
    "art": {"adapters"},
    "torch": {"learners", "formats", "adapters", *PARTS},
    "matplotlib": {"display", "report", "reproduce"},
    "fastapi": {"serving"},
    "starlette": {"serving"},
    "uvicorn": {"serving"},
    "msgspec": {"serving"},
    "orjson": {"serving"},
    "prometheus_client": {"serving"},
    "http.client": {"remote"},
    "jmespath": {"remote"},
}

ROOMS = [room for floor in FLOORS for room in sorted(floor)]


def room(module: str) -> str:
    """Name the noun or room of one of our modules."""
    return module.split(".")[1]


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of ours, and its file."""
    for base, prefix in ((PACKAGE, "moatbench"), *((ROOT / p, f"moatbench.{p}") for p in PARTS)):
        for file in sorted(base.rglob("*.py")):
            parts = file.relative_to(base).with_suffix("").parts
            yield ".".join([prefix, *(p for p in parts if p != "__init__")]), file


@cache  # each library asks for all
def imports(file: Path) -> set[str]:
    """Name the modules that a file imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def ours(file: Path) -> set[str]:
    """Name the nouns, rooms and parts that a file imports."""
    known = {*NOUNS, *ROOMS, *PARTS}
    return {room(m) for m in imports(file) if m.startswith("moatbench.")} & known


FILES = [(m, f) for m, f in modules() if m.count(".")]


def test_only_nouns_lie_directly_in_the_package() -> None:
    found = {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    assert found == set(NOUNS)


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_imports_only_the_nouns_before_it(noun: str) -> None:
    assert ours(PACKAGE / f"{noun}.py") <= set(NOUNS[: NOUNS.index(noun)])


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_imports_only_what_lies_below_it(name: str) -> None:
    floor = next(i for i, rooms in enumerate(FLOORS) if name in rooms)
    below = {name, *NOUNS}.union(*FLOORS[:floor])
    allowed = BLIND[name] | {name} if name in BLIND else below
    for module, file in FILES:
        if room(module) == name:
            assert ours(file) <= allowed, f"{module}: {ours(file) - allowed}"


@pytest.mark.parametrize("folder", PARTS)
def test_parts_import_nouns_and_the_shared_rooms(folder: str) -> None:
    for module, file in FILES:
        if room(module) == folder:
            above = ours(file) - {*NOUNS, *SHARED, folder}
            assert not above, f"{module}: {above}"


@pytest.mark.parametrize(("library", "rooms"), ONLY.items(), ids=ONLY)
def test_a_library_is_imported_only_where_the_table_says(library: str, rooms: set[str]) -> None:
    users = {
        room(m)
        for m, file in FILES
        if any(i == library or i.startswith(f"{library}.") for i in imports(file))
    }
    assert users <= rooms


@pytest.mark.parametrize("name", ROOMS)
def test_a_room_has_few_files(name: str) -> None:
    for folder in (PACKAGE / name, *(d for d in (PACKAGE / name).iterdir() if d.is_dir())):
        assert len([f for f in folder.glob("*.py") if f.stem != "__init__"]) <= MOST_FILES


@pytest.mark.parametrize("noun", NOUNS)
def test_a_noun_is_short_and_opens_with_its_story(noun: str) -> None:
    text = (PACKAGE / f"{noun}.py").read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text))


def test_all_nouns_are_read_in_one_sitting() -> None:
    texts = [(PACKAGE / f"{noun}.py").read_text() for noun in NOUNS]
    assert sum(len(text.splitlines()) for text in texts) <= READING


def test_the_largest_room_holds_at_most_a_seventh_of_the_lines() -> None:
    lines: dict[str, int] = {}
    for module, file in FILES:
        lines[room(module)] = lines.get(room(module), 0) + len(file.read_text().splitlines())
    assert max(lines.values()) <= 0.14 * sum(lines.values())


@pytest.mark.parametrize("name", ["record", "verdict", "tracking", "report"])
def test_the_wing_of_the_record_loads_no_model_library(name: str) -> None:
    wing = [m for m, _ in FILES if room(m) == name]
    code = (
        f"import importlib, sys; [importlib.import_module(m) for m in {wing}]; "
        "sys.exit(', '.join({'sklearn', 'torch'} & sys.modules.keys()) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("package", ["mlflow", "torch", "sklearn", "pandas", "matplotlib"])
def test_the_command_line_imports_nothing_heavy(package: str) -> None:
    code = f"import moatbench.cli.main, sys; sys.exit({package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.skipif(not (ROOT / "pyproject.toml").exists(), reason="pyproject is not in the wheel")
def test_every_folder_of_code_is_in_the_wheel() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    bases = {
        "moatbench": PACKAGE,
        **{f"moatbench.{part}": ROOT / part for part in (*PARTS, "conf")},
    }
    found = {
        ".".join([name, *file.parent.relative_to(base).parts])
        for name, base in bases.items()
        for file in base.rglob("__init__.py")
    }
    assert set(listed) == found
