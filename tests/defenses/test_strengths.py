"""What an attacker who knows a defense, but not its knobs, would try."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
from omegaconf import DictConfig

from moatbench.compose.build import build_defense
from moatbench.defense import Defense
from moatbench.stack import Stack
from moatbench.testing import check_defense
from moatbench.victim import Victim

Compose = Callable[..., DictConfig]
GUESSED = (
    "adaptive_misinformation",
    "binning",
    "gaussian_noise",
    "grad2",
    "laplace_noise",
    "mad",
    "mad_argmax",
    "modelguard_s",
    "modelguard_w",
    "reverse_sigmoid",
    "rounding",
    "significant_digits",
    "top_k",
)


def built(name: str, composed: Compose) -> Defense:
    """A defense with the knobs of its config file, out of the stack of one."""
    defense = build_defense(composed(f"defense={name}").defense)
    return next(iter(defense.layers.values())) if isinstance(defense, Stack) else defense


def guesses(defense: Defense) -> list[Defense]:
    """The defense with every combination of the knob values in use."""
    knobs, values = defense.strengths.keys(), defense.strengths.values()
    return [
        replace(defense, **dict(zip(knobs, guess, strict=True)))  # type: ignore[type-var]
        for guess in product(*values)
    ]


@pytest.mark.parametrize("name", GUESSED)
def test_every_combination_in_use_is_a_different_defense(name: str, composed: Compose) -> None:
    found = guesses(built(name, composed))
    assert len(found) >= 4
    assert len({str(guess) for guess in found}) == len(found)


@pytest.mark.parametrize("name", GUESSED)
def test_the_strength_of_the_config_file_is_among_them(name: str, composed: Compose) -> None:
    defense = built(name, composed)
    assert str(defense) in {str(guess) for guess in guesses(defense)}


@pytest.mark.parametrize("name", ["reverse_sigmoid", "mad_argmax", "top_k", "gaussian_noise"])
def test_the_strongest_in_use_keeps_the_contract(name: str, composed: Compose, toy: Victim) -> None:
    defense = built(name, composed)
    for guess in (guesses(defense)[0], guesses(defense)[-1]):
        assert check_defense(toy, guess) == ""
