"""Errors for people: what came, what is allowed, what to do, in one line."""

import re
from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, OmegaConf

from moatbench.compose.moved import moved

_KEY = re.compile(r"Could not override '([^']+)'")


def explain(error: BaseException) -> str:
    """Say what went wrong in one line, without Hydra's wrapping."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        where, line = re.search(r"full_key: (\S+)", str(error)), _line(error.__cause__)
        if where is None:
            return line
        # A constructor may name itself as well
        return f"{where[1]}: {line.removeprefix(where[1].rpartition('.')[2] + ': ')}"
    if isinstance(error, MissingConfigException) and error.options:
        return _unknown_choice(error)
    if isinstance(error, HydraException) and error.__cause__ is not None:
        return f"{_line(error)}: {str(error.__cause__).splitlines()[0]}"
    return _line(error)


def explain_composition(error: BaseException, overrides: Sequence[str]) -> str:
    """Explain an error of the command line; name the knobs near to a misspelt one."""
    match = _KEY.search(str(error))
    if match is None:
        return explain(error)
    key = match.group(1)
    near = _near_keys(key, [o for o in overrides if not o.startswith(key)])
    parent, _, last = key.rpartition(".")
    where = f" in {parent}" if parent else ""
    return f"no knob {last!r}{where}{near}"


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).partition("/")
    known = list(error.options or ())
    return f"no {group} is called {name!r}{_did_you_mean(name, known)} Known: {', '.join(known)}"


def _near_keys(key: str, overrides: Sequence[str]) -> str:
    """Compose the config without the misspelt override, and look at what its node holds."""
    from hydra import compose, initialize_config_module

    parent, _, last = key.rpartition(".")
    try:
        with initialize_config_module("moatbench.conf", version_base="1.3"):
            cfg = compose("config", [o for o in overrides if "=" in o and "," not in o])
    except Exception:  # the other overrides are wrong as well: say what is certain
        return "; see moatbench --cfg job"
    node: Any = OmegaConf.select(cfg, parent) if parent else cfg
    known = [str(k) for k in node if not str(k).startswith("_")] if _is_node(node) else []
    return f"{_did_you_mean(last, known)} Known: {', '.join(known)}"


def _is_node(node: Any) -> bool:
    return isinstance(node, DictConfig)


def _did_you_mean(name: str, known: Sequence[str]) -> str:
    near = get_close_matches(name, known, 3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else "."


def _line(error: BaseException) -> str:
    if told := moved(str(error)):
        return told
    text = " ".join(str(error).split()) or "no message"
    known = (ValueError, OSError, RuntimeError, HydraException)
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}"
