"""The key=value arguments of moatbench's smaller commands, read in one way."""

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import cleandoc
from typing import NamedTuple

from moatbench.tracking.store import address, experiments

EXPERIMENT = "experiment"
URI = "tracking.uri"
STORE = "the MLflow store; else MLFLOW_TRACKING_URI, else runs/mlflow.db in this folder"


class BadOption(ValueError):
    """An argument that the command does not know, or one that it needs and lacks."""


class Given(NamedTuple):
    """What stands on a command line.

    Args:
        options: the command's own, by key.
        words: arguments that are no key=value.
        passed_on: Hydra's own overrides.
    """

    options: Mapping[str, str]
    words: Sequence[str]
    passed_on: Sequence[str]

    @property
    def uri(self) -> str:
        """Of the MLflow store: as given, as in the environment, or the one below this folder."""
        return address(self.options.get(URI) or os.environ.get("MLFLOW_TRACKING_URI"))


@dataclass(frozen=True)
class Command:
    """A command and the arguments that it takes.

    Args:
        usage: the command and its arguments, in a line.
        keys: that it knows, each with what it is.
        needed: those that it cannot do without.
        words: what arguments that are no key=value are; '' where it takes none.
        passes_on: whether it takes Hydra's own overrides (`hydra...=`).
    """

    usage: str
    keys: Mapping[str, str]
    needed: Sequence[str] = ()
    words: str = ""
    passes_on: bool = False

    @property
    def name(self) -> str:
        """The command."""
        return self.usage.split()[0]

    def read(self, arguments: Sequence[str]) -> Given:
        """Sort the arguments.

        Raises:
            BadOption: says what is wrong and how the command is used.
        """
        options: dict[str, str] = {}
        words, passed_on = [], []
        for argument in arguments:
            key, equals, value = argument.partition("=")
            if equals and self.passes_on and key.lstrip("+~").startswith("hydra"):
                passed_on.append(argument)
            elif equals and key in self.keys:
                options[key] = value
            elif (
                self.words
                and not argument.startswith("-")
                and (not equals or os.path.exists(argument))
            ):
                words.append(argument)
            else:
                what = f"no option {argument!r}" if equals else f"{argument!r} is no key=value"
                raise self._bad(what + self._nearest(key))
        if self.words and not words:
            raise self._bad(f"no {self.words} given")
        if lacking := [f"{key}=" for key in self.needed if not options.get(key)]:
            raise self._bad(f"{' and '.join(lacking)} missing")
        return Given(options, words, passed_on)

    def offer_help(self, does: str | None) -> None:
        """On -h or --help, print the usage, what the command does and what it takes, and end."""
        if {"-h", "--help"} & set(sys.argv[1:]):
            width = max(map(len, self.keys))
            told = [f"  {key + '=':{width + 1}}  {what}" for key, what in self.keys.items()]
            print(f"usage: {self.usage}\n\n{cleandoc(does or '')}\n")
            print("\n".join(told))
            sys.exit(0)

    def _bad(self, what: str) -> BadOption:
        return BadOption(f"{what}; usage: {self.usage}")

    def _nearest(self, key: str) -> str:
        key = key.lstrip("-")
        near = [k for k in self.keys if k.endswith(f".{key}")] or get_close_matches(key, self.keys)
        return f"; did you mean {near[0]}=?" if near else ""


def experiment_of(given: Given) -> str:
    """Name the experiment that is meant: the one that is given, else the only one of the store.

    Raises:
        BadOption: several may be meant, or there is none; names them.
        TrackingFailed: MLflow cannot be reached.
    """
    if name := given.options.get(EXPERIMENT):
        return name
    known = experiments(given.uri)
    if len(known) == 1:
        print(f"{EXPERIMENT}={shlex.quote(known[0])}, the only one in {given.uri}", flush=True)
        return known[0]
    if not known:
        raise BadOption(f"{EXPERIMENT} must be one of {given.uri}, which holds none; run one first")
    which = ", ".join(shlex.quote(name) for name in known)
    raise BadOption(
        f"{EXPERIMENT} must be one of {which}, got none; say {EXPERIMENT}={shlex.quote(known[0])}"
    )


def whole(text: str, name: str, least: int, most: int | None = None) -> int:
    """Read a whole number.

    Raises:
        BadOption: says what is allowed.
    """
    if text.isdecimal() and int(text) >= least and (most is None or int(text) <= most):
        return int(text)
    allowed = f"from {least} to {most}" if most is not None else f"of at least {least}"
    raise BadOption(f"{name} must be a whole number {allowed}, got {text!r}")
