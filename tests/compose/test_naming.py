"""What users bring has a name of its own, in every table."""

from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from moatbench.compose.naming import attack_name, data_name, defense_name, victim_name

CWD = Path("/w")


def cfg(**groups: Any) -> Any:
    return OmegaConf.create({"data_dir": "data", **groups})


@pytest.mark.parametrize(
    ("choice", "node", "name"),
    [
        ("csv", {"path": "one.csv", "name": None}, "one"),
        ("csv", {"path": "data/one.csv", "name": None}, "one"),
        ("csv", {"path": "a/one.csv", "name": None}, "a/one"),
        ("csv", {"path": "b/one.csv", "name": None}, "b/one"),
        ("csv", {"path": "one.csv", "name": "mine"}, "mine"),
        ("csv", {"path": "one.csv.gz", "name": None}, "one"),
        ("csv", {"path": "a/one.v2.CSV.XZ", "name": None}, "a/one.v2"),
        ("csv", {"path": "one.parquet", "name": None}, "one"),
        ("csv", {"path": "one.gz", "name": None}, "one"),
        ("openml", {"data_id": 61}, "openml-61"),
        ("iris", {}, "iris"),
    ],
)
def test_data_are_called_by_their_file(choice: str, node: dict[str, Any], name: str) -> None:
    assert data_name(cfg(data=node), choice, [], CWD) == name


@pytest.mark.parametrize(
    ("choice", "node", "overrides", "name"),
    [
        ("skops", {"path": "old.skops"}, [], "old"),
        ("own", {"model": {"_target_": "mine.Forest"}}, [], "Forest"),
        ("own", {"model": {"_target_": "a.b.make_model"}}, [], "b.make_model"),
        ("own", {"model": {"_target_": "m.load", "path": "net.pt"}}, [], "net"),
        ("own", {"model": {"_target_": "m.load"}, "name": "ours"}, [], "ours"),
        ("softmax", {"_target_": "x.softmax"}, [], "softmax"),
        ("softmax", {"_target_": "x.Mine"}, ["victim._target_=x.Mine"], "softmax (Mine)"),
    ],
)
def test_a_model_is_called_by_its_file_or_class(
    choice: str, node: dict[str, Any], overrides: list[str], name: str
) -> None:
    assert victim_name(cfg(victim=node), choice, overrides, CWD) == name


def test_a_class_that_the_command_line_names_stands_beside_the_config() -> None:
    layers = {"prada": {"_target_": "m.P"}, "slot": {"_target_": "theirs.B"}}
    assert defense_name(cfg(defense=layers), ["defense.slot._target_=theirs.B"]) == "prada+slot (B)"
    assert defense_name(cfg(defense={}), []) == "none"
    assert attack_name(cfg(attack={"_target_": "t.A"}), "top1", ["attack._target_=t.A"]) == (
        "top1 (A)"
    )


@pytest.mark.parametrize("layers", [{"_target_": "theirs.A", "tilt": 0.1}, {"mine": {"tilt": 1}}])
def test_a_defense_without_a_name_or_a_target_is_refused(layers: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be parts by name, each with a _target_"):
        defense_name(cfg(defense=layers), [])
