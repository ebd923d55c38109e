"""A sweep over the strengths of each defense: whose values they are, and what runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from omegaconf import DictConfig, OmegaConf

from moatbench.compose.build import build_defense, options
from moatbench.defense import Defense
from moatbench.sweep.strengths import POINTS, PUBLISHED, published, spread

Compose = Callable[..., DictConfig]
Run = Callable[..., tuple[int, str, str]]
WITHOUT = {"refuse_invalid", "refuse_partial", "shuffle", "art"}  # nothing to be more or less of
QUICK = ("data=iris", "attack=equation_solving", "seed=0", "checkpoints=[5,10]")


@dataclass
class Theirs(Defense):
    """A stranger's, with knobs of its own."""

    tilt: float = 0.1
    strengths: ClassVar[Mapping[str, Any]] = {"tilt": (0.1, 0.2), "unused": (1,)}


def nodes(**layers: Any) -> Callable[[Any], Mapping[str, Any]]:
    return lambda job: layers


def mine(**knobs: Any) -> dict[str, Any]:
    return {"_target_": f"{Theirs.__module__}.{Theirs.__qualname__}", **knobs}


@pytest.mark.parametrize("name", [n for n in options("defense") if n not in POINTS])
def test_each_defense_has_strengths_that_it_can_be_built_with(name: str, composed: Compose) -> None:
    layers: Any = OmegaConf.to_container(composed(f"defense={name}").defense, resolve=True)
    found = published(layers[name])
    if name in WITHOUT:
        assert found is None
        return
    assert found is not None
    assert len(set(found.values)) >= 3
    assert list(found.values) == sorted(found.values)
    for value in found.values:
        stronger = OmegaConf.create(layers)
        OmegaConf.update(stronger, f"{name}.{found.knob}", value)
        build_defense(stronger)


def test_the_table_names_classes_that_exist_and_declare_none_themselves() -> None:
    for target in PUBLISHED:
        module, _, name = f"moatbench.{target}".rpartition(".")
        part = getattr(__import__(module, fromlist=[name]), name)
        assert not getattr(part, "strengths", None), target


def test_a_job_becomes_one_for_each_strength_and_the_baselines_stand_beside_it() -> None:
    jobs = [["defense=mine", "seed=0"], ["defense=mine", "seed=1"]]
    assert spread(jobs, nodes(mine=mine(tilt=0.3))) == [
        ["defense=none", "seed=0"],
        ["defense=none", "seed=1"],
        ["defense=label_only", "seed=0"],
        ["defense=label_only", "seed=1"],
        *[[*job, f"defense.mine.tilt={value}"] for job in jobs for value in (0.1, 0.2)],
    ]


def test_a_knob_that_the_config_does_not_state_is_added() -> None:
    *_, last = spread([["defense=mine"]], nodes(mine=mine()))
    assert last == ["defense=mine", "++defense.mine.tilt=0.2"]


def test_a_baseline_that_is_asked_for_runs_once() -> None:
    assert spread([["defense=none"]], nodes()) == [["defense=none"], ["defense=label_only"]]
    jobs = spread([["defense=label_only"]], nodes(label_only={"_target_": "x.Y"}))
    assert jobs == [["defense=none"], ["defense=label_only"]]


def test_values_that_are_given_are_kept() -> None:
    job = ["defense=mine", "defense.mine.tilt=0.7"]
    assert spread([job], nodes(mine=mine(tilt=0.7)))[2:] == [job]


def test_a_defense_without_strengths_and_a_stack_with_two_are_refused() -> None:
    plain = {"_target_": "moatbench.defenses.shuffle.Shuffle", "grid": 1e-6}
    with pytest.raises(ValueError, match=r"shuffle has no knob .*; give the values yourself, as"):
        spread([["defense=shuffle"]], nodes(shuffle=plain))
    with pytest.raises(ValueError, match="those of a and b"):
        spread([["defense=[a,b]"]], nodes(a=mine(tilt=1), b=mine(tilt=1)))
    given = ["defense=shuffle", "defense.shuffle.grid=0.1"]
    assert spread([given], nodes(shuffle=plain))[2:] == [given]


def test_a_sweep_of_strengths_is_counted_run_and_found_again(moatbench: Run, tracked: str) -> None:
    """In one process: the next sweep, without strengths, gets back the grid that it asks for."""
    of_rounding = ("-m", "strengths=true", "defense=rounding", *QUICK)
    status, out, _ = moatbench(*of_rounding)
    assert (status, out.splitlines()[0].split(" in ")[0]) == (0, "sweep of 8 runs")
    assert "Rounding (decimals=3)" in out  # the table tells them apart
    again = moatbench("-m", "defense=rounding", "defense.rounding.decimals=2", *QUICK)[1]
    assert "sweep of 1 runs" in again
    assert "already in MLflow" in again


def test_a_single_run_says_that_strengths_are_for_sweeps(moatbench: Run) -> None:
    status, out, err = moatbench("strengths=true", "defense=none", *QUICK, "tracking.enabled=false")
    assert status == 0
    assert "strengths=true is for sweeps" in out + err
