"""What the README shows works as it stands there."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moatbench.testing import check_defense
from moatbench.victim import Victim

README = Path(__file__).parents[2] / "README.md"
Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not in the wheel")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def block(language: str, marker: str) -> str:
    (found,) = [b for b in blocks(language) if marker in b]
    return found


@pytest.fixture
def my_defenses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The module of the ten-line defense, importable, and its config."""
    (tmp_path / "my_defenses.py").write_text(block("python", "class Temperature"))
    (tmp_path / "my_conf" / "defense").mkdir(parents=True)
    (tmp_path / "my_conf" / "defense" / "temperature.yaml").write_text(
        block("yaml", "temperature:")
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_defenses", raising=False)
    return tmp_path


def test_the_python_example_prints_an_exact_extraction(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(block("python", "for point in extract"), "README.md", "exec"), {})
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [int(line[0]) for line in lines] == [65, 650]
    assert float(lines[-1][1]) > 0.99


def test_the_ten_line_defense_keeps_the_contract(my_defenses: Path, toy: Victim) -> None:
    from my_defenses import Temperature  # type: ignore[import-not-found]

    assert check_defense(toy, Temperature(0.5)) == ""


def test_the_ten_line_defense_runs_from_the_command_line(my_defenses: Path, moatbench: Run) -> None:
    path = "hydra.searchpath=[file://my_conf]"
    quick = ("data=iris", "attack=uniform_retraining", "checkpoints=[20]", "tracking.enabled=false")
    status, out, err = moatbench("defense=temperature", path, *quick)
    assert status == 0, err
    assert "temperature / uniform_retraining" in out
