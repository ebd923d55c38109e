"""How far a sweep is, from what its runs leave in its folder."""

import json
import sys
import time
from pathlib import Path
from textwrap import shorten
from threading import Event, RLock, Thread
from typing import Any, NamedTuple

from moatbench.record.flag import shown
from moatbench.record.summary import FAILED, FINISHED, STOPPED, RecordUnreadable, Summary
from moatbench.sweep.manifest import Entry, entries
from moatbench.tracking.store import LOGGED

WIDTH, LEAST = 100, 40  # columns of a line, and of what a run found
STOLEN = " % stolen"
_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} runs, {elapsed} elapsed{postfix}"
POLL = 0.5  # seconds between two looks at the folder
LOST = "no result: the process ended before it wrote one"


class Job(NamedTuple):
    """A run of a sweep.

    Args:
        entry: what it said of itself.
        summary: what it wrote; None where it ended before.
    """

    entry: Entry
    summary: Summary | None

    @property
    def folder(self) -> Path:
        """Of the run."""
        return Path(self.entry.folder)

    @property
    def failure(self) -> str:
        """Why it failed; '' for one that did not."""
        if self.summary is None:
            return self.entry.error or LOST
        return self.summary.reason if self.summary.status == FAILED else ""

    @property
    def lost(self) -> bool:
        """Whether it ended without a word of why."""
        return self.summary is None and not self.entry.error

    @property
    def stopped(self) -> str:
        """Why a service, or a cap on what it may cost, ended it early; '' for other runs."""
        return self.summary.reason if self.summary and self.summary.status == STOPPED else ""

    @property
    def unlogged(self) -> bool:
        """Whether its files are whole, and MLflow did not take it."""
        return bool(self.summary and self.entry.uri and not (self.folder / LOGGED).exists())


class Progress(Thread):
    """Tells of each run of a sweep as it finishes, with an estimate of the time left.

    Args:
        manifest: where the jobs say what they are.
        total: runs that are planned, None where the sweeper decides as it goes.
    """

    def __init__(self, manifest: Path, total: int | None) -> None:
        super().__init__(daemon=True)
        self._manifest, self._total = manifest, total
        self._told: set[int] = set()
        self._ran, self._began = 0, time.monotonic()
        self._over = Event()

    def run(self) -> None:
        """Look until the sweep is over, then once more."""
        from tqdm import tqdm

        tqdm.set_lock(RLock())  # of this process: one that is killed leaves no semaphore behind
        hidden = not sys.stderr.isatty()
        with tqdm(total=self._total, unit="run", disable=hidden, bar_format=_BAR) as bar:
            while not self._over.wait(POLL):
                self._tell(bar)
            self._tell(bar)

    def stop(self) -> None:
        """Tell what is left to tell, and end."""
        self._over.set()
        self.join()

    def _tell(self, bar: Any) -> None:
        for job, summary in self._new():
            self._told.add(job)
            self._ran += summary.fetched is None
            bar.update()
            bar.set_postfix_str(self.time_left())
            bar.write(self.line(summary), file=sys.stdout)
            sys.stdout.flush()

    def _new(self) -> list[tuple[int, Summary]]:
        """Find the runs that finished since the last look."""
        new = entries(self._manifest, self._told)
        read = [(entry.number, _summary(entry)) for entry in new if entry.done]
        return [(number, summary) for number, summary in read if summary is not None]

    def line(self, summary: Summary) -> str:
        """One line for a finished run: its place, its name, its headline, the time left."""
        done = f"[{len(self._told)}/{self._total or '?'}]"
        took = "already in MLflow" if summary.fetched else f"{summary.seconds:.1f} s"
        left = self.time_left()
        end = f" ({took}{', ' if left else ''}{left})"
        said = f"{done} {summary.title}: "
        return f"{said}{_fitted(result(summary), WIDTH - len(said) - len(end))}{end}"

    def time_left(self) -> str:
        """Estimate from the runs that really ran; '' where nothing is known or left."""
        if not self._ran or self._total is None or len(self._told) >= self._total:
            return ""
        rate = (time.monotonic() - self._began) / self._ran
        return f"about {_duration(rate * (self._total - len(self._told)))} left"


def result(summary: Summary) -> str:
    """Say in a few words what a run found."""
    if summary.status != FINISHED:
        return f"{summary.status.replace('_', ' ')}: {summary.reason}"
    final = summary.finals
    on = [f"final_fidelity_{sample}" for sample in ("test", "uniform", "foreign")]
    stolen = "/".join(_percent(final[name]) for name in on if name in final)
    marks = shown(summary.marks)
    flagged = f", {marks}" if marks else ""
    return f"{stolen}{STOLEN}{flagged}"


def _fitted(told: str, room: int) -> str:
    """Cut what a run found: its marks, or the end of a reason, which its table tells in full."""
    if len(told) <= room:
        return told
    if STOLEN in told:
        return told.partition(STOLEN)[0] + STOLEN
    return shorten(told, max(room, LEAST), placeholder=" ...")


def jobs(manifest: Path) -> list[Job]:
    """Return a sweep's runs, in the order of their numbers."""
    return [Job(entry, _summary(entry)) for entry in entries(manifest)]


def _summary(entry: Entry) -> Summary | None:
    """Read what a run left; None where it is not there, not whole yet, or another job's."""
    try:
        found = Summary.read(Path(entry.folder))
    except (OSError, json.JSONDecodeError, RecordUnreadable):
        return None
    return found if entry.config in ("", found.config_hash) else None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
