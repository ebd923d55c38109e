"""What Hydra calls before and after a multirun."""

import re
import sys
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from moatbench.record.identity import config_hash
from moatbench.sweep.manifest import Entry, begun
from moatbench.sweep.places import place_run, place_sweep, task_of
from moatbench.sweep.progress import Progress
from moatbench.sweep.strengths import sweep_strengths
from moatbench.tracking.store import TrackingFailed, address
from moatbench.tracking.tried import require_usable

SEED = re.compile(r"(victim_)?seed=\d+")


class Watched(Callback):
    """Try the tracking store before any run; let each job say where it is, and tell of it.

    The watching is done in the parent, on what the jobs wrote: so it works with every launcher.

    Args:
        manifest: where the jobs write; None outside of a sweep, and until it starts.
    """

    def __init__(self, manifest: Path | None = None) -> None:
        self._manifest = manifest
        self._progress: Progress | None = None
        self._hash = ""  # of the config of the job at work, which is the same at its end

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        place_run(config)

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        place_sweep(config)
        HydraConfig.instance().set_config(config)
        compose_seeds_once()
        sweep_strengths(config)
        if config.tracking.enabled:
            _try_store(config)
        folder, total = Path(config.hydra.sweep.dir).absolute(), planned(config)
        print(f"sweep of {total or 'as many as it takes'} runs in {folder}", flush=True)
        self._manifest = begun(folder)
        self._progress = Progress(self._manifest, total)
        self._progress.start()

    def on_job_start(self, config: DictConfig, **_: Any) -> None:
        if self._manifest is not None:
            self._hash = config_hash(task_of(config))
        self._write(config)

    def on_job_end(self, config: DictConfig, job_return: Any, **_: Any) -> None:
        error = job_return._return_value
        told = str(error) if isinstance(error, str | Exception) else ""
        self._write(config, done=True, error=told)

    def _write(self, config: DictConfig, *, done: bool = False, error: str = "") -> None:
        """Say where this job is; in a worker, for the process that started the sweep."""
        if self._manifest is None:
            return
        job = HydraConfig.get()  # not `config`: a run may have taken another folder
        with chdir(job.runtime.cwd):  # hydra.job.chdir may have led away from the command's folder
            uri = address(config.tracking.uri) if config.tracking.enabled else None
        Entry(
            number=int(job.job.num),
            folder=str(Path(job.runtime.output_dir).absolute()),
            name=str(config.name),
            uri=uri,
            report=config.report,
            confirm=int(config.confirm),
            verbose=bool(config.verbose),
            advise=bool(config.advise),
            done=done,
            error=error,
            config=self._hash,
        ).write(self._manifest)

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        if self._progress is not None:
            self._progress.stop()

    def __reduce__(self) -> tuple[type, tuple[Path | None]]:
        """Launchers send the callbacks to their workers, which have nothing to watch."""
        return type(self), (self._manifest,)


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
    try:
        return sum(len(batch) for batch in BasicSweeper.split_arguments(given, None))
    except Exception:  # a class may be anybody's; the sweeper will meet it as well, and say so
        return None


def _try_store(config: DictConfig) -> None:
    """End the command where MLflow cannot take its runs: before the first, not after the last."""
    try:
        require_usable(address(config.tracking.uri), config.name, config.tracking.artifacts)
    except TrackingFailed as refused:
        sys.exit(f"moatbench: {refused}")  # an Exception Hydra would catch, and go on
