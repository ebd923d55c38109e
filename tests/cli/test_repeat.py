"""What a run prints to be pasted repeats it, with parts of a stranger's and awkward values."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from shop import DATA_DIR, ROOT, Run, composed

from moatbench.compose.repeat import repeating

DATA = sorted(file.stem for file in (ROOT / "conf" / "data").glob("*.yaml"))
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


def test_a_strangers_part_and_a_quoted_path_come_back(
    theirs: Path, moatbench: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(theirs / "lib")
    monkeypatch.setenv("PYTHONPATH", "lib")
    data = ("data=csv", 'data.path="a=b.csv"', "data.target=class", "victim=logistic")
    status, _, err = moatbench(*SEARCHED, *data, *QUICK, "hydra.run.dir=out")
    assert status == 0, err
    command = json.loads((theirs / "out" / "summary.json").read_text())["command"]
    elsewhere = theirs / "elsewhere"
    elsewhere.mkdir()
    env = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(theirs), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        ["bash", "-c", command], cwd=elsewhere, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "halved / equation_solving / logistic on" in done.stdout


@pytest.mark.parametrize("data", DATA)
def test_every_data_set_has_a_command_that_repeats_its_run(data: str) -> None:
    choice = [f"data={data}"]
    hydra = OmegaConf.create(
        {
            "runtime": {"cwd": str(Path.cwd()), "config_sources": []},
            "overrides": {"task": choice, "hydra": []},
            "job": {"config_name": "config"},
        }
    )
    assert f"data={data}" in str(repeating(composed(*choice), hydra))


@pytest.mark.needs("../shared/data")
def test_a_run_on_a_file_of_the_paper_comes_back(
    moatbench: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOATBENCH_DATA_DIR", str(DATA_DIR))
    status, _, err = moatbench("data=german_credit", "victim=tree", *QUICK, "hydra.run.dir=out")
    assert status == 0, err
    command = json.loads((tmp_path / "out" / "summary.json").read_text())["command"]
    assert f"MOATBENCH_DATA_DIR={DATA_DIR}" in command
