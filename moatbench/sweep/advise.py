"""The sweeps that an owner is advised from, one after the other, and the answer at their end."""

import os
import subprocess
import sys
from dataclasses import dataclass

from moatbench.record.command import literal
from moatbench.report.measure.advice import Advice, advice
from moatbench.report.measure.worst import fields
from moatbench.report.select.selection import select
from moatbench.sweep.ladder import ANSWERS, BARE, COARSER, stack
from moatbench.tracking.read import logged_runs

RUN = "["  # how the line of a finished run begins


class SweepFailed(RuntimeError):
    """A stage did not come to its end; the same command does the rest."""


@dataclass(frozen=True)
class Errand:
    """What the owner asked for.

    Args:
        given: overrides that choose data and model, and all else that was given.
        experiment: the name in MLflow: of this model, these files and this budget alone.
        uri: of the MLflow store.
        checkpoints: cumulative queries, the last is the budget.
        seeds: of attacks, keys and judged points.
        watching: names of the monitors on the ladder.
    """

    given: tuple[str, ...]
    experiment: str
    uri: str
    checkpoints: tuple[int, ...]
    seeds: tuple[int, ...]
    watching: tuple[str, ...]

    @property
    def ladder(self) -> tuple[str, ...]:
        """The defenses that stand alone, but for the bare API and coarser rounding."""
        return (*ANSWERS, *self.watching)

    @property
    def runs(self) -> int:
        """How many runs there are, the stack included."""
        return (len(BARE) + len(self.ladder) + 2) * len(self.seeds)

    def bare(self) -> None:
        """Attack the bare API; raise SweepFailed where that fails, as all do below."""
        self._sweep(f"defense={BARE[0]}")

    def alone(self) -> None:
        """Attack each defense of the ladder."""
        self._sweep(f"defense={','.join(self.ladder)}")
        self._sweep(*COARSER)

    def stacked(self) -> None:
        """Attack the stack of the two that did best; nothing where there are no two."""
        ranked = [o.name for o in self.answer().options if o.affordable]
        layers = stack(ranked, self.watching)
        if layers:
            self._sweep(f"defense=[{','.join(layers)}]")

    def answer(self) -> Advice:
        """Weigh what MLflow has by now."""
        (field,) = fields(select(logged_runs(self.uri, self.experiment)))
        return advice(field)

    def seconds(self) -> float:
        """What a run took so far, in the mean."""
        runs = select(logged_runs(self.uri, self.experiment)).runs
        return sum(run.summary.seconds for run in runs) / len(runs)

    def _sweep(self, *defense: str) -> None:
        chosen = [
            "experiment=advise",
            f"name={literal(self.experiment)}",
            f"tracking.uri={literal(self.uri)}",
            f"checkpoints=[{','.join(map(str, self.checkpoints))}]",
            f"seed={','.join(map(str, self.seeds))}",
            "advise=false",
            *defense,
            *self.given,
        ]
        env = {k: v for k, v in os.environ.items() if k != "HYDRA_FULL_ERROR"}
        python, pipe = [sys.executable, "-m"], subprocess.PIPE
        command = [*python, "moatbench.cli.leash", *python, "moatbench", "-m", *chosen]
        with subprocess.Popen(  # it ends with this process, whatever ends that
            command, env=env, stdin=pipe, stdout=pipe, text=True, start_new_session=True
        ) as sweep:
            assert sweep.stdout is not None
            for line in sweep.stdout:
                if line.startswith(RUN):  # its tables come once, at the end of all
                    print(line, end="", flush=True)
        if sweep.returncode:
            raise SweepFailed(
                f"a sweep of {', '.join(defense)} ended with status {sweep.returncode}, see above; "
                "the same command runs what is missing"
            )


def cores() -> int:
    """How many runs go side by side."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
