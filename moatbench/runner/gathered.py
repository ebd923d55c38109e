"""What happens in a run, as it happens: curve.csv grows by it, and the summary is made of it."""

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from moatbench.compose.words.errors import explain
from moatbench.record.columns import WORST_CASE
from moatbench.record.curve import CurveFile, Row, by_attack, summary, worst_case
from moatbench.record.flag import Flag
from moatbench.record.summary import FAILED, FINISHED, NOT_APPLICABLE, STOPPED, Scores
from moatbench.remote.client import Stopped
from moatbench.runner.checks.doubts import Doubled
from moatbench.runner.suite import Ceased, Doubted, Event, Failed, Finished, Point, Skipped
from moatbench.types import Array, Mask


@dataclass
class Gathered:
    """Checkpoints, reasons and doubts.

    Args:
        folder: of the run.
        is_suite: whether there is a worst case.
    """

    folder: Path
    is_suite: bool
    rows: list[Row] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    aside: dict[str, Mapping[str, float]] = field(default_factory=dict)  # beside the curve
    baselines: Mapping[str, Scores] = field(default_factory=dict)
    floor: str | None = None
    hits: dict[str, list[Mask]] = field(default_factory=dict)
    flags: list[Flag] = field(default_factory=list)
    doubled: dict[str, Doubled] = field(default_factory=dict)  # of fits that say they converged
    repeated: dict[str, Scores] = field(default_factory=dict)
    harm: dict[str, Mapping[str, Scores]] = field(default_factory=dict)
    recovered: dict[str, Mapping[str, Array]] = field(default_factory=dict)
    trace: str = ""
    secret: str | None = None

    def __post_init__(self) -> None:
        self._file = CurveFile(self.folder / "curve.csv")

    def take(self, event: Event) -> None:
        """Keep what an attack did; a checkpoint is written the moment it is reached."""
        if isinstance(event, Point):
            row = {"attack": event.attack, **event.checkpoint.row()}
            self.rows.append(row)
            self.hits.setdefault(event.attack, []).append(event.checkpoint.hits)
            self.recovered[event.attack] = event.checkpoint.parameters
            if event.checkpoint.doubled is not None:
                self.doubled[event.attack] = event.checkpoint.doubled
            self._file.add({**row, "winner": ""} if self.is_suite else row)
        elif isinstance(event, Skipped):
            self.skipped[event.attack] = event.reason
        elif isinstance(event, Failed):
            self.fail(event.attack, event.error)
        elif isinstance(event, Ceased):
            self.stopped[event.attack] = event.reason
        elif isinstance(event, Doubted):
            self.flags.append(event.flag)
        elif isinstance(event, Finished):
            self.harm[event.attack] = event.harm
            self.aside[event.attack] = {
                "honest_seconds_added": event.seconds_added,  # 0: less than its own noise
                "honest_seconds_waited": event.seconds_waited,
                **{f"detection_{name}": value for name, value in event.detection.items()},
            }

    def fail(self, attack: str, error: Exception) -> None:
        """Keep what ended an attack, or with '' the run."""
        self.failed[attack] = explain(error)
        self.trace = "".join(traceback.format_exception(error))

    def cease(self, error: Stopped) -> None:
        """Keep why a service ended the run, where no attack was under way."""
        self.stopped.setdefault("", str(error))

    def close(self) -> None:
        """Add the worst case of a suite."""
        if self.is_suite:
            worst = worst_case(self.curves)
            self.rows += worst
            for row in worst:
                self._file.add(row)

    @property
    def curves(self) -> Mapping[str, Sequence[Row]]:
        """The rows, by attack."""
        return by_attack(self.rows)

    @property
    def winner(self) -> str | None:
        """The attack that a suite's worst case ends with."""
        worst = self.curves.get(WORST_CASE)
        return str(worst[-1]["winner"]) if worst else None

    @property
    def reached(self) -> int | None:
        """Queries at which the curve of a stopped run ends; None where it ends with the budget."""
        return int(self.rows[-1]["queries"]) if self.stopped and self.rows else None

    @property
    def summaries(self) -> dict[str, Scores]:
        """The scalars of each curve; a worst case has its winner's of what lies beside."""
        return {
            name: {**summary(curve), **self.aside.get(curve[-1].get("winner", name), {})}
            for name, curve in self.curves.items()
        }

    @property
    def status(self) -> str:
        """One word: finished, not_applicable, stopped or failed."""
        if self.failed:
            return FAILED
        if self.stopped:
            return STOPPED
        return FINISHED if self.rows else NOT_APPLICABLE

    @property
    def reason(self) -> str:
        """Why the run failed, was stopped or does not apply; '' for a finished one."""
        if self.status == FINISHED:
            return ""
        reasons = self.failed or self.stopped or self.skipped
        if len(reasons) > 1 and len(set(reasons.values())) == 1:  # it is the defense
            return next(iter(reasons.values()))
        return "; ".join(f"{name}: {why}" if name else why for name, why in reasons.items())
