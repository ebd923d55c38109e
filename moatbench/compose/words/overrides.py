"""What is wrong with a command line: which override, what its key takes, how it is quoted."""

import re
import shlex
from collections.abc import Iterator, Sequence
from typing import Any

from hydra import compose, initialize_config_module
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from moatbench.compose.words.choices import options_of
from moatbench.compose.words.errors import did_you_mean, explain
from moatbench.record.command import literal

_KEY = re.compile(r"Could not override '([^']+)'")
_MERGED = re.compile(r"Error merging override ([^=\s]+)=(.*)")
_TWICE = re.compile(r"Multiple values for ([\w/@.]+)\. To override")
_SEVERAL = re.compile(r"Ambiguous value for argument '([^=]+)=(.*?)'\s")
GROUPS = ("data", "victim", "defense", "attack", "experiment")
WHOLE = "a group of knobs"
WANTED = {  # what OmegaConf says that a value is not
    "converted to Integer": "a whole number",
    "converted to Float": "a number",
    "to string": "a text",
    "valid bool": "true or false",
    "not a ListConfig": "a list",
    "not Optional": "given, and not null",
    "Non optional": "given, and not null",
    "is not a subclass of": WHOLE,
}


def explain_composition(error: BaseException, overrides: Sequence[str]) -> str:
    """Explain an error of the command line: name what it is about, and what to write."""
    said = str(error)
    if match := _KEY.search(said):
        return _unknown_key(match[1], overrides)
    if match := _SEVERAL.search(said):
        return _several(match[1], match[2])
    if (match := _MERGED.search(said)) and (told := _merged(match[1], match[2], error)):
        return told
    if (match := _TWICE.search(said)) and any(o.startswith(f"+{match[1]}=") for o in overrides):
        return f"{match[1]} must be given without a plus, for it has a value; write {match[1]}=..."
    unread = next(_unreadable(overrides), "") if isinstance(error, HydraException) else ""
    return unread or explain(error)


def refuse_flags(arguments: Sequence[str]) -> None:
    """Raise a ValueError for a knob that is written as an option, with dashes."""
    _, unknown = get_args_parser().parse_known_args(list(arguments))
    for flag in (one for one in unknown if one.startswith("-")):
        key, equals, value = flag.lstrip("-").partition("=")
        after = list(arguments)[arguments.index(flag) + 1 :] if flag in arguments else []
        if not equals:
            value = next((one for one in after[:1] if not one.startswith("-")), "...")
        raise ValueError(
            f"a knob must be KEY=VALUE, without dashes, got {flag}; write "
            f"{shlex.quote(f'{key}={value}')}"
        )


def quoted(key: str, value: str) -> str:
    """Write an override so that a shell and Hydra take its value for one text."""
    plain = '"' not in value and not value.endswith("\\")
    return shlex.quote(f'{key}="{value}"' if plain else f"{key}={literal(value)}")


def _unreadable(overrides: Sequence[str]) -> Iterator[str]:
    """Yield, for each override that Hydra cannot read, how to write it."""
    parser = OverridesParser.create()
    for one in overrides:
        try:
            parser.parse_override(one)
        except HydraException:
            key, equals, value = one.partition("=")
            if broken := _unclosed(value):
                yield (
                    f"{key} must close each bracket that it opens, got {value}; write "
                    f"{shlex.quote(f'{key}={broken}')}"
                )
            elif not equals:
                yield f"an argument must be KEY=VALUE, got {one}; for example defense=rounding"
            else:
                yield (
                    f"{key} must be quoted where it holds more than plain letters, digits and "
                    f"./:-_, got {value}; write {quoted(key, value)}"
                )


def _unclosed(value: str) -> str:
    """Return a list that lacks its last bracket with it; '' for all else."""
    is_list = value.startswith("[") and "]" not in value and value.count("[") == 1
    return f"{value}]" if is_list and not re.search(r"[\s'\"]", value) else ""


