"""Commands to paste: what to do next, with the programs where they are, in lines that fit."""

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from moatbench.record.command import Command
from moatbench.record.summary import SERVICE

if TYPE_CHECKING:
    from moatbench.record.summary import Summary

WIDTH = 100
SEEDS = "seed=0,1,2"
DROPPED = {"seed", "secret", "verbose", "force"}  # a sweep sets its own, or needs none
PLACES = {"tracking", "name"}  # they do not change what is asked
YARDSTICKS = ("none", "label_only")  # what a defense is held against
QUICKSTART, SUITE = "experiment=quickstart", "suite"


def program(name: str) -> str:
    """Return how to call a command of ours: by its name, or with where it is installed."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name)
    if found and Path(found).parent.resolve() == beside.parent.resolve():
        return name
    within = beside.is_relative_to(Path.cwd())
    return os.path.relpath(beside) if within else str(beside)


def lines(words: Sequence[str], indent: str = "  ") -> str:
    """Join the words of a command, quoted already; a long one goes on behind a backslash."""
    rows = [""]
    for word in words:
        if rows[-1] and len(indent) + len(rows[-1]) + len(word) > WIDTH - 3:
            rows.append("")
        rows[-1] += f"{' ' if rows[-1] else ''}{word}"
    return " \\\n".join(indent + row for row in rows)


def after_run(summary: "Summary") -> tuple[str, str]:
    """Say what to do after a run: why, and the command.

    A number is worth little alone: the next one holds the defense against none and labels alone,
    under every attack, on three seeds. Where its knobs were changed only the seeds vary, for those
    knobs would not fit the others.
    """
    ran = Command.parse(summary.command)
    kept = [o for o in ran.overrides if group(o) not in DROPPED]
    if not [o for o in kept if group(o) not in PLACES]:
        given, why = [*kept, QUICKSTART], "rounding beside no defense and labels alone, 3 seeds"
    elif summary.defense == SERVICE or any(
        key(o).startswith("defense.") or o.startswith(("+", "~")) for o in kept
    ):
        given, why = [*kept, SEEDS], "the same on three seeds"
    else:
        if summary.attack != SUITE:
            kept = [o for o in kept if group(o) != "attack"]
        mine = next((o for o in kept if key(o) == "defense"), "defense=rounding").partition("=")[2]
        names = dict.fromkeys((*YARDSTICKS, mine if mine not in YARDSTICKS else "rounding"))
        given = [*(o for o in kept if key(o) != "defense"), f"defense={','.join(names)}", SEEDS]
        why = "beside no defense and labels alone, every attack that applies, 3 seeds"
    here = ran.folder in ("", str(Path.cwd()))
    start = [] if here else ["cd", shlex.quote(ran.folder), "&&"]
    command = replace(ran, overrides=("-m", *given), folder="")
    return why, lines([*start, *command.words(program("moatbench"))])


def key(override: str) -> str:
    """Return the key of an override: `defense.rounding.decimals`."""
    return override.lstrip("+~").partition("=")[0]


def group(override: str) -> str:
    """Return the first part of an override's key: `attack` of `+attack.knobs.x=1`."""
    return key(override).partition(".")[0].partition("@")[0].partition("/")[0]
