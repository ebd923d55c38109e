"""From a composed config to live parts; the only file that instantiates."""

import logging
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import hydra.utils
import numpy as np
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import InstantiationException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from moatbench.api import valid_checkpoints
from moatbench.attack import Attack
from moatbench.compose.behind import reference_node, replace_victim
from moatbench.compose.cache import is_known, trained, victim_key
from moatbench.compose.limits import check_run, check_suite, overrides_given
from moatbench.compose.subgroup import members
from moatbench.compose.words.choices import options_of
from moatbench.compose.words.old_forms import refuse_old_form
from moatbench.data import Dataset
from moatbench.defense import Defense
from moatbench.judge.service import OwnDefense
from moatbench.randomness import stream
from moatbench.remote.client import Stopped
from moatbench.remote.guarded import Guarded
from moatbench.remote.memo import kept_in
from moatbench.stack import Stack
from moatbench.tracking.registry import fetched
from moatbench.traits import STAGES
from moatbench.types import Mask
from moatbench.victim import Victim

log = logging.getLogger(__name__)

SUITE = "suite"
SERVICES = "moatbench.victims.remote.http"
OF_SUITE = (SUITE, "apart", "knobs")  # keys of conf/attack/suite.yaml
MULTIPLES = (1, 2, 5, 10, 20)
SEEDS = "seed=", "victim_seed="  # plain values, which choose no file


@dataclass(frozen=True)
class Parts:
    """What a run needs, alive."""

    victim: Victim
    defense: Defense
    attacks: Mapping[str, Attack]
    checkpoints: tuple[int, ...]
    subgroup: Mapping[str, Mask] = field(default_factory=dict)  # rule to (n,) test rows


def build(cfg: DictConfig, attack: str) -> Parts:
    """Instantiate the parts of a run.

    Args:
        cfg: the composed config.
        attack: the name of the choice in the group `attack`.
    """
    check_run(cfg)
    cfg = fetched(cfg)
    if cfg.victim.get("defended") and cfg.defense:
        raise ValueError(
            "defense must be none before a service with victim.defended=true, which has its own, "
            f"got {', '.join(map(str, cfg.defense))}; say defense=none"
        )
    # Cheap parts first: a bad knob, or file, is told before a victim is trained, or a suite built.
    defense = build_defense(cfg.defense)
    data = build_data(cfg)
    for table in (data.table, data.pool, data.outliers, data.foreign):
        tell({} if table is None else table.notes)
    inside = None if cfg.subgroup is None else members(cfg.subgroup, data.table)
    attacks = build_attacks(cfg.attack, attack)
    victim = build_victim(cfg, data, victim_seed(cfg))
    _tell_left_out(victim.shares.provenance.get("pool"))
    if not cfg.publish:
        victim = replace(victim, family=None, architecture={})
    if isinstance(victim.predict, Guarded):
        defense = _its_own(victim.predict)
    rows = victim.shares.test_rows
    if inside is not None and rows is None:
        raise ValueError(
            "subgroup needs a victim that says which rows of the data the judge's are (its shares' "
            "test_rows); make its shares with data.shares, or set subgroup=null"
        )
    subgroup = {} if inside is None else {str(cfg.subgroup): inside[rows]}
    return Parts(victim, defense, attacks, checkpoints(cfg.checkpoints, victim), subgroup)


def _its_own(service: Guarded) -> Defense:
    """Return what stands before a service that has a defense of its own."""
    reading = service.endpoint.reading
    told = reading is not None and reading.confidences
    return OwnDefense(outputs=told, keys=len(service.thieves))


def build_data(cfg: DictConfig) -> Dataset:
    """Read the data, and the pool, the outliers and the foreign set that come from others."""
    data: Dataset = instantiate(cfg.data)
    keys = ("pool", "outliers", "foreign")
    others = [None if cfg[key] is None else instantiate(cfg[key]) for key in keys]
    return data.with_others(*others) if any(others) else data


def tell(notes: Mapping[str, Any]) -> None:
    """Say what was understood of the owner's file, before the first query."""
    for line in (notes.get("understood"), *notes.get("warnings", ())):
        if line:
            _tell_once(str(line))