def _several(key: str, value: str) -> str:
    name = "" if "." not in key and key in GROUPS else f", {quoted(key, value)} for one name"
    return (
        f"{key} must be one value, got {value}; add -m for a run of each, or write "
        f"{shlex.quote(f'{key}=[{value}]')} for a list{name}"
    )


def _merged(key: str, value: str, error: BaseException) -> str:
    """Say what a key of a known type takes; '' where OmegaConf has something else to say."""
    why = f"{error} {error.__cause__}"
    wanted = next((word for said, word in WANTED.items() if said in why), "")
    if not wanted:
        return ""
    if wanted in (WHOLE, "given, and not null") and (told := _whole(key, value)):
        return told
    if wanted == "a list":
        return f"{key} must be a list, got {value}; write {shlex.quote(f'{key}=[{value}]')}"
    if value.startswith("[") and wanted != "a text":
        return f"{key} must be a list in which each is {wanted}, got {value}"
    return f"{key} must be {wanted}, got {value or 'nothing'}"


def _whole(key: str, value: str) -> str:
    """Say that a key is a group of knobs, and takes no value of its own; '' where it is none."""
    cfg = _composed([])
    node: Any = None if cfg is None else OmegaConf.select(cfg, key)
    if not _is_node(node):
        return ""
    knobs = [f"{key}.{name}" for name in node]
    off = value.casefold() in ("off", "false", "no", "none", "null", "0")
    switch = f"; write {key}.enabled=false" if off and f"{key}.enabled" in knobs else ""
    return f"{key} must be {WHOLE}, got {value}{switch}. Known: {', '.join(knobs)}"


def _unknown_key(key: str, overrides: Sequence[str]) -> str:
    """Say which knobs there are near to one that is not, or where it would stand."""
    parent, _, last = key.rpartition(".")
    others = [o for o in overrides if not o.startswith(key)]
    cfg = _composed([o for o in others if "=" in o and "," not in o])
    where = f" in {parent}" if parent else ""
    if cfg is None:  # the other overrides are wrong as well: say what is certain
        return f"no knob {last!r}{where}; see moatbench --cfg job"
    value = next((o.partition("=")[2] for o in overrides if o.startswith(f"{key}=")), "...")
    group, _, name = parent.partition(".")
    if group == "defense" and name and name.partition(".")[0] not in cfg.defense:
        return _absent(name.partition(".")[0], key, cfg)
    if parent == "attack" and "suite" in cfg.attack:
        return (
            f"attack.{last} must be a knob of one attack, and this run is a suite of them; write "
            f"+attack.knobs.NAME.{last}={value}, or choose one with attack=NAME"
        )
    node: Any = OmegaConf.select(cfg, parent) if parent else cfg
    known = [str(k) for k in node if not str(k).startswith("_")] if _is_node(node) else []
    told = f" Known: {', '.join(known)}" if known else " It has none." if where else ""
    return f"no knob {last!r}{where}{did_you_mean(last, known)}{told}"


def _absent(name: str, key: str, cfg: DictConfig) -> str:
    """Say that a defense whose knob is given is none of this run's."""
    present = list(map(str, cfg.defense))
    if name not in (known := options_of("defense")):
        near = did_you_mean(name, [*present, *known]).rstrip(".")
        return f"{key} must be a knob of a defense, and none is called {name!r}{near}"
    stack = shlex.quote(f"defense=[{','.join([name, *present])}]")
    also = f", or {stack}" if present else ""
    return (
        f"{key} must be a knob of this run's defense, which is {'+'.join(present) or 'none'}; add "
        f"defense={name}{also}"
    )


def _composed(overrides: Sequence[str]) -> DictConfig | None:
    """Compose the config without a misspelt override; None where others are wrong as well."""
    try:
        with initialize_config_module("moatbench.conf", version_base="1.3"):
            return compose("config", list(overrides))
    except Exception:
        return None


def _is_node(node: Any) -> bool:
    return isinstance(node, DictConfig)
