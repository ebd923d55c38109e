"""Each command gets a folder of its own, before anything is written there."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from moatbench.record.folder import let_go

Run = Callable[..., tuple[int, str, str]]
QUICK = ("data=iris", "attack=equation_solving", "checkpoints=[5,10]", "tracking.enabled=false")


def seeds(*files: Path) -> list[int]:
    return sorted(json.loads(file.read_text())["seed"] for file in files)


def test_commands_of_one_second_have_a_folder_each(moatbench: Run) -> None:
    for seed in (0, 1):
        moatbench(*QUICK, "defense=none", f"seed={seed}", "hydra.run.dir=runs/a/${now:%Y}")
    assert seeds(*Path("runs").glob("a/*/summary.json")) == [0, 1]


def test_an_explicit_folder_belongs_to_one_run(moatbench: Run) -> None:
    here = (*QUICK, "defense=none", "hydra.run.dir=out")
    assert moatbench(*here)[0] == 0
    status, _, err = moatbench(*here, "seed=1")
    assert (status, "holds a run of another config" in err) == (1, True)
    assert seeds(Path("out/summary.json")) == [0]
    assert "overrides" in (Path("out/.hydra/hydra.yaml")).read_text()
    assert "seed=1" not in (Path("out/.hydra/overrides.yaml")).read_text()
    status, _, err = moatbench(*here)
    assert (status, "the finished run of this config" in err) == (1, True)
    Path("out/summary.json").unlink()  # as a kill leaves it
    status, out, err = moatbench(*here)
    assert (status, "out: the unfinished run of this config is cleared" in out) == (0, True), err
    assert len(Path("out/curve.csv").read_text().splitlines()) == 3
    let_go()


def test_a_sweep_takes_a_folder_of_its_own_beside_another(moatbench: Run) -> None:
    sweep = ("-m", *QUICK, "hydra.sweep.dir=sw")
    moatbench(*sweep, "defense=none", "seed=0,1")
    status, out, _ = moatbench(*sweep, "defense=rounding", "seed=7")
    assert status == 0
    assert "sw holds runs of another sweep; this one takes sw/sweep-2" in out
    assert "[1/1]" in out
    assert not re.search(r"^(none|No defense)\b", out, re.MULTILINE)
    assert seeds(*Path("sw").glob("*/summary.json")) == [0, 1]
    assert seeds(*Path("sw").glob("sweep-2/*/summary.json")) == [7]


def test_the_same_sweep_goes_on_in_its_folder(moatbench: Run) -> None:
    sweep = ("-m", *QUICK, "hydra.sweep.dir=sw", "defense=none", "seed=0,1")
    for _ in range(2):
        status, out, err = moatbench(*sweep)
        assert (status, "[2/2]" in out) == (0, True), err
    assert len(list(Path("sw").rglob("summary.json"))) == 2
    assert all(len(f.read_text().splitlines()) == 3 for f in Path("sw").glob("*/curve.csv"))


def test_one_subfolder_for_all_runs_gets_one_for_each(moatbench: Run) -> None:
    sweep = ("-m", *QUICK, "hydra.sweep.dir=sw", "hydra.sweep.subdir=same", "defense=none")
    status, out, err = moatbench(*sweep, "seed=0,1")
    assert (status, "is one for all runs; each gets one within it" in out) == (0, True), err
    assert seeds(*Path("sw").glob("same/*/summary.json")) == [0, 1]


def test_a_job_that_met_anothers_folder_is_not_told_as_the_other(moatbench: Run) -> None:
    sweep = ("-m", *QUICK, "hydra.sweep.dir=sw", "hydra.sweep.subdir=${seed}")
    status, out, err = moatbench(*sweep, "defense=none,label_only")
    assert status == 1
    assert len(re.findall(r"^\[\d/2\].* stolen ", out, re.MULTILINE)) == 1
    assert not re.search(r"^(label_only|Labels only)\b", out, re.MULTILINE)
    assert "holds a run of another config" in out + err


def test_a_folder_that_cannot_be_made_is_one_line(moatbench: Run) -> None:
    Path("file").write_text("in the way")
    status, _, err = moatbench(*QUICK, "defense=none", "hydra.run.dir=file/run")
    assert status == 1
    assert "hydra.run.dir must be a folder that can be made" in err


@pytest.mark.usefixtures("tracked")
def test_a_changed_file_runs_again(moatbench: Run) -> None:
    lines = [f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(60)]
    sweep = ("-m", *QUICK[1:3], "data=csv", "data.path=x.csv", "data.target=c", "victim=softmax")
    told = []
    for text in (lines, lines, lines[::-1]):
        Path("x.csv").write_text("\n".join(["p,q,c", *text]))
        told.append(moatbench(*sweep, "defense=none")[1])
    assert ["already in MLflow" in out for out in told] == [False, True, False]
    assert "x.csv has changed since the run of" in told[2]
