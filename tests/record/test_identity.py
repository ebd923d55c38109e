"""What a run is known by."""

import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from moatbench import __version__
from moatbench.compose.schema import Schema
from moatbench.record.identity import (
    ELSEWHERE,
    FREE,
    KEYS,
    OWN,
    config_hash,
    knobs,
    version_in,
)


def test_every_top_level_key_says_what_it_is() -> None:
    assert KEYS.keys() == {field.name for field in fields(Schema)}


def test_the_lists_that_follow_from_the_table() -> None:
    where = {"tracking", "data_dir", "cache", "name", "force", "report", "confirm"}
    where |= {"strengths", "advise", "verbose"}
    assert set(ELSEWHERE) == where
    keys = {"seed", "victim_seed", "threads", "confirmation", "secret", "isolation_limit"}
    assert set(FREE) == keys
    assert set(OWN) == where - {"data_dir", "cache"} | {"seed", "confirmation", "secret"}


def test_where_things_lie_is_no_part_of_what_a_run_is() -> None:
    here = OmegaConf.create({"seed": 1, "cache": "a", "victim": {"_target_": "x", "l2": 0.1}})
    there = OmegaConf.create({**here, "cache": "b"})
    assert config_hash(here) == config_hash(there)
    assert config_hash(here) != config_hash(OmegaConf.create({**here, "seed": 2}))
    assert knobs(here) == {"seed": 1, "victim._target_": "x", "victim.l2": 0.1}
    ours = OmegaConf.create({"victim": {"_target_": "moatbench.victims.linear.softmax"}})
    assert knobs(ours) == {}  # the config's name tells it


def git(root: Path, *words: str) -> None:
    who = ("-c", "user.name=me", "-c", "user.email=me@example.org")
    subprocess.run(["git", *who, *words], cwd=root, check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_two_edits_of_one_commit_are_two_versions(tmp_path: Path) -> None:
    assert version_in(tmp_path) == __version__
    for name in ("defenses/ours.py", "README.md", "pyproject.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x = 1")
    unknown = version_in(tmp_path)  # a source archive
    (tmp_path / "defenses" / "ours.py").write_text("x = 0")
    assert version_in(tmp_path) != unknown
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    clean = version_in(tmp_path)
    assert clean.startswith(f"{__version__}+g")
    (tmp_path / "README.md").write_text("more words")
    assert version_in(tmp_path) == clean
    told = [clean]
    for place, text in (("ours", "x = 2"), ("ours", "x = 3"), ("mine", "y = 1"), ("mine", "y = 2")):
        (tmp_path / "defenses" / f"{place}.py").write_text(text)
        told.append(version_in(tmp_path))
    assert len(set(told)) == 5
    assert all(version.startswith(f"{clean}.dirty.") for version in told[1:])
