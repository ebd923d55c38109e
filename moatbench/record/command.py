"""The command that repeats a run: pasted into a shell, it needs nothing that stands elsewhere."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

PROGRAM = "moatbench"
SECRET = "secret="


@dataclass(frozen=True)
class Command:
    """A command line of moatbench, with what it depends on.

    Args:
        overrides: of the config, as the run was given them.
        options: Hydra's own, where configs lie: `--config-dir`, `hydra.searchpath=[...]`.
        environment: variables that it cannot do without.
        folder: that relative paths in its config start from; '' where there are none.
    """

    overrides: Sequence[str] = ()
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: str = ""

    def __str__(self) -> str:
        start = f"cd {shlex.quote(self.folder)} && " if self.folder else ""
        return start + " ".join(self.words())

    def words(self, program: str = PROGRAM) -> list[str]:
        """Return what a shell reads, each word quoted, but for the folder to start in."""
        given = [f"{name}={shlex.quote(value)}" for name, value in self.environment.items()]
        return [*given, *map(shlex.quote, [program, *self.options, *self.overrides])]

    def keeping(self, secret: str | None) -> "Command":
        """Return the command that brings the same bits: with the secret that the run drew."""
        if secret is None:
            return self
        others = [o for o in self.overrides if not o.lstrip("+").startswith(SECRET)]
        return replace(self, overrides=(*others, f"{SECRET}{secret}"))

    @classmethod
    def parse(cls, text: str) -> "Command":
        """Take apart what `str` put together."""
        words = shlex.split(text)
        place = words.index(PROGRAM)
        before, after = words[:place], words[place + 1 :]
        folder = before[1] if before[:1] == ["cd"] else ""
        set_ = dict(word.split("=", 1) for word in before[3 if folder else 0 :])
        cut = 0  # options come first: flags, each with its value, and the search path
        while cut < len(after) and after[cut].startswith(("--", "hydra.searchpath=")):
            cut += 2 if after[cut].startswith("--") else 1
        return cls(tuple(after[cut:]), tuple(after[:cut]), set_, folder)


def literal(value: Any) -> str:
    """Write a value as an override does: strings in quotes, lists and numbers as in JSON."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    if isinstance(value, str):
        # Hydra takes a backslash as it is, unless a quote follows it
        doubled = re.sub(r"(\\+)(?='|\Z)", r"\1\1", value)
        return "'" + doubled.replace("'", "\\'") + "'"
    return json.dumps(value)
