"""The face for strangers: a few names that stay, each loaded when it is first used."""

import subprocess
import sys

import pytest

import moatbench
from moatbench.runner.extract import extract


@pytest.mark.parametrize("name", moatbench.__all__)
def test_every_name_that_is_offered_is_there(name: str) -> None:
    assert getattr(moatbench, name)
    assert name in dir(moatbench)


def test_a_name_is_the_thing_itself() -> None:
    assert moatbench.extract is extract


def test_a_name_that_is_not_offered_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="No moatbench attribute Nonsense"):
        _ = moatbench.Nonsense  # type: ignore[attr-defined]


def test_importing_the_package_loads_nothing() -> None:
    code = (
        "import sys; bare = set(sys.modules); import moatbench; "
        "sys.exit(', '.join(m for m in set(sys.modules) - bare if m.startswith(('numpy', "
        "'moatbench.'))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
