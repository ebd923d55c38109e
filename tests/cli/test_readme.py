"""What the README shows works as it stands there, and is short."""

import re
import shlex
import sys
import tomllib
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from sklearn.exceptions import ConvergenceWarning

from moatbench.testing import check_attack, check_defense
from moatbench.verdict.names import shown as part_name
from moatbench.victim import Victim

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
Run = Callable[..., tuple[int, str, str]]
QUICK = ("checkpoints=[20,40]", "tracking.enabled=false")

pytestmark = pytest.mark.skipif(not README.exists(), reason="the README is not in the wheel")


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)


def commands(name: str) -> list[list[str]]:
    """Return the arguments of each line that calls a command."""
    lines = [shlex.split(line, comments=True) for b in blocks("sh") for line in b.splitlines()]
    calls = [[w for w in line if w != "PYTHONPATH=."] for line in lines]
    return [call[1:] for call in calls if call and call[0] == name]


def command(marker: str) -> list[str]:
    (found,) = [call for call in commands("moatbench") if marker in call]
    return found


def prose() -> str:
    """Return what is told in sentences: no code, tables, headings or pictures."""
    text = re.sub(r"```.*?```", "", README.read_text(), flags=re.DOTALL)
    lines = [line for line in text.splitlines() if not line.startswith(("|", "#", "!"))]
    return re.sub(r"\]\([^)]*\)", "]", "\n".join(lines))


@pytest.fixture
def shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the README's files, each under the name in its first line; importable."""
    for block in [*blocks("python"), *blocks("yaml")]:
        file = tmp_path / block.splitlines()[0].removeprefix("# ")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("my_defenses", "my_attacks"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return tmp_path


def test_the_defense_keeps_the_contract(shown: Path, toy: Victim) -> None:
    from my_defenses import Temperature  # type: ignore[import-not-found]

    assert check_defense(toy, Temperature(0.5)) == ""


def test_the_attack_keeps_the_contract(shown: Path, toy: Victim) -> None:
    from my_attacks import Uniform  # type: ignore[import-not-found]

    assert check_attack(toy, Uniform()) == ""


def test_the_defense_runs_from_the_command_line(shown: Path, moatbench: Run) -> None:
    status, out, err = moatbench(
        *command("defense=temperature"), "attack=uniform_retraining", *QUICK
    )
    assert status == 0, err
    assert "temperature / uniform_retraining" in out


def test_the_attack_runs_from_the_command_line(shown: Path, moatbench: Run) -> None:
    status, out, err = moatbench(*command("attack=uniform"), *QUICK)
    assert status == 0, err
    assert "rounding / uniform" in out


def test_the_model_is_saved_and_attacked(shown: Path, moatbench: Run) -> None:
    code = (shown / "save_model.py").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        exec(compile(code, "save_model.py", "exec"), {})  # the fixture moved into an empty folder
    status, out, err = moatbench(*command("victim=model"), *QUICK)
    assert status == 0, err
    assert "Mine on Wine" in out


@pytest.mark.parametrize("call", commands("moatbench"), ids=" ".join)
def test_every_run_can_be_composed(call: list[str], composed: Callable[..., DictConfig]) -> None:
    # The command line sweeps over a,b and searches other folders; this names one choice of ours.
    sweep = "-m" in call
    words = [w for w in call if w != "-m" and "searchpath" not in w]
    if any(w in ("defense=temperature", "attack=uniform") for w in words):
        return
    composed(*(re.sub(r"=(\w+),.*", r"=\1", w) if sweep else w for w in words))


def test_every_command_is_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    named = set(re.findall(r"^moatbench[\w-]*", "\n".join(blocks("sh")), re.MULTILINE))
    assert len(named) >= 4
    assert named <= scripts.keys()


def test_the_table_tells_what_the_benchmark_measured() -> None:
    measured = (ROOT / "docs" / "benchmark.md").read_text()
    rows = re.findall(r"^\| `(\w+)`.*?\| ([\d.]+) % \|", README.read_text(), re.MULTILINE)
    assert len(rows) >= 5
    for name, stolen in rows:
        named = f"({name}|{re.escape(part_name(name))})"  # of a page that was written anew
        row = rf"^\| {named} \|[^|]*\| {stolen} "  # the marks stand between
        assert re.search(row, measured, re.MULTILINE), name


def test_it_has_at_most_700_words() -> None:
    assert len(README.read_text().split()) <= 700


def test_its_sentences_have_at_most_18_words_on_average() -> None:
    sentences = [s.split() for s in re.split(r"[.?!:]\s+", prose()) if len(s.split()) > 1]
    assert sum(map(len, sentences)) / len(sentences) <= 18
