"""A config file names one class or function, and states each of its knobs."""

import re
from collections.abc import Callable
from importlib import import_module
from importlib.resources import files
from inspect import signature
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf
from shop import attack_of

from moatbench.compose.build import instantiate
from moatbench.compose.build import options as names

Compose = Callable[..., DictConfig]

# What the builder passes by position
GIVEN = {"data": 0, "victim": 2, "defense": 0, "response": 0, "attack": 0}
FILES = [(g, n) for g in GIVEN for n in names(g) if (g, n) not in {("attack", "suite")}]


def text_of(group: str, name: str) -> str:
    """Read a config file."""
    return (files("moatbench.conf") / group / f"{name}.yaml").read_text("utf-8")


def nodes(tree: Any) -> list[dict[str, Any]]:
    """Find every node with a `_target_`, nested ones too."""
    if not isinstance(tree, dict):
        return []
    here = [tree] if tree.get("_target_", "???") != "???" else []
    return here + [node for value in tree.values() for node in nodes(value)]


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda v: str(v))
def test_keys_are_the_signature(group: str, name: str, composed: Compose) -> None:
    choice = f"response@defense.prada.response={name}" if group == "response" else f"{group}={name}"
    cfg = composed("defense=prada", choice) if group == "response" else composed(choice)
    tree = OmegaConf.to_container(cfg["defense" if group == "response" else group], resolve=False)
    for node in nodes(tree):
        module, _, target = node["_target_"].rpartition(".")
        known = list(signature(getattr(import_module(module), target)).parameters)
        given = GIVEN[group] if node is tree else 0
        assert set(node) - {"_target_", "_partial_"} == set(known[given:]), node["_target_"]


@pytest.mark.parametrize("name", names("defense"))
def test_a_defense_file_holds_one_entry_of_its_own_name(name: str, composed: Compose) -> None:
    assert list(composed(f"defense={name}").defense) == ([] if name == "none" else [name])


@pytest.mark.parametrize(("group", "name"), FILES, ids=lambda v: str(v))
def test_a_file_says_what_it_is(group: str, name: str) -> None:
    assert text_of(group, name).startswith("# ")


def test_a_stack_keeps_the_order_of_the_command_line(composed: Compose) -> None:
    assert list(composed("defense=[prada,rounding]").defense) == ["prada", "rounding"]
    assert list(composed("defense=[rounding,prada]").defense) == ["rounding", "prada"]


def test_a_knob_of_a_stack_is_reached_by_name(composed: Compose) -> None:
    cfg = composed("defense=[prada,rounding]", "defense.rounding.decimals=1")
    assert cfg.defense.rounding.decimals == 1


WRAPPERS = {
    name: found.group(1)
    for group, name in FILES
    if group == "attack"
    and name != "tuned"  # which wants the other's knobs as well
    and (found := re.search(rf"attack={name} attack@attack.attack=(\w+)", text_of("attack", name)))
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_a_wrapper_takes_the_attack_that_its_file_tells_how_to_give(name: str) -> None:
    wrapped = attack_of(name, f"attack@attack.attack={WRAPPERS[name]}").inner
    assert type(wrapped) is type(attack_of(WRAPPERS[name]))


def test_wrappers_say_how_another_attack_is_given() -> None:
    assert {"averaging", "evasion", "inversion", "on_grid", "sybil", "top1"} <= WRAPPERS.keys()


def test_what_a_part_sets_for_all_of_numpy_reaches_no_other() -> None:
    """Found: a file of somebody's victim made numpy raise, and softmax of ours with it."""
    before = np.geterr()
    assert instantiate(OmegaConf.create({"_target_": "numpy.seterr", "all": "raise"})) == before
    assert np.geterr() == before
