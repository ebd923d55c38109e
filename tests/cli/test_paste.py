"""Commands to paste: they compose, fit the screen, and are quoted for a shell."""

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import DictConfig
from summaries import summary

from moatbench.cli import paste


def words(command: str, **changes: str) -> list[str]:
    """What a shell makes of the command that is told after a run of `command`."""
    _, told = paste.after_run(summary(command=command, **{"attack": "suite", **changes}))
    assert max(map(len, told.splitlines())) <= 100
    return shlex.split(told.replace("\\\n", ""))


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        ("moatbench", ["experiment=quickstart"]),
        ("moatbench seed=3 verbose=true", ["experiment=quickstart"]),
        ("moatbench data=iris", ["data=iris", "defense=none,label_only,rounding", "seed=0,1,2"]),
        (
            "moatbench data=iris defense=mad seed=4",
            ["data=iris", "defense=none,label_only,mad", "seed=0,1,2"],
        ),
        (
            "moatbench 'defense=[prada,rounding]'",
            ["defense=none,label_only,[prada,rounding]", "seed=0,1,2"],
        ),
        (
            "moatbench defense=rounding defense.rounding.decimals=1",
            ["defense=rounding", "defense.rounding.decimals=1", "seed=0,1,2"],
        ),
    ],
)
def test_the_next_command_holds_a_defense_against_the_yardsticks(
    ran: str, told: list[str], composed: Callable[..., DictConfig]
) -> None:
    program, *rest = words(ran)
    assert Path(program).name == "moatbench"
    assert rest == ["-m", *told]
    single = [w for w in told if not w.startswith(("seed=", "defense=none,"))]
    composed(*single)


def test_a_single_attack_gives_way_to_all_that_apply() -> None:
    told = words("moatbench data=iris attack=top1 attack.x=1", attack="top1")
    assert not [w for w in told if w.startswith("attack")]


def test_what_a_strangers_part_needs_comes_along() -> None:
    long = "PYTHONPATH=/a/b moatbench --config-dir /c/d 'hydra.searchpath=[file:///my conf]' "
    told = words(long + "defense=mine data=csv 'data.path=/a/long/path/of/some/length/it s.csv'")
    assert told[0] == "PYTHONPATH=/a/b"
    assert told[2:6] == ["--config-dir", "/c/d", "hydra.searchpath=[file:///my conf]", "-m"]
    assert "data.path=/a/long/path/of/some/length/it s.csv" in told
    assert "defense=none,label_only,mine" in told


def test_a_program_is_called_as_this_shell_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / ".venv" / "bin"
    place.mkdir(parents=True)
    (place / "moatbench").touch(mode=0o755)
    monkeypatch.setattr("sys.executable", str(place / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.chdir(tmp_path)
    assert paste.program("moatbench") == ".venv/bin/moatbench"
    monkeypatch.chdir(tmp_path.parent)
    assert paste.program("moatbench") == f"{tmp_path.name}/.venv/bin/moatbench"
    monkeypatch.chdir("/")
    monkeypatch.setenv("PATH", str(place))
    assert paste.program("moatbench") == "moatbench"