def _tell_left_out(pool: Any) -> None:
    """Say how many rows of a foreign pool nobody gets, as they are the judge's."""
    if isinstance(pool, Mapping) and pool.get("left_out"):
        _tell_once(
            f"pool: {pool['left_out']:,} of {pool['rows']:,} rows of {pool['name']} are the "
            "judge's, and left out"
        )


@cache  # a sweep reads its file for each run
def _tell_once(line: str) -> None:
    log.warning(line)


def instantiate(node: DictConfig, *args: Any) -> Any:
    """Build one object; positional arguments reach it as they are."""
    # Left to its default, Hydra turns dataclass objects within a list back into configs.
    with np.errstate():  # what somebody's file sets for all of numpy reaches nobody else
        return hydra.utils.instantiate(node, *args, _convert_="all")


def build_one(node: DictConfig) -> Any:
    """Build a defense or an attack; refuse one that is written in the old form."""
    part = instantiate(node)
    refuse_old_form(part)
    return part


def victim_seed(cfg: DictConfig) -> int:
    """Return the seed of victim and shares: a service is none to be trained, and keeps its shares.

    So that another seed of attacks asks no further test rows.
    """
    if cfg.victim_seed is not None:
        return int(cfg.victim_seed)
    return 0 if str(cfg.victim.get("_target_", "")) == SERVICES else int(cfg.seed)


def build_victim(cfg: DictConfig, data: Dataset, seed: int) -> Victim:
    """Train the victim on its stream of the seed, or fetch it where this was done before."""

    def train() -> Victim:
        with kept_in(None if cfg.cache is None else Path(cfg.cache) / "remote"):
            return _trained(cfg, data, seed)

    node: Any = OmegaConf.to_container(cfg.victim, resolve=True)
    if cfg.cache is None or not is_known(node):
        return train()
    key = victim_key(node, data, seed, cfg.threads)
    return trained(Path(cfg.cache) / "victims", key, train)


def _trained(cfg: DictConfig, data: Dataset, seed: int) -> Victim:
    """Instantiate the victim, after the model that stands for the one behind it, if any."""
    try:
        if cfg.victim.get("reference") is None:
            return instantiate(cfg.victim, data, stream(seed, "victim"))  # type: ignore[no-any-return]
        other = replace_victim(cfg, reference_node(cfg))
        known = instantiate(fetched(other).victim, data, stream(seed, "victim"))
        alone = OmegaConf.masked_copy(cfg.victim, [k for k in cfg.victim if k != "reference"])
        make = hydra.utils.instantiate(alone, _partial_=True, _convert_="all")
        return make(data, stream(seed, "victim"), reference=known)  # type: ignore[no-any-return]
    except InstantiationException as error:
        if isinstance(error.__cause__, Stopped):  # no mistake: the service answers no more
            raise error.__cause__ from None
        raise


def build_defense(nodes: DictConfig) -> Defense:
    """Build the defense: nothing, one, or a stack in the order of the config."""
    layers: dict[str, Defense] = {str(name): build_one(node) for name, node in nodes.items()}
    for problem in order_problems(layers):
        log.warning(problem)
    if not layers:
        return Defense()
    return next(iter(layers.values())) if len(layers) == 1 else Stack(layers)


def build_attacks(node: DictConfig, name: str) -> dict[str, Attack]:
    """Build the attack called `name`, or all that a suite holds."""
    if "suite" not in node:
        return {name: build_one(node)}
    return {n: build_one(_with_knobs(node, n)) for n in suite(node)}


def check_attacks(node: DictConfig, name: str) -> None:
    """Build the attack called `name`, or those of a suite whose knobs the run changes."""
    if "suite" not in node:
        build_attacks(node, name)
        return
    suite(node)
    for changed in node.knobs:
        build_one(_with_knobs(node, str(changed)))


def suite(node: DictConfig) -> list[str]:
    """Name the attacks that a suite holds.

    Raises:
        ValueError: it names one that is not there, or knobs of one that it does not hold.
    """
    known = [n for n in options("attack") if n != SUITE]
    if node.suite is not None:
        check_suite(node.suite)
    apart = node.get("apart") or ()
    chosen = [str(name) for name in node.suite or (n for n in known if n not in apart)]
    _refuse_unknown([str(name) for name in apart], known, "attack.apart")
    _refuse_unknown(chosen, known, "attack.suite")
    _refuse_unknown([str(k) for k in node.knobs], chosen, "attack.knobs")
    return chosen


