"""What the top-level keys of a config must be, before anything is built or trained."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf

from moatbench.compose.repeat import as_given
from moatbench.compose.subgroup import check_rule
from moatbench.isolation.terms import check_isolation, check_secret
from moatbench.knobs import check_choice, check_number, check_whole
from moatbench.learners.deep.device import PRECISIONS, check_device
from moatbench.sweep.strengths import refuse_alone

SECOND = (
    "give a second of its kind a name of its own: +defense.coarse._target_=... "
    "+defense.coarse.decimals=1"
)


def check_run(cfg: DictConfig) -> None:
    """Raise a ValueError that names the key unless the numbers of a run, and its lists, make sense.

    Hydra takes a name given twice, and two files of one key, for one part without a word.
    """
    check_number("price", cfg.price, 0)
    check_whole("seed", cfg.seed, 0)
    if cfg.transfer is not None:
        check_number("transfer", cfg.transfer, 0, 1, above=True)
    if cfg.subgroup is not None:
        check_rule(cfg.subgroup)
    check_whole("confirm", cfg.confirm, 0)
    check_whole("threads", cfg.threads, 1)
    check_device(cfg.device)
    check_choice("precision", cfg.precision, PRECISIONS)
    check_isolation(cfg.isolation)
    check_number("isolation_limit", cfg.isolation_limit, 0, above=True)
    check_secret(cfg.secret)
    if cfg.victim_seed is not None:
        check_whole("victim_seed", cfg.victim_seed, 0, other="null")
    if cfg.strengths and HydraConfig.initialized() and HydraConfig.get().mode == RunMode.RUN:
        layers: Any = OmegaConf.to_container(cfg.defense, resolve=True)
        refuse_alone(as_given(HydraConfig.get().overrides.task), layers)
    layers_of(cfg)
    chosen = [name for name in defenses_chosen() if name != "none"]
    check_distinct("defense", chosen, hint=SECOND)
    if len(cfg.defense) < len(chosen):
        raise ValueError(
            f"defense must be parts of different keys, got {', '.join(chosen)}, which come to "
            f"{', '.join(map(str, cfg.defense)) or 'none'}; begin their files with other names"
        )


def layers_of(cfg: DictConfig) -> dict[str, DictConfig]:
    """Return the nodes of the defense by name; raise a ValueError where one makes no part."""
    for name, node in cfg.defense.items():
        if not isinstance(node, DictConfig) or "_target_" not in node:
            raise ValueError(
                f"defense must be parts by name, each with a _target_, got {name} without one; a "
                "defense's file begins with the name, as rounding: {_target_: ..., decimals: 2}"
            )
    return {str(name): node for name, node in cfg.defense.items()}


def check_suite(names: Any) -> None:
    """Raise a ValueError unless a suite is a list of attacks, each once."""
    if not isinstance(names, ListConfig | list) or not len(names):
        got = list(names) if isinstance(names, ListConfig | list) else repr(names)
        raise ValueError(
            f"attack.suite must be a list of one attack or more, got {got}; write "
            "'attack.suite=[top1,averaging]', or null for all that apply"
        )
    check_distinct("attack.suite", [str(name) for name in names], hint="name each once")


def check_distinct(where: str, names: Sequence[str], *, hint: str) -> None:
    """Raise a ValueError where a name stands twice."""
    twice = [name for name, times in Counter(names).items() if times > 1]
    if twice:
        raise ValueError(
            f"{where} must name each part once, got [{','.join(names)}] with "
            f"{', '.join(twice)} twice; {hint}"
        )


def defenses_chosen() -> list[str]:
    """Name the parts that are listed for `defense`, in a command or a file; none without a list."""
    if not HydraConfig.initialized() or "defense" in HydraConfig.get().runtime.choices:
        return []
    primary = HydraConfig.get().job.config_name or "config"
    loader = GlobalHydra.instance().config_loader()
    found = loader.compute_defaults_list(primary, overrides_given(), RunMode.RUN).defaults
    group = "defense/"
    return [
        str(one.config_path).removeprefix(group)
        for one in found
        if one.package == "defense"
        and str(one.config_path).startswith(group)
        and not str(one.parent).startswith(group)  # what a file brings along is not listed
    ]


def overrides_given() -> list[str]:
    """Return the overrides of this run, and its search path, which is no property of a loader."""
    ours = HydraConfig.get().overrides
    path = [o for o in as_given(ours.hydra) if o.startswith("hydra.searchpath=")]
    return [*path, *as_given(ours.task)]
