"""Who may import whom: imports point down."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = (
    "moatbench.strategies.accounts",
    "moatbench.api",
    "moatbench.attack",
    "moatbench.data",
    "moatbench.defense",
    "moatbench.knobs",
    "moatbench.monitor",
    "moatbench.needs",
    "moatbench.numerics",
    "moatbench.randomness",
    "moatbench.reply",
    "moatbench.strategies.shadow",
    "moatbench.strategies.simulation",
    "moatbench.space",
    "moatbench.types",
    "moatbench.victim",
    "moatbench.strategies.view",
    "moatbench.strategies.window",
)
# The layers of the core, lowest first; a file may import what stands above its line here.
ORDER = [
    {"types", "schema", "archive", "views", "knobs"},
    {"space", "reply", "randomness"},
    {"victim", "data"},
    {"defense", "monitor", "cache", "needs"},
    {"api"},
    {"attack", "window", "view", "shadow", "accounts", "simulation"},
    {"quality", "shift", "baselines", "ownership"},
    {"metrics", "honest"},
    {"extract", "detection", "caught"},
    {"suite", "testing"},
    {"curve", "errors", "flags", "inversions", "selfcheck"},
    {"build", "track", "figure", "table", "sweep"},
    {"run", "ui"},
    {"confirm"},
    {"cli"},
    {"__main__"},
]
JUDGE = next(i for i, layer in enumerate(ORDER) if "baselines" in layer)


def imports(file: Path) -> set[str]:
    """Name our modules that a file imports, at its top or within functions."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            # `from moatbench import track` names a module in the alias
            found |= (
                {f"moatbench.{a.name}" for a in node.names} if module == "moatbench" else {module}
            )
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {m for m in found if m.startswith("moatbench.") and m != "moatbench.__version__"}


@pytest.mark.parametrize("folder", ["attacks", "defenses", "victims"])
def test_parts_import_only_the_core(folder: str) -> None:
    for file in (ROOT / folder).glob("*.py"):
        above = {m for m in imports(file) if not any(m == c or m.startswith(c + ".") for c in CORE)}
        siblings = {m for m in above if m.startswith("moatbench.victims.") and folder == "victims"}
        assert above == siblings, f"{file.name} reaches past the core: {above - siblings}"


@pytest.mark.parametrize("file", sorted((ROOT / "moatbench").glob("*.py")), ids=lambda f: f.stem)
def test_the_core_imports_downwards(file: Path) -> None:
    if file.stem == "__init__":
        assert not imports(file)
        return
    (level,) = [i for i, layer in enumerate(ORDER) if file.stem in layer]
    allowed = {f"moatbench.{name}" for layer in ORDER[: level + 1] for name in layer}
    reporting = {m for m in imports(file) if m.startswith("moatbench.report.")}
    above = reporting if file.stem in ("confirm", "cli") else set()
    shared = {m for m in imports(file) if m.startswith("moatbench.numerics.")}
    above |= shared if level >= JUDGE else set()  # numerics stand on attack and api
    assert imports(file) <= allowed | {"moatbench.numerics"} | above


def test_the_contract_knows_no_part() -> None:
    below = {f"moatbench.{name}" for layer in ORDER[:10] for name in layer}
    for file in (ROOT / "moatbench" / "testing").glob("*.py"):
        strange = {m for m in imports(file) if not m.startswith("moatbench.testing")} - below
        assert not strange, f"{file.name}: {strange}"


def test_numerics_know_neither_api_nor_judge() -> None:
    allowed = tuple(
        f"moatbench.{n}" for n in ("types", "numerics", "space", "reply", "attack", "api")
    )
    for file in (ROOT / "moatbench" / "numerics").glob("*.py"):
        assert all(m.startswith(allowed) for m in imports(file)), file.name


@pytest.mark.parametrize("package", ["mlflow", "torch", "sklearn", "pandas", "matplotlib"])
def test_the_command_line_imports_nothing_heavy(package: str) -> None:
    import subprocess
    import sys

    code = f"import moatbench.cli, sys; sys.exit({package!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_track_and_the_reports_store_import_mlflow() -> None:
    """The one writes, the other reads and never makes a store."""
    core = ROOT / "moatbench"
    theirs = {core / "track.py", core / "report" / "store.py"}
    for folder in (core, *(ROOT / name for name in ("attacks", "defenses", "victims"))):
        for file in set(folder.rglob("*.py")) - theirs:
            assert "import mlflow" not in file.read_text()
            assert "from mlflow" not in file.read_text()


def test_only_build_instantiates() -> None:
    for folder in ("moatbench", "attacks", "defenses", "victims"):
        for file in (ROOT / folder).rglob("*.py"):
            assert file.stem == "build" or "hydra.utils" not in file.read_text(), file.name
