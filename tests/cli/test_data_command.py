"""`moatbench-data` says what a file would be understood as, before any run."""

import shlex
import sys
from pathlib import Path

import pytest
from shop import composed

from moatbench.cli import data
from moatbench.compose.build import instantiate


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "my file.csv"
    rows = [f'"{i},5";{"NA" if i % 2 else "EU"};{"no" if i % 3 else "yes"}' for i in range(30)]
    path.write_text("\n".join(["rate;region;label", *rows]))
    monkeypatch.chdir(tmp_path)
    return path


def told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    monkeypatch.setattr(sys, "argv", ["moatbench-data", *words])
    data.main()
    return capsys.readouterr().out


def test_it_tells_the_line_the_columns_and_the_next_command(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = told(monkeypatch, capsys, "path=my file.csv", "data.target=label", "missing_marks=[NA]")
    assert out.startswith("my file.csv: 15 rows, 2 columns (1 number, 1 name); 15 of 30 rows")
    assert "'0,5' (line 2) is read as 0.5" in out
    command = shlex.split(out.splitlines()[-1].removeprefix("to run:"))
    assert len(instantiate(composed(*command[1:]).data).table.y) == 15


def test_without_a_target_it_names_those_that_may_be(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "target=region or label" in told(monkeypatch, capsys, f"path={file}")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "path= missing"),
        (["path=absent.csv"], "there is no such file"),
        (["path=my file.csv", "target=lable"], "did you mean label?"),
        (["path=my file.csv", "target=rate"], "moatbench-data: 1 to decide first"),
        (["path=my file.csv", "header=perhaps"], "header must be true or false"),
        (["paht=my file.csv"], "did you mean path=?"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    file: Path, words: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["moatbench-data", *words])
    with pytest.raises(SystemExit) as stop:
        data.main()
    assert says in str(stop.value)
