"""What surrounds the runs of a multirun: the store and the progress, the table and the failures."""

import json
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from moatbench.display.table import headline

_BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} runs, {elapsed} elapsed{postfix}"
SEED = re.compile(r"(victim_)?seed=\d+")
POLL = 0.5  # seconds between two looks at the folder
LOST = {
    "status": "failed",
    "reason": "no result: the process ended before it wrote one",
    "summaries": {},
}


class Watched(Callback):
    """Open the tracking store before workers could race to create it; tell of finished runs.

    The watching is done in the parent, on the folder of the sweep: so it works with every launcher.
    """

    def __init__(self) -> None:
        self._watch: Watch | None = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        HydraConfig.instance().set_config(config)
        compose_seeds_once()
        if config.tracking.enabled:
            _open_store(config)
        folder, total = Path(config.hydra.sweep.dir).absolute(), planned(config)
        print(f"sweep of {total or 'as many as it takes'} runs in {folder}", flush=True)
        self._watch = Watch(folder, total)
        self._watch.start()

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if self._watch is not None:
            self._watch.stop()

    def __reduce__(self) -> tuple[type, tuple[()]]:
        """Launchers send the callbacks to their workers, which have nothing to watch."""
        return type(self), ()


def compose_seeds_once() -> None:
    """Let Hydra try out, before a sweep, one of the runs that differ in nothing but their seeds.

    It composes each run before it launches any, and once more in the worker. Of hundreds of runs
    that is most of a minute, for which all workers would wait.
    """
    validate = Sweeper.validate_batch_is_legal

    def sparing(self: Sweeper, batch: Sequence[Sequence[str]]) -> None:
        kinds = {tuple(o for o in each if not SEED.fullmatch(o)): each for each in batch}
        validate(self, list(kinds.values()))

    if validate.__name__ != sparing.__name__:
        Sweeper.validate_batch_is_legal = sparing  # type: ignore[method-assign]


class Watch(Thread):
    """Tells of each run of a sweep as it finishes, with an estimate of the time left.

    Args:
        folder: of the sweep; each run has a folder of its own there.
        total: runs that are planned, None where the sweeper decides as it goes.
    """

    def __init__(self, folder: Path, total: int | None) -> None:
        super().__init__(daemon=True)
        self._folder, self._total = folder, total
        self._told: set[str] = set()
        self._ran, self._began = 0, time.monotonic()
        self._over = Event()

    def run(self) -> None:
        """Look until the sweep is over, then once more."""
        from tqdm import tqdm

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
            self._ran += "fetched" not in summary
            bar.update()
            bar.set_postfix_str(self.time_left())
            bar.write(self.line(summary), file=sys.stdout)
            sys.stdout.flush()

    def _new(self) -> list[tuple[str, dict[str, Any]]]:
        """Find the runs that finished since the last look."""
        if not self._folder.is_dir():
            return []
        jobs = [f for f in self._folder.iterdir() if f.name.isdigit() and f.name not in self._told]
        read = [(f.name, _summary(f)) for f in sorted(jobs, key=lambda f: int(f.name))]
        return [(name, summary) for name, summary in read if summary is not None]

    def line(self, summary: dict[str, Any]) -> str:
        """One line for a finished run: its place, its name, its headline, the time left."""
        done = f"[{len(self._told)}/{self._total or '?'}]"
        name = "{defense} / {attack} / {victim} on {data} / s{seed}".format(**summary)
        took = "already in MLflow" if "fetched" in summary else f"{summary['seconds']:.1f} s"
        left = self.time_left()
        return f"{done} {name}: {result(summary)} ({took}{', ' if left else ''}{left})"

    def time_left(self) -> str:
        """Estimate from the runs that really ran; '' where nothing is known or left."""
        if not self._ran or self._total is None or len(self._told) >= self._total:
            return ""
        rate = (time.monotonic() - self._began) / self._ran
        return f"about {_duration(rate * (self._total - len(self._told)))} left"


def result(summary: dict[str, Any]) -> str:
    """Say in a few words what a run found."""
    if summary["status"] != "finished":
        return f"{summary['status'].replace('_', ' ')}: {summary['reason']}"
    final = summary["summaries"][headline(summary)]
    test, uniform = final["final_fidelity_test"], final["final_fidelity_uniform"]
    flagged = f", flagged ({len(summary['flags'])})" if summary["flags"] else ""
    at = f"{summary['checkpoints'][-1]:,} queries"
    return f"fidelity {_percent(test)}/{_percent(uniform)} % at {at}{flagged}"


def planned(config: DictConfig) -> int | None:
    """Count the runs that a grid asks for; None for a sweeper that searches."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper

    sweeper = config.hydra.sweeper
    if not str(sweeper.get("_target_", "")).endswith("BasicSweeper"):
        trials = sweeper.get("n_trials")
        return int(trials) if trials is not None else None
    grid = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    hydra = GlobalHydra.instance()  # it knows the options that a glob(*) stands for
    options = hydra.config_loader() if hydra.is_initialized() else None
    parser = OverridesParser.create(options)
    given = parser.parse_overrides([*grid, *config.hydra.overrides.task])
    return sum(len(batch) for batch in BasicSweeper.split_arguments(given, None))


def results(folder: Path) -> list[dict[str, Any]]:
    """Return the summaries of a sweep's runs, in the order of their numbers."""
    if not folder.is_dir():
        return []
    jobs = sorted((f for f in folder.iterdir() if f.name.isdigit()), key=lambda f: int(f.name))
    return [{"folder": str(job), **(_summary(job) or LOST)} for job in jobs]


def _open_store(config: DictConfig) -> None:
    """Make the store before workers could race to.

    SQLite's is made by the first worker, under a lock: the parent then need not import MLflow,
    which takes seconds that all workers would wait for.
    """
    from moatbench.tracking import log as track

    uri = track.store(config.tracking.uri)
    if uri.startswith(track.SQLITE):
        return
    try:
        track.open_store(uri, config.name, config.tracking.artifacts)
    except Exception as error:  # a server that is down stops no run: each keeps its files
        cause = " ".join(str(error).split())[:200]
        track.log_.warning("MLflow cannot be reached (%s); runs keep their files", cause)


def _summary(job: Path) -> dict[str, Any] | None:
    """Read what a run left; None where it is not there, or not whole yet."""
    try:
        return dict(json.loads((job / "summary.json").read_text()))
    except (OSError, json.JSONDecodeError):
        return None


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
