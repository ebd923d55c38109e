"""What is random in a defense shows beside a row, and under several keys."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from made_runs import run, standing
from omegaconf import DictConfig

from moatbench.compose.build import build_defense, build_victim, instantiate
from moatbench.defense import Defense
from moatbench.defenses.noise import Noise
from moatbench.numerics.keyed import keyed_uniform
from moatbench.record.flag import Flag
from moatbench.reply import Reply
from moatbench.runner.checks.neighbours import moved
from moatbench.runner.checks.selfcheck import of_layers
from moatbench.types import Array, Generator
from moatbench.victim import Victim

Compose = Callable[..., DictConfig]


@dataclass
class Undeclared(Defense):
    """Keyed noise in cells, which it does not own up to: asked again, it repeats itself."""

    grid: float = 1e-12

    def deploy(self, victim: Victim, rng: Generator) -> None:
        self._key = rng.bytes(16)

    def respond(self, x: Array, reply: Reply, account: str) -> Reply:
        assert reply.outputs is not None
        noisy = reply.outputs + keyed_uniform(self._key, x, reply.outputs.shape[1], self.grid)
        return reply.with_outputs(noisy / noisy.sum(axis=1, keepdims=True))


def found(victim: Victim, defense: Defense) -> tuple[list[Flag], dict[str, float]]:
    flags, seen = of_layers(victim, {"d": defense}, 0)
    return flags, seen["d"]


@pytest.mark.parametrize(("grid", "by", "kept"), [(1e-12, "1e-09", 0.0), (1e-4, "0.001", 1.0)])
def test_undeclared_keyed_noise_shows_beside_the_row(
    toy: Victim, grid: float, by: str, kept: float
) -> None:
    """A cell that holds 1e-9 of the range is left by 1e-3 of it."""
    flags, seen = found(toy, Undeclared(grid))
    assert seen["varied"] == 0.0
    assert 1 - seen["hair"] == pytest.approx(kept, abs=0.1)
    assert {flag.grade for flag in flags} == {"A"}
    assert any(f"otherwise {by} of the range beside: that is keyed noise" in f.text for f in flags)


def test_keyed_noise_in_cells_that_hold_no_row_is_no_better_than_fresh(toy: Victim) -> None:
    flags, seen = found(toy, Noise("gaussian", 0.1, "keyed", 1e-12))
    assert seen["hair"] > 0.9  # a row may be clipped to the same corner twice
    (bound,) = [flag for flag in flags if flag.grade == "B"]
    assert bound.text.endswith("of the range beside: its noise averages as fresh noise does")
    flags, seen = found(toy, Noise("gaussian", 0.1, "keyed", 1e-6))
    assert seen["hair"] < 0.1
    assert [flag.grade for flag in flags] == ["C"]


def test_fresh_noise_is_not_asked_beside(toy: Victim) -> None:
    flags, seen = found(toy, Noise("gaussian", 0.1, "fresh", 1e-6))
    assert (flags, "hair" in seen) == ([], False)


def test_a_keyed_defense_tells_what_three_keys_cost(toy: Victim) -> None:
    flags, seen = found(toy, Noise("gaussian", 0.2, "keyed", 1e-6))
    assert seen["keys"] == 3
    assert 0 < seen["l1_least"] < seen["l1_most"] < 1
    assert 0 < seen["labels_least"] < seen["labels_most"] < 1
    assert flags[0].text.startswith("d: keyed, and attacked under one key; under 3 keys honest")


def test_the_same_key_is_no_spread(toy: Victim) -> None:
    """A defense that says keyed and draws no key."""

    class Still(Noise):  # type: ignore[misc]
        def deploy(self, victim: Victim, rng: Generator) -> None:
            super().deploy(victim, np.random.default_rng(1))

    seen = found(toy, Still("gaussian", 0.2, "keyed", 1e-6))[1]
    assert seen["l1_least"] == seen["l1_most"]


def test_grids_on_which_the_data_lie_are_no_noise(composed: Compose) -> None:
    """The pixels of digits are sixteenths, each on an edge of a grid of .01."""
    cfg = composed("data=digits", "defense=grid", "cache=null")
    victim = build_victim(cfg, instantiate(cfg.data), 0)
    assert found(victim, build_defense(cfg.defense))[0] == []


def test_a_neighbour_lies_within_the_bounds(toy: Victim) -> None:
    x = toy.space.low + (toy.space.high - toy.space.low) * np.array([[0.0], [1.0]])
    beside = moved(x, toy.space, 1e-3)
    assert toy.space.valid(beside).all()
    assert np.allclose(np.abs(beside - x), 1e-3 * (toy.space.high - toy.space.low))


def test_a_keyed_defense_needs_three_keys_in_a_report() -> None:
    """A seed draws a key."""
    keyed: Any = {"repeated": {"n": {"rows": 100, "keys": 3}}}
    one = [run("none"), run("n", **keyed)]
    assert "keys 1 of 3" in [mark.text for mark in standing("n", *one).marks]
    three = [run(name, seed=seed, **keyed) for name in ("none", "n") for seed in range(3)]
    assert not any("keys" in mark.text for mark in standing("n", *three).marks)
