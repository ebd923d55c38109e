"""One folder, one run."""

import subprocess
import sys
from pathlib import Path

import pytest
from summaries import summary

from moatbench.record.curve import CurveFile
from moatbench.record.folder import FolderTaken, fresh, hold, let_go, require_free, sole


def test_a_fresh_folder_is_nobody_elses(tmp_path: Path) -> None:
    made = [fresh(tmp_path / "runs" / "12-00-00") for _ in range(3)]
    assert [f.name for f in made] == ["12-00-00", "12-00-00_2", "12-00-00_3"]


def test_a_folder_that_another_process_holds_is_refused_until_that_is_killed(
    tmp_path: Path,
) -> None:
    waits = "from moatbench.record.folder import *\nhold(Path('x'))\nprint(1, flush=True)\ninput()"
    command = [sys.executable, "-c", waits]
    with subprocess.Popen(
        command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(FolderTaken, match="in use by a command that is still running"):
            hold(tmp_path / "x")
        other.kill()
        other.wait()
    hold(tmp_path / "x")
    let_go()


def test_another_configs_run_is_refused(tmp_path: Path) -> None:
    summary(config_hash="a").write(tmp_path)
    with pytest.raises(FolderTaken, match="holds a run of another config"):
        require_free(tmp_path, "b", force=True)
    assert (tmp_path / "summary.json").exists()


def test_a_finished_run_is_replaced_only_by_force(tmp_path: Path) -> None:
    summary(config_hash="a").write(tmp_path)
    with pytest.raises(FolderTaken, match="the finished run of this config"):
        require_free(tmp_path, "a", force=False)
    assert "is cleared" in require_free(tmp_path, "a", force=True)
    assert not (tmp_path / "summary.json").exists()


def test_an_unfinished_run_of_the_same_config_is_cleared(tmp_path: Path) -> None:
    summary(config_hash="a", status="failed").write(tmp_path)
    (tmp_path / "curve.csv").write_text("attack,queries\n")
    (tmp_path / "notes.txt").write_text("mine")
    assert "unfinished run" in require_free(tmp_path, "a", force=False)
    assert [f.name for f in tmp_path.iterdir()] == ["notes.txt"]


def test_what_nothing_tells_of_is_refused(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("attack,queries\n")
    with pytest.raises(FolderTaken, match="another config"):
        require_free(tmp_path, "a", force=False)


def test_a_folder_is_free_again_after_the_run(tmp_path: Path) -> None:
    for _ in range(2):
        with sole(tmp_path, "a", force=False) as cleared:
            assert cleared == ""


def test_an_old_curve_is_never_continued(tmp_path: Path) -> None:
    (tmp_path / "curve.csv").write_text("attack,queries\n")
    with pytest.raises(FileExistsError):
        CurveFile(tmp_path / "curve.csv").add({"attack": "a"})
