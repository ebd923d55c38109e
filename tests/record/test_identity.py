"""What a run is known by."""

from dataclasses import fields

from omegaconf import OmegaConf

from moatbench.compose.schema import Schema
from moatbench.record.identity import ELSEWHERE, FREE, KEYS, OWN, config_hash, knobs


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
