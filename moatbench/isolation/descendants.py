"""Which processes came of one, so that none of them outlives what it was started for.

A process that makes itself a session of its own is in no group that could be killed. Where the
system can (Linux), the attack's process adopts what loses its parent: all stay its descendants,
and are found in `/proc`. Elsewhere nothing is found.
"""

import ctypes
import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")
PR_SET_CHILD_SUBREAPER = 36  # of linux/prctl.h


class Process(NamedTuple):
    """A process by its number and its start, in ticks: numbers are given again."""

    number: int
    start: int


def adopt() -> None:
    """Become the parent of each descendant that loses its own; forks do not inherit this."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants(ancestors: Iterable[Process]) -> set[Process]:
    """Return what lives of some processes, and of what came of them."""
    living = _living()
    known = {p.number: p for p, _ in living}
    found = {p for p in ancestors if known.get(p.number) == p}
    more = True
    while more:
        numbers = {p.number for p in found}
        new = {p for p, parent in living if parent in numbers} - found
        found, more = found | new, bool(new)
    return found


def process(number: int) -> Process:
    """Return the process of this number; its start is -1 where it is not known."""
    return next((p for p, _ in _living([number])), Process(number, -1))


def kill(processes: Iterable[Process]) -> None:
    """Kill those that live still."""
    for one in processes:
        if process(one.number) == one:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(one.number, signal.SIGKILL)


def _living(numbers: Iterable[int] | None = None) -> list[tuple[Process, int]]:
    """List processes, each with the number of its parent."""
    if numbers is None:
        numbers = [int(f.name) for f in PROC.iterdir() if f.name.isdigit()] if PROC.is_dir() else []
    found = []
    for number in numbers:
        with suppress(OSError, ValueError, IndexError):
            # The name, in brackets, may hold anything
            words = (PROC / str(number) / "stat").read_text().rpartition(")")[2].split()
            found.append((Process(number, int(words[19])), int(words[1])))
    return found
