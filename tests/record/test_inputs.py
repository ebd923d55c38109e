"""What a run reads beside its config: every file that it names, and other people's code."""

import os
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from moatbench.record.inputs import changes, inputs_of, sources


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sources.cache_clear()
    return tmp_path


def read(**tree: Any) -> dict[str, str]:
    return inputs_of(OmegaConf.create(tree))


def test_a_file_under_any_key_is_an_input_and_a_missing_one_is_not(here: Path) -> None:
    (here / "w.bin").write_text("weights")
    assert list(read(victim={"knobs": [{"odd_key": "w.bin"}]}, attack={"x": "absent.bin"})) == [
        "w.bin"
    ]


def test_where_things_lie_is_no_input(here: Path) -> None:
    (here / "store.db").write_text("x")
    assert read(tracking={"uri": "store.db"}, cache="store.db", seed=0) == {}


def test_a_file_of_the_data_folder_is_found_there(here: Path) -> None:
    (here / "data").mkdir()
    (here / "data" / "set.csv").write_text("a")
    before = read(data={"file": "set.csv"}, data_dir="data")
    (here / "data" / "set.csv").write_text("b")
    assert changes(before, read(data={"file": "set.csv"}, data_dir="data")) == ["set.csv"]


def test_a_rewritten_file_of_the_same_size_and_time_is_another(here: Path) -> None:
    file, told = here / "mine.csv", []
    for text in ("1,2\n", "2,1\n"):
        file.write_text(text)
        os.utime(file, ns=(10**18, 10**18))
        told.append(read(data={"path": "mine.csv"}))
    assert changes(*told) == ["mine.csv"]


def test_files_behind_a_linked_folder_count_and_a_circle_ends(here: Path) -> None:
    (here / "pics").mkdir()
    (here / "store").mkdir()
    (here / "store" / "a.png").write_text("1")
    (here / "pics" / "cats").symlink_to(here / "store")
    (here / "store" / "back").symlink_to(here / "pics")
    before = read(data={"path": "pics"})
    (here / "store" / "a.png").write_text("2")
    assert changes(before, read(data={"path": "pics"})) == ["pics"]


def test_of_two_files_that_a_value_may_name_both_count(here: Path) -> None:
    (here / "data").mkdir()
    for place in (here, here / "data"):
        (place / "set.csv").write_text("a")
    tree: dict[str, Any] = {"data": {"file": "set.csv"}, "data_dir": str(here / "data")}
    before = read(**tree)
    (here / "data" / "set.csv").write_text("b")
    assert changes(before, read(**tree)) == ["set.csv"]


def test_every_file_of_a_folder_counts(here: Path) -> None:
    (here / "model" / "deep").mkdir(parents=True)
    (here / "model" / "deep" / "a.bin").write_text("1")
    before = read(victim={"path": "model"})
    (here / "model" / "deep" / "a.bin").write_text("2")
    assert changes(before, read(victim={"path": "model"})) == ["model"]


def test_a_folder_that_happens_to_bear_a_knobs_value_is_none(here: Path) -> None:
    (here / "digits").mkdir()
    (here / "digits" / "a").write_text("1")
    assert read(data={"name": "digits"}) == {}


@pytest.mark.parametrize(
    ("target", "edited", "named"),
    [
        ("their_own.sub.mod.Model", "their_own/other.py", "code of their_own"),
        ("single.Model", "single.py", "code of single"),
        ("single.Model", "beside.py", "code of beside"),
    ],
)
def test_the_source_of_a_strangers_part_is_an_input(
    here: Path, target: str, edited: str, named: str
) -> None:
    (here / "their_own" / "sub").mkdir(parents=True)
    for name in ("__init__", "other", "sub/__init__", "sub/mod"):
        (here / "their_own" / f"{name}.py").write_text("x = 1\n")
    (here / "single.py").write_text("import os, numpy\nimport beside\n")
    (here / "beside.py").write_text("from single import Model\n")  # a circle ends
    node = {"defense": {"mine": {"inner": [{"_target_": target}]}}}
    before = read(**node)
    with (here / edited).open("a") as file:
        file.write("x = 2\n")
    sources.cache_clear()
    assert changes(before, read(**node)) == [named]


def test_our_code_and_the_libraries_are_known_by_their_versions() -> None:
    ours = {"_target_": "moatbench.victims.linear.softmax"}
    assert read(victim=ours, attack={"_target_": "sklearn.svm.SVC"}) == {}
