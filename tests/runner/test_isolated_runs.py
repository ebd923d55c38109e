"""A whole run of an attack that is not ours."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from shop import Run

from moatbench.record.command import Command
from moatbench.record.curve import read
from moatbench.record.summary import Summary

SECRET = "cd" * 32


def ran(moatbench: Run, folder: Path, attack: str, *overrides: str) -> tuple[Summary, list[Any]]:
    """Run one of the cheats, as a config of somebody's own names it."""
    conf = folder / "theirs" / "attack" / "it.yaml"
    conf.parent.mkdir(parents=True, exist_ok=True)
    conf.write_text(f"_target_: cheats.{attack}\n")
    run = folder / f"{attack}{len(list(folder.iterdir()))}"
    status, _, err = moatbench(
        f"hydra.searchpath=[file://{folder / 'theirs'}]",
        f"hydra.run.dir={run}",
        *("data=iris", "attack=it", "checkpoints=[5,10]", "tracking.enabled=false"),
        *overrides,
    )
    assert status == 0, err
    return Summary.read(run), [r | {"seconds": 0} for r in read(run / "curve.csv")]


def test_the_secret_in_the_record_brings_the_same_curve_again(
    moatbench: Run, tmp_path: Path
) -> None:
    first, curve = ran(moatbench, tmp_path, "Thief")
    assert first.secret is not None
    assert not [flag for flag in first.flags if "isolated" in flag.text]
    told = Command.parse(first.command).overrides[-1]
    again, same = ran(moatbench, tmp_path, "Thief", told)
    assert again.secret == first.secret
    assert str(curve) == str(same)


def test_neither_the_cache_nor_the_runs_folder_shows_the_victim(
    moatbench: Run, tmp_path: Path
) -> None:
    _, honest = ran(moatbench, tmp_path, "Thief", f"secret={SECRET}")
    summary, found = ran(moatbench, tmp_path, "ReadsFiles", f"secret={SECRET}")
    assert list(tmp_path.rglob("runs/cache/**/*.npz"))
    assert str(found) == str(honest)
    assert summary.secret == SECRET


def test_a_strangers_attack_that_is_not_isolated_is_bound(moatbench: Run, tmp_path: Path) -> None:
    summary, _ = ran(moatbench, tmp_path, "Thief", "isolation=none")
    assert [f.grade for f in summary.flags if "not isolated" in f.text] == ["B"]
    assert summary.secret is None


@pytest.mark.parametrize("wrong", ["isolation=some", "isolation_limit=0", "secret=xyz"])
def test_terms_that_are_none_are_told_before_anything_runs(moatbench: Run, wrong: str) -> None:
    status, _, err = moatbench("data=iris", "tracking.enabled=false", wrong)
    assert status == 1
    assert f"{wrong.partition('=')[0]} must be" in err


def test_our_attacks_need_no_secret(moatbench: Run, tmp_path: Path) -> None:
    run = tmp_path / "ours"
    status, _, err = moatbench(
        f"hydra.run.dir={run}",
        *("data=iris", "attack=equation_solving", "checkpoints=[5]", "tracking.enabled=false"),
    )
    assert status == 0, err
    assert json.loads((run / "summary.json").read_text())["secret"] is None
    assert len(list(csv.reader((run / "curve.csv").open()))) == 2
