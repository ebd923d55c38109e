"""docs/first_hour.md works, run from top to bottom."""

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from moatbench.cli import report

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "first_hour.md"
Run = Callable[..., tuple[int, str, str]]

pytestmark = pytest.mark.skipif(not PAGE.exists(), reason="docs are not in the wheel")


def blocks(page: Path) -> list[tuple[str, str]]:
    """Return the code blocks of a page that have a language, in order."""
    return re.findall(r"```(sh|python|yaml)\n(.*?)```", page.read_text(), re.DOTALL)


def files(page: Path) -> dict[str, str]:
    """Return the files that a page shows: each block's first line names one."""
    shown = (text for language, text in blocks(page) if language != "sh")
    return {text.splitlines()[0].removeprefix("# "): text for text in shown}


def test_the_page_runs_from_top_to_bottom(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, text in files(ROOT / "README.md").items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    monkeypatch.syspath_prepend(".")
    monkeypatch.delitem(sys.modules, "my_defenses", raising=False)
    said: dict[str, str] = {}
    for language, text in blocks(PAGE):
        if language == "python":
            exec(compile(text, text.splitlines()[0], "exec"), {})
            said[text.splitlines()[0]] = capfd.readouterr().out
        for line in text.splitlines() if language == "sh" else ():
            name, *arguments = shlex.split(line)
            if name == "moatbench":
                status, out, err = moatbench(*arguments)
                assert status == 0, err
                said[line] = out
            elif name == "moatbench-report":
                monkeypatch.setattr(sys, "argv", [name, *arguments])
                report.main()
                capfd.readouterr()
    assert said["# contract.py"] == "it keeps the contract\n"
    assert said["# marks.py"] in PAGE.read_text()
    assert "worst case" in said[next(line for line in said if "=naive" in line)]
    assert said["# from_python.py"].splitlines()[-1].startswith("80 1.0 ")
    assert Path("report/index.html").exists()
