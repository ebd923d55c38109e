"""Errors for people: what came, what is allowed, what to do, in one line."""

import os
import re
from collections.abc import Sequence
from difflib import get_close_matches

from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf.errors import MissingMandatoryValue

from moatbench.compose.words.choices import options_of
from moatbench.compose.words.moved import moved

_SOURCE = re.compile(r"path=(\w+)://(\S*)")
_MISSING = re.compile(r"Missing mandatory value: (\S+)")
WANTS_TRACEBACK = bool(os.environ.get("HYDRA_FULL_ERROR"))  # before the command sets it


def explain(error: BaseException) -> str:
    """Say what went wrong in one line, without Hydra's wrapping."""
    if isinstance(error, InstantiationException) and error.__cause__ is not None:
        where, line = re.search(r"full_key: (\S+)", str(error)), _line(error.__cause__)
        if where is None:
            return line
        return _led_by(where[1], line)
    if isinstance(error, MissingConfigException) and "/" in str(error.missing_cfg_file):
        return _unknown_choice(error)
    if isinstance(error, HydraException) and error.__cause__ is not None:
        return f"{_line(error)}: {str(error.__cause__).splitlines()[0]}"
    return _line(error)


def _led_by(key: str, line: str) -> str:
    """Put the part that an error comes from before it, unless it names that by itself.

    A constructor may begin with its own name (`prada: ...`), the key of a knob
    (`victim.path must be ...`) or the part (`data mine: ...`, `victim logistic needs ...`).
    """
    if re.match(rf"{re.escape(key.partition('.')[0])}[ .:]", line):
        return line
    return f"{key}: {line.removeprefix(key.rpartition('.')[2] + ': ')}"


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, name = str(error.missing_cfg_file).rpartition("/")
    # Of one in a list Hydra names no options, but where it looked
    known = list(error.options or options_of(group, _SOURCE.findall(str(error))))
    return f"no {group} is called {name!r}{did_you_mean(name, known)} Known: {', '.join(known)}"


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """Name what is spelt nearly so, and end the sentence."""
    near = get_close_matches(name, known, 3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else "."


def missing(key: str) -> str:
    """Say that a key has no default, and must be given."""
    what = "package.module.Class" if key.endswith("_target_") else "..."
    return f"{key} must be given, for it has no default; add {key}={what}"


def _line(error: BaseException) -> str:
    if told := moved(str(error)):
        return told
    if isinstance(error, MissingMandatoryValue) and (found := _MISSING.search(str(error))):
        return missing(found[1])
    text = " ".join(str(error).split()) or "no message"
    known = (ValueError, OSError, RuntimeError, HydraException)
    return text if isinstance(error, known) else f"{type(error).__name__}: {text}"
