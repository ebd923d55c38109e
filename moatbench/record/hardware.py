"""What a run ran on: times mean nothing without it."""

import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from threadpoolctl import threadpool_info

GIB = 2**30


def hardware(threads: int) -> dict[str, str]:
    """Name the processor, its cores, the memory, the threads used, the BLAS and the system.

    Asked when a run has ended: only libraries that are loaded can be named.

    Args:
        threads: of BLAS, that the run was given.
    """
    blas = {_named(pool) for pool in threadpool_info() if pool.get("user_api") == "blas"}
    return {
        "cpu": _cpu(),
        "cores": str(_cores()),
        "memory": _memory(),
        "threads": str(threads),
        "blas": ", ".join(sorted(blas)) or "unknown",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _named(pool: dict[str, object]) -> str:
    return f"{pool.get('internal_api')} {pool.get('version')} ({pool.get('architecture', '-')})"


def _cores() -> int:
    """Cores that this process may use, which in a container are fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _cpu() -> str:
    """Return the processor's model, as Linux tells it; elsewhere what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    told = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(told, "") or platform.processor() or platform.machine() or "unknown"


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB:.0f} GiB"
    except (AttributeError, OSError, ValueError):  # not a POSIX system
        return "unknown"


def told(machine: Mapping[str, str]) -> str:
    """Say in a line whose clock it was; '' of a record that does not tell."""
    if not machine:
        return ""
    number = machine["threads"]
    threads = f"{number} thread{'' if number == '1' else 's'}"
    gpu = machine.get("device", "cpu")
    networks = "" if gpu == "cpu" else f", networks on {gpu}"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['memory']}, BLAS on {threads} "
        f"({machine['blas']}), {machine['system']}{networks}"
    )
