"""The worst attack on each defense once more, on seeds that chose nothing.

A maximum of means is biased upwards, the more so the more attacks there are: the same attack on
fresh seeds is not.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from moatbench.record.command import Command, literal
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
        given: what the runs were given beside their overrides.
    """

    attack: tuple[str, ...]
    shared: tuple[str, ...]
    defenses: tuple[str, ...]
    given: Command = field(default_factory=Command)

    def overrides(self) -> list[str]:
        """Return what the command line needs for it."""
        chosen = [f"defense={','.join(self.defenses)}"] if self.defenses else []
        return [*self.shared, *chosen, *self.attack]


def confirm(
    experiment: str, seeds: int, uri: str, passed_on: Sequence[str] = (), condition: str = ""
) -> None:
    """Rerun the worst attack on each defense of an experiment, by the report's rule.

    The reruns are logged into the same experiment as confirmations: they choose no worst case, and
    the report shows them beside it. What MLflow has of them already is not run again.

    Args:
        experiment: its name in MLflow.
        seeds: how many fresh seeds, the same for all defenses.
        uri: of the MLflow store.
        passed_on: overrides of Hydra's own, such as `hydra.searchpath=[...]` or a launcher.
        condition: that chooses among the runs, as `logged_runs` takes it; '' is all.

    Raises:
        ValueError: no seeds, or the experiment was run by another version of the code.
        RuntimeError: some reruns failed.
    """
    if seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}")
    selection = select(logged_runs(uri, experiment, condition))
    version = selection.runs[0].summary.versions["moatbench"]
    if version != code_version():
        raise ValueError(
            f"{experiment} was run by moatbench {version}, and this is {code_version()}; numbers "
            "of one version only can be compared: run the experiment again with force=true"
        )
    chosen = ",".join(map(str, fresh_seeds(selection, seeds)))
    place = Path("runs").absolute() / "confirm" / time.strftime("%Y-%m-%d_%H-%M-%S")
    common = [f"seed={chosen}", f"name={literal(experiment)}", f"tracking.uri={literal(uri)}"]
    common += ["confirmation=true"]
    common += ["report=null", "confirm=0", "advise=false", "hydra.sweeper.params=null", *passed_on]
    failed = 0
    for number, again in enumerate(sweeps(fields(selection))):
        folder = [f"hydra.sweep.dir={literal(str(place / str(number)))}"]
        searched = any("hydra.searchpath=" in o for o in passed_on)
        options = [o for o in again.given.options if not (searched and "searchpath=" in o)]
        command = [sys.executable, "-m", "moatbench", "-m", *options, *again.overrides()]
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        env |= again.given.environment
        done = subprocess.run(
            [*command, *common, *folder], env=env, cwd=again.given.folder or None, check=False
        )
        failed += done.returncode != 0
    if failed:
        raise RuntimeError(f"{failed} of {number + 1} sweeps of reruns failed, see above")


def fresh_seeds(selection: Selection, count: int) -> list[int]:
    """Return the first seeds from `FIRST` on that chose nothing."""
    used = {int(part) for curve in selection.curves for part in curve.seed.split(":")}
    return [s for s in range(FIRST, FIRST + count + len(used)) if s not in used][:count]


def sweeps(settings: Sequence[Field]) -> list[Again]:
    """Sort the reruns into as few sweeps as hold them."""
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for attack, overrides, given in _reruns(settings):
        defenses = [o.removeprefix("defense=") for o in overrides if o.startswith("defense=")]
        shared = tuple(o for o in overrides if not o.startswith("defense="))
        groups.setdefault((given, attack, shared), []).extend(defenses)
    return [
        Again(attack, shared, tuple(dict.fromkeys(found)), Command.parse(given))
        for (given, attack, shared), found in groups.items()
    ]


def _reruns(settings: Sequence[Field]) -> Iterator[tuple[tuple[str, ...], list[str], str]]:
    """Yield, for each setting and defense, what chooses the worst attack, all else, and the rest.

    The rest is a command without overrides.
    """
    for setting in settings:
        for defense in setting.defenses:
            if not (against := setting.against(defense)):
                continue
            found = worst(against, "fidelity_test").attack
            run = against[found][0].run
            command = Command.parse(run.summary.command)
            kept = [o for o in command.overrides if _group(o) not in OURS]
            others = [o for o in kept if _group(o) != "attack"]
            chosen = tuple(o for o in kept if _group(o) == "attack")
            if run.summary.attack == SUITE:
                chosen = tuple(of_suite(run, found))
            yield chosen, others, str(replace(command, overrides=()))


def of_suite(run: Logged, attack: str) -> list[str]:
    """Choose one of a suite's attacks, with the knobs that the suite gave it."""
    prefix = f"attack.knobs.{attack}."
    knobs = run.summary.knobs
    changed = {k.removeprefix(prefix): v for k, v in knobs.items() if k.startswith(prefix)}
    return [f"attack={attack}", *(f"++attack.{k}={literal(v)}" for k, v in changed.items())]


def _group(override: str) -> str:
    """Name the first part of an override's key: `attack` of `+attack.knobs.x=1`."""
    key = override.lstrip("+~").partition("=")[0]
    return key.partition(".")[0].partition("@")[0].partition("/")[0]
