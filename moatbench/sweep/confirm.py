"""The worst attack on each defense once more, on seeds that chose nothing.

A maximum of means is biased upwards, the more so the more attacks there are: the same attack on
fresh seeds is not.
"""

import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from moatbench.record.identity import OWN, code_version
from moatbench.report.measure.worst import Field, fields, worst
from moatbench.report.select.records import Selection
from moatbench.report.select.selection import SUITE, select
from moatbench.tracking.read import Logged, logged_runs

FIRST = 1000  # of the fresh seeds: an experiment that grows does not soon run into them
OURS = (*OWN, "hydra")  # overrides that a rerun sets itself


@dataclass(frozen=True)
class Again:
    """One sweep: an attack on defenses that differ in nothing but their name.

    Args:
        attack: overrides that choose it, with its knobs.
        shared: all other overrides of the runs.
        defenses: values of the override `defense`; empty where the runs have none.
    """

    attack: tuple[str, ...]
    shared: tuple[str, ...]
    defenses: tuple[str, ...]

    def overrides(self) -> list[str]:
        """Return what the command line needs for it."""
        chosen = [f"defense={','.join(self.defenses)}"] if self.defenses else []
        return [*self.shared, *chosen, *self.attack]


def confirm(experiment: str, seeds: int, uri: str, passed_on: Sequence[str] = ()) -> None:
    """Rerun the worst attack on each defense of an experiment, by the report's rule.

    The reruns are logged into the same experiment as confirmations: they choose no worst case, and
    the report shows them beside it. What MLflow has of them already is not run again.

    Args:
        experiment: its name in MLflow.
        seeds: how many fresh seeds, the same for all defenses.
        uri: of the MLflow store.
        passed_on: overrides of Hydra's own, such as `hydra.searchpath=[...]` or a launcher.

    Raises:
        ValueError: no seeds, or the experiment was run by another version of the code.
        RuntimeError: some reruns failed.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    selection = select(logged_runs(uri, experiment))
    version = selection.runs[0].summary.versions["moatbench"]
    if version != code_version():
        raise ValueError(
            f"{experiment} was run by moatbench {version}, and this is {code_version()}; numbers "
            "of one version only can be compared: run the experiment again with force=true"
        )
    chosen = ",".join(map(str, fresh_seeds(selection, seeds)))
    place = Path("runs") / "confirm" / time.strftime("%Y-%m-%d_%H-%M-%S")
    common = [f"seed={chosen}", f"name={experiment}", f"tracking.uri={uri}", "confirmation=true"]
    common += ["report=null", "confirm=0", "hydra.sweeper.params=null", *passed_on]
    failed = 0
    for number, again in enumerate(sweeps(fields(selection))):
        folder = [f"hydra.sweep.dir={place / str(number)}"]
        command = [sys.executable, "-m", "moatbench", "-m", *again.overrides(), *common, *folder]
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        failed += subprocess.run(command, env=env, check=False).returncode != 0
    if failed:
        raise RuntimeError(f"{failed} of {number + 1} sweeps of reruns failed, see above")


def fresh_seeds(selection: Selection, count: int) -> list[int]:
    """Return the first seeds from `FIRST` on that chose nothing."""
    used = {int(part) for curve in selection.curves for part in curve.seed.split(":")}
    return [s for s in range(FIRST, FIRST + count + len(used)) if s not in used][:count]


def sweeps(settings: Sequence[Field]) -> list[Again]:
    """Sort the reruns into as few sweeps as hold them."""
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for attack, overrides in _reruns(settings):
        defenses = [o.removeprefix("defense=") for o in overrides if o.startswith("defense=")]
        shared = tuple(o for o in overrides if not o.startswith("defense="))
        groups.setdefault((attack, shared), []).extend(defenses)
    return [Again(*key, tuple(dict.fromkeys(found))) for key, found in groups.items()]


def _reruns(settings: Sequence[Field]) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Yield, for each setting and defense, what chooses the worst attack, and all else."""
    for field in settings:
        for defense in field.defenses:
            if not (against := field.against(defense)):
                continue
            found = worst(against, "fidelity_test").attack
            run = against[found][0].run
            given = shlex.split(run.summary.command)[1:]
            kept = [o for o in given if _group(o) not in OURS]
            others = [o for o in kept if _group(o) != "attack"]
            if run.summary.attack == SUITE:
                yield tuple(of_suite(run, found)), others
            else:
                yield tuple(o for o in kept if _group(o) == "attack"), others


def of_suite(run: Logged, attack: str) -> list[str]:
    """Choose one of a suite's attacks, with the knobs that the suite gave it."""
    prefix = f"attack.knobs.{attack}."
    knobs = run.summary.knobs
    changed = {k.removeprefix(prefix): v for k, v in knobs.items() if k.startswith(prefix)}
    return [f"attack={attack}", *(f"++attack.{k}={literal(v)}" for k, v in changed.items())]


def literal(value: Any) -> str:
    """Write a value as an override does: strings in quotes, lists and numbers as in JSON."""
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    if isinstance(value, str):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return json.dumps(value)


def _group(override: str) -> str:
    """Name the first part of an override's key: `attack` of `+attack.knobs.x=1`."""
    key = override.lstrip("+~").partition("=")[0]
    return key.partition(".")[0].partition("@")[0].partition("/")[0]