def options(group: str) -> list[str]:
    """Name the choices of a config group, those of other packages on the search path included."""
    sources = HydraConfig.get().runtime.config_sources if HydraConfig.initialized() else ()
    return options_of(group, [(source.schema, source.path) for source in sources])


def checkpoints(asked: Sequence[int] | None, victim: Victim) -> tuple[int, ...]:
    """Return the checkpoints asked for, or the default multiples of d + 1."""
    if asked is not None:
        return valid_checkpoints(tuple(asked))
    return tuple(multiple * (victim.space.d + 1) for multiple in MULTIPLES)


def _with_knobs(node: DictConfig, name: str) -> DictConfig:
    """Return one attack of a suite as it would be composed alone, with the knobs changed."""
    knobs, run = node.knobs.get(name, {}), _Run.of(node)
    if run.of_sweep:
        alone = _merged(deepcopy(_alone(name, run)), name, knobs)
        if "${" not in OmegaConf.to_yaml(alone):  # else it may ask for the seed
            return alone
    return _merged(_composed(name, run), name, knobs)


def _merged(alone: DictConfig, name: str, knobs: Mapping[str, Any]) -> DictConfig:
    _refuse_unknown([str(k) for k in knobs], [str(k) for k in alone], f"attack.knobs.{name}")
    with open_dict(alone):
        alone.merge_with(knobs)
    return alone


@dataclass(frozen=True)
class _Run:
    """What an attack alone depends on: runs of a sweep that differ in their seeds alone share it.

    Args:
        primary: config.
        sources: of configs.
        suite: as text, with what an experiment, or any file of the run, says of attacks.
        given: overrides of the run, but for the attack's.
        key: those of them that are no seeds.
        of_sweep: whether it is a job of a sweep.
    """

    primary: str
    sources: str
    suite: str
    given: list[str] = field(compare=False)
    key: tuple[str, ...]
    of_sweep: bool

    @staticmethod
    def of(node: DictConfig) -> "_Run":
        """Describe the run that a suite is of."""
        primary, given, of_sweep = "config", [], False
        if HydraConfig.initialized():
            primary = HydraConfig.get().job.config_name or primary
            given = [o for o in overrides_given() if not o.lstrip("+~").startswith("attack")]
            of_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
        own = {k: v for k, v in node.items() if k not in ("suite", "knobs")}
        key = tuple(o for o in given if not o.startswith(SEEDS))
        sources = str(GlobalHydra.instance().config_loader().get_sources())
        return _Run(primary, sources, OmegaConf.to_yaml(own), given, key, of_sweep)


@cache
def _alone(name: str, run: _Run) -> DictConfig:
    """Keep what `_composed` returns: composing takes a tenth of a second, and a suite is long."""
    return _composed(name, run)


def _composed(name: str, run: _Run) -> DictConfig:
    """Compose a run again with one attack in place of the suite."""
    loader = GlobalHydra.instance().config_loader()
    composed = loader.load_configuration(run.primary, [*run.given, f"attack={name}"], RunMode.RUN)
    node = composed.attack
    OmegaConf.set_struct(node, False)
    for key in OF_SUITE:  # an experiment may choose what its suite holds: not the attack's knobs
        node.pop(key, None)
    OmegaConf.set_struct(node, True)
    return node  # type: ignore[no-any-return]


def _refuse_unknown(given: Sequence[str], known: Sequence[str], where: str) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 3)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise ValueError(f"{where}: unknown {name!r}{hint} Known: {', '.join(known)}")


def order_problems(layers: Mapping[str, Defense]) -> list[str]:
    """Name each layer that acts on what a later stage has already done, in a line each."""
    problems, highest = [], ("", 0)
    for name, layer in layers.items():
        word = layer.traits.stage
        if not word:  # it does nothing
            continue
        stage = STAGES.index(word)
        if stage < highest[1]:
            problems.append(
                f"defense order: {name} ({word}) comes after {highest[0]} "
                f"({STAGES[highest[1]]}); the usual order is {', then '.join(STAGES)}"
            )
        else:
            highest = (name, stage)
    return problems
