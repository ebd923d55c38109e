"""What a run prints to be pasted repeats it, with parts of a stranger's and awkward values."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
PART = """
from moatbench import Defense
class Halved(Defense):
    def respond(self, x, reply, account):
        return reply.with_outputs((reply.outputs + 1 / reply.outputs.shape[1]) / 2)
"""
SEARCHED = ("hydra.searchpath=[pkg://theirs.conf]", "defense=halved", 'name="it\'s $a=b"')
QUICK = ("cache=null", "attack=equation_solving", "checkpoints=[10]", "tracking.enabled=false")


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    """A package of a stranger's with a defense, a config of it, and a table."""
    conf = tmp_path / "lib" / "theirs" / "conf" / "defense"
    conf.mkdir(parents=True)
    for folder in (conf, conf.parent, conf.parent.parent):
        (folder / "__init__.py").touch()
    (tmp_path / "lib" / "theirs" / "part.py").write_text(PART)
    layer = "halved:\n  _target_: theirs.part.Halved\n"
    (conf / "halved.yaml").write_text(layer)
    rows = "\n".join(f"{i},{(i * 7) % 13},{'ab'[i % 13 > 6]}" for i in range(120))
    (tmp_path / "a=b.csv").write_text(f"x,y,class\n{rows}\n")
    return tmp_path


def shell(command: str, folder: Path, **env: str) -> str:
    path = f"{BIN}:/usr/bin:/bin"
    given = {"PATH": path, "HOME": str(folder), "OMP_NUM_THREADS": "1", **env}
    done = subprocess.run(
        ["bash", "-c", command], cwd=folder, env=given, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strangers_part_and_a_quoted_path_come_back(theirs: Path, tmp_path: Path) -> None:
    import shlex

    data = ("data=csv", 'data.path="a=b.csv"', "data.target=class", "victim=logistic")
    given = shlex.join([*SEARCHED, *data, *QUICK, "hydra.run.dir=out"])
    shell(f"moatbench {given}", theirs, PYTHONPATH="lib")
    command = json.loads((theirs / "out" / "summary.json").read_text())["command"]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert "halved / equation_solving / logistic on" in shell(command, elsewhere)
