"""Build the wheel, install it in a clean environment, and use it as a stranger would.

Run by `make wheel`. The tests run from a copy outside the repository, so that nothing but the wheel
can be imported; they are those of the config files, which name every part. Torch is lent by the
environment that runs this, where it has it: to fetch it again takes longer than all the rest.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).parents[1]
TESTS = ("conftest.py", "shop.py", "compose/test_conf.py")
TOP_LEVEL = {"moatbench"}


def main() -> None:
    """Do it all in a temporary folder; any failure raises."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        wheel = build(folder)
        python = clean_environment(folder, wheel)
        check_top_level(python, wheel)
        use(python, folder)
    print("1 passed, 0 failed")


def build(folder: Path) -> Path:
    """Build the wheel from a copy, so that no stale build folder gets in."""
    source = folder / "source"
    ignore = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "runs")
    shutil.copytree(ROOT, source, ignore=ignore)
    run(sys.executable, "-m", "build", "-q", "--wheel", "--outdir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel


def clean_environment(folder: Path, wheel: Path) -> Path:
    """Install the wheel as the README says, and pytest beside it."""
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    pip = (str(python), "-m", "pip", "install", "-q", "-c", str(ROOT / "constraints.txt"))
    if not lent("torch", folder / "venv"):
        run(*pip, "torch")
    run(*pip, str(wheel), "pytest")
    return python


def lent(package: str, environment: Path) -> bool:
    """Link an installed package into a new environment, where pip finds it; say whether."""
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        return False
    (site,) = environment.glob("lib/python3*/site-packages")
    for name in {file.parts[0] for file in files} - {"..", "__pycache__"}:
        (site / name).symlink_to(str(distribution(package).locate_file(name)))
    return bool(files)


def check_top_level(python: Path, wheel: Path) -> None:
    """Refuse a wheel that would put bare `attacks` or `conf` into site-packages."""
    names = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    extra = {name for name in names if not name.endswith(".dist-info")} - TOP_LEVEL
    assert not extra, f"the wheel holds {sorted(extra)} beside {sorted(TOP_LEVEL)}"
    run(str(python), "-m", "pip", "check")


def use(python: Path, folder: Path) -> None:
    """Run the command and the tests from an empty folder."""
    work = folder / "work"
    for test in TESTS:
        (work / "tests" / test).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests" / test, work / "tests" / test)
    moatbench = str(python.with_name("moatbench"))
    run(moatbench, "data=iris", "attack=equation_solving", "checkpoints=[5,10]", cwd=work)
    assert list((work / "runs").glob("*/*/curve.csv")), "no curve.csv below runs/"
    pytest = (str(python), "-m", "pytest", "-q", "--import-mode=importlib")
    run(*pytest, "-o", "pythonpath=tests", "-p", "no:cacheprovider", "tests", cwd=work)


def run(*command: str, cwd: Path | None = None) -> None:
    """Run a command without what points into the repository, or wants what a wheel does not."""
    left = ("PYTHONPATH", "VIRTUAL_ENV", "MOATBENCH_REQUIRE")
    inherited = {k: v for k, v in os.environ.items() if k not in left}
    subprocess.run(command, check=True, cwd=cwd, env=inherited)


if __name__ == "__main__":
    main()
