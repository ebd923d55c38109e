"""What of an attack would act beside the victim, when it is read or pickled."""

import copyreg
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from shop import attack_of

from moatbench.attack import Attack
from moatbench.attacks.top1 import Top1
from moatbench.compose.acting import acts
from moatbench.compose.build import options


class Plain(Attack):
    """Holds what it is given."""

    oracle = False

    def __init__(self, held: Any = None) -> None:
        self.held = held

    def run(self, target: Any, rng: Any) -> Iterator[Any]:
        yield from ()


class Reads(Plain):
    """Computes whether it is shown the victim."""

    @property
    def oracle(self) -> bool:  # type: ignore[override]
        return False


class Looks(Plain):
    """Runs where an attribute is looked for."""

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(name)


class Listed(Plain, list):  # type: ignore[type-arg]
    """A list, too."""

    def __reduce__(self) -> Any:
        return Listed, ()


class Evil:
    """Would run where it is pickled."""

    def __reduce__(self) -> Any:
        raise AssertionError("this must not run")


class Noted:
    """Pickled by code that was noted down for its class."""


class Made(type(Attack)):  # type: ignore[misc]
    """A class of classes."""

    @property
    def words(cls) -> str:
        return ""


class OfMade(Plain, metaclass=Made):
    """Of such a class."""


class Pair(NamedTuple):
    """A named tuple."""

    one: int = 1


class Colour(Enum):
    """A word of a few."""

    RED = 1


@dataclass(frozen=True, slots=True)
class Slotted:
    """A dataclass with slots."""

    one: int = 1


def test_what_holds_plain_values_does_nothing() -> None:
    held = [np.zeros(3), len, Plain, Pair(), Colour.RED, Slotted(), np.random.default_rng(0)]
    assert acts(Plain({"a": held})) == ""
    assert acts(Top1(Plain())) == ""


@pytest.mark.parametrize("name", [n for n in options("attack") if n != "suite"])
def test_ours_do_nothing(name: str) -> None:
    assert acts(attack_of(name)) == ""


@pytest.mark.parametrize(
    "held",
    [
        Evil(),
        [{Evil(): 1}],
        np.array([Evil(), None], object),
        SimpleNamespace(deep=Evil()),
        Noted(),
    ],
    ids=["object", "key", "array", "namespace", "noted"],
)
def test_what_is_held_at_any_depth_is_seen(held: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(copyreg.dispatch_table, Noted, lambda one: (Noted, ()))
    assert "code of its own for pickle" in acts(Plain(held))
    assert acts(Top1(Plain(held)))


def test_what_an_attack_computes_when_it_is_looked_at_is_seen() -> None:
    assert acts(Reads()) == "Reads.oracle is computed when it is read"
    assert acts(Looks()) == "Looks has code of its own for pickle"
    assert acts(Listed()) == "Listed has code of its own for pickle"
    assert acts(OfMade()) == "OfMade has a class of its own for a class"
    with_own = Plain()
    vars(with_own)["__reduce_ex__"] = lambda protocol: (Plain, ())
    assert acts(with_own) == "Plain has code of its own for pickle"
