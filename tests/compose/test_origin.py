"""What is ours, and what is a stranger's, however deep it is hidden."""

from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from shop import attack_of, defense_of
from sklearn.pipeline import Pipeline

from moatbench.attack import Attack
from moatbench.attacks.top1 import Top1
from moatbench.compose.build import options
from moatbench.compose.origin import ours
from moatbench.defense import Defense
from moatbench.stack import Stack

STRANGE = type("Rounding", (Defense,), {"__module__": __name__})
LYING = type("Rounding", (Defense,), {"__module__": "moatbench.defenses.rounding"})
LISTED = type("Listed", (Defense, list), {"__module__": __name__})
NAMED = type("Named", (Defense, dict), {"__module__": __name__})
POSING = type("Rounding", (Defense,), {"__module__": "sklearn.base"})


@pytest.mark.parametrize("name", [n for n in options("attack") if n != "suite"])
def test_every_attack_of_conf_is_ours(name: str) -> None:
    assert ours(attack_of(name))


@pytest.mark.parametrize("name", [n for n in options("defense") if n != "none"])
def test_every_defense_of_conf_is_ours(name: str) -> None:
    assert ours(defense_of(name))


@pytest.mark.parametrize(
    "part",
    [
        STRANGE(),
        LYING(),
        POSING(),
        Stack({"a": Defense(), "b": STRANGE()}),
        partial(print, STRANGE),
        {"deep": [lambda: None]},
        LISTED(),
        NAMED(),
        {STRANGE(): 1},
        SimpleNamespace(inner=STRANGE()),
        np.array([STRANGE(), None], object),
        Pipeline([("theirs", STRANGE())]),
    ],
    ids=[
        *("class", "lying", "posing", "stack", "partial", "function", "list", "dict", "key"),
        *("namespace", "array", "library"),
    ],
)
def test_what_is_not_ours_is_found(part: Any) -> None:
    assert not ours(part)


def test_a_wrapper_of_ours_around_a_strangers_attack_is_a_strangers() -> None:
    class Own(Attack):
        def run(self, target: Any, rng: Any) -> Any:
            yield from ()

    assert not ours(Top1(Own()))
